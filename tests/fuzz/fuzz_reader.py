"""Coverage-guided fuzzing of the data set reader: python -m tests.fuzz.fuzz_reader -max_total_time=20

Whatever the bytes, nothing but DataSetError is raised, what is kept stays within the limits, and both ways of feeding
the same bytes agree.
"""

import sys

import atheris

with atheris.instrument_imports(include=["leadglass.dicom"]):
    from leadglass.dicom.compare import content_digest
    from leadglass.dicom.reader import DataSetScanner, Scan
    from leadglass.dicom.uids import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES
    from leadglass.errors import DataSetError
    from leadglass.model import DataSetLimits

SYNTAXES = [
    TRANSFER_SYNTAXES[uid] for uid in (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED, "1.2.840.10008.1.2.4.50")
]
LIMITS = DataSetLimits(depth=8, elements=500, inline_value=256, held_bytes=65536, inflated_bytes=1 << 20, fragments=100)
EVERYTHING = range(1 << 32)


def scan(data: bytes, which: int, size: int) -> Scan | None:
    scanner = DataSetScanner(SYNTAXES[which], LIMITS, wanted=EVERYTHING, wanted_sequences=EVERYTHING)
    try:
        for start in range(0, len(data), size):
            scanner.feed(data[start : start + size])
        return scanner.finish()
    except DataSetError:
        return None


def check(data: bytes) -> None:
    """One input: the first byte chooses the transfer syntax, the second the size of the chunks."""
    if len(data) < 2:
        return
    which, size, body = data[0] % len(SYNTAXES), data[1] + 1, data[2:]
    whole, parts = scan(body, which, len(body) + 1), scan(body, which, size)
    if whole != parts:
        raise AssertionError("The result depends on how the bytes arrive.")
    if whole is None:
        return
    nested = (element for items in whole.sequences.values() for item in items for element in item.values())
    kept = [*whole.elements.values(), *nested]
    if sum(len(element.value) for element in kept) > LIMITS.held_bytes or whole.count > LIMITS.elements:
        raise AssertionError("More was kept than the limits allow.")
    content_digest([body], SYNTAXES[which], LIMITS)


def main() -> None:
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

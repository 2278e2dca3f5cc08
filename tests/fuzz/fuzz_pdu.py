"""Fuzzes what a stranger's bytes reach first: `python -m tests.fuzz.fuzz_pdu -runs=20000` (libFuzzer's options)."""

import sys

import atheris

with atheris.instrument_imports(include=["leadglass.dimse", "leadglass.errors"]):
    from leadglass.dimse.association import Association
    from leadglass.dimse.events import CommandReceived
    from leadglass.dimse.items import UserInformation
    from leadglass.dimse.message import CStoreRq, decode_command, encode_command
    from leadglass.dimse.negotiation import choose, propose
    from leadglass.dimse.pdu import AssociateAc, AssociateRq, decode, encode
    from leadglass.errors import ProtocolError
    from leadglass.model import AssociationLimits

LIMITS = AssociationLimits()
USER = UserInformation(LIMITS.max_pdu, "1.2.3")
RQ = AssociateRq("CALLED", "CALLING", propose([("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])]), USER)
RESULTS = choose(RQ.contexts, lambda _: ["1.2.840.10008.1.2"])


def fuzz(data: bytes) -> None:
    """The first byte chooses a door. What is read survives a round trip; only ProtocolError is raised."""
    if not data:
        return
    door, rest = data[0], data[1:]
    try:
        if door < 0x40:
            _decode(door & 7, rest)
        elif door < 0x80:
            message, has_data_set = decode_command(rest)
            assert decode_command(encode_command(message, has_data_set)) == (message, has_data_set)
        elif door < 0xC0:
            Association.acceptor(LIMITS).receive(rest)
        else:
            _talk(rest)
    except ProtocolError:
        return


def _decode(pdu_type: int, body: bytes) -> None:
    pdu = decode(pdu_type, memoryview(body), LIMITS)
    encoded = encode(pdu)
    assert decode(encoded[0], memoryview(encoded)[6:], LIMITS) == pdu


def _talk(data: bytes) -> None:
    acceptor = Association.acceptor(LIMITS)
    acceptor.receive(encode(RQ))
    acceptor.accept(RESULTS, USER)
    for event in acceptor.receive(data):
        if isinstance(event, CommandReceived):
            assert event.context_id in acceptor.contexts


def corpus() -> list[bytes]:
    """Well-formed beginnings, one for each door."""
    command = encode_command(CStoreRq(1, "1.2.3", "1.2.4"), True)
    data_values = len(command).to_bytes(4, "big")
    return [
        b"\x01" + encode(RQ)[6:],
        b"\x02" + encode(AssociateAc("CALLED", "CALLING", RESULTS, USER))[6:],
        b"\x40" + command,
        b"\x80" + encode(RQ),
        b"\xc0\x04\x00" + (len(command) + 6).to_bytes(4, "big") + data_values + b"\x01\x03" + command,
    ]


def main() -> None:
    for seed in corpus():
        fuzz(seed)
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

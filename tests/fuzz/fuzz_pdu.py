"""Fuzzes what a stranger's bytes reach first: `python -m tests.fuzz.fuzz_pdu -runs=20000` (libFuzzer's options)."""

import sys
from dataclasses import replace

import atheris

with atheris.instrument_imports(include=["leadglass.dimse", "leadglass.errors"]):
    from leadglass.dimse.association import Association
    from leadglass.dimse.events import CommandReceived
    from leadglass.dimse.items import (
        AsyncWindow,
        CommonExtendedNegotiation,
        ExtendedNegotiation,
        RoleSelection,
        UserIdentity,
        UserInformation,
    )
    from leadglass.dimse.message import CStoreRq, decode_command, encode_command
    from leadglass.dimse.negotiation import choose, propose
    from leadglass.dimse.pdu import AssociateAc, AssociateRq, decode, encode
    from leadglass.errors import ProtocolError
    from leadglass.model import AssociationLimits

LIMITS = AssociationLimits()
USER = UserInformation(LIMITS.max_pdu, "1.2.3")
RQ = AssociateRq("CALLED", "CALLING", propose([("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])]), USER)
RESULTS = choose(RQ.contexts, lambda _: ["1.2.840.10008.1.2"])


def _seeds() -> list[bytes]:
    """Well-formed bytes for each door."""
    identity = UserIdentity(2, True, b"name", b"secret")
    rich = replace(
        RQ,
        user=replace(
            USER,
            implementation_version="NAME",
            async_window=AsyncWindow(1, 1),
            roles=(RoleSelection("1.2.3", True, True),),
            extended=(ExtendedNegotiation("1.2.3", b"\1"),),
            common_extended=(CommonExtendedNegotiation("1.2.3", "1.2.4", ("1.2.5",)),),
            user_identity=identity,
        ),
    )
    command = encode_command(CStoreRq(1, "1.2.3", "1.2.4"), True)
    requestor = Association.requestor(LIMITS)
    requestor.request(RQ)
    requestor.receive(encode(AssociateAc("CALLED", "CALLING", RESULTS, USER)))
    return [
        b"\x01" + encode(rich)[6:],
        b"\x02" + encode(AssociateAc("CALLED", "CALLING", RESULTS, USER))[6:],
        b"\x20" + command,
        b"\x40" + encode(rich),
        b"\x60" + requestor.reply(1, CStoreRq(1, "1.2.3", "1.2.4"), b"data") + requestor.release(),
    ]


SEEDS = _seeds()


def fuzz(data: bytes) -> None:
    """The first byte chooses a door. What is read survives a round trip; only ProtocolError is raised."""
    if not data:
        return
    door, rest = data[0], data[1:]
    if door & 0x80:
        seed = SEEDS[door % len(SEEDS)]
        door, rest = seed[0], _edited(seed[1:], rest)
    try:
        if door < 0x20:
            _decode(door & 7, rest)
        elif door < 0x40:
            message, has_data_set = decode_command(rest)
            assert decode_command(encode_command(message, has_data_set)) == (message, has_data_set)
        elif door < 0x60:
            Association.acceptor(LIMITS).receive(rest)
        else:
            _talk(rest)
    except ProtocolError:
        return


def _edited(seed: bytes, edits: bytes) -> bytes:
    """The seed with bytes replaced at positions that the fuzzer chooses, so that it need not find the format first."""
    edited = bytearray(seed)
    for start in range(0, len(edits) - 2, 3):
        edited[int.from_bytes(edits[start : start + 2], "big") % len(edited)] = edits[start + 2]
    return bytes(edited)


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


def main() -> None:
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""What is disarmed on its way in: stored without what could hurt, otherwise byte for byte, its original sealed beside,
both in one commit; retries are known by what was received.
"""

import json
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.filereader import read_dataset

from leadglass.archive.archive import Archive
from leadglass.archive.identity import Placed, Placement
from leadglass.archive.quarantine import destroy, open_quarantined, quarantined, release
from leadglass.archive.store import Received, StoreSession
from leadglass.dicom import uids
from leadglass.errors import Quarantined, UsageError
from leadglass.inspection.disarm import ORIGINAL_ATTRIBUTES_SEQUENCE
from leadglass.model import Principal, Role
from tests.archive.opened import LOCAL, checked, device, opened
from tests.dicom.builders import END_OF_ITEM, END_OF_SEQUENCE, UNDEFINED, implicit, item, long, short
from tests.hostile import samples
from tests.hostile.case import PIXELS, PRIVATE, ROOT, SC, element, encode, image, pixels
from tests.served import Served

STEWARD = device("steward", Role.STEWARD)
CLEAN = encode(image() | {PIXELS: pixels()})
#: A private archive, and beside it what stays: another private element, odd forms, retired ones.
KEPT_PRIVATE = {0x00090010: (b"LO", b"LEADGLASS TEST"), 0x00091020: (b"OB", b"measured")}
ARCHIVED = samples.zipped()
PAYLOAD = element(PRIVATE, b"OB", ARCHIVED)


def arrive(
    archive: Archive,
    data_set: bytes,
    *,
    syntax: str = uids.EXPLICIT_LE,
    sop_class: str = SC,
    sender: Principal | None = None,
) -> Placed:
    received = Received(sop_class, f"{ROOT}.1.1.1", syntax)
    with StoreSession(archive, sender or device(), received) as session:
        for at in range(0, len(data_set), 1000):
            session.write(data_set[at : at + 1000])
        return session.finish()


def kept(archive: Archive) -> bytes:
    """The bytes of the only instance."""
    (row,) = archive.index.all_instances()
    return b"".join(archive.open(row).chunks())


def original(archive: Archive, state: str = "disarmed") -> bytes:
    (row,) = quarantined(archive, STEWARD, state)
    return b"".join(open_quarantined(archive, row).chunks())


def armed() -> bytes:
    return encode(image() | KEPT_PRIVATE | {PRIVATE: (b"OB", ARCHIVED), PIXELS: pixels()})


def disarmed_by_hand(before: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """What stays before and behind the place of the Original Attributes Sequence."""
    assert before.count(payload) == 1
    rest = before.replace(payload, b"")
    at = rest.index(b"\xe0\x7f\x10\0")
    return rest[:at], rest[at:]


def test_what_follows_the_data_set_is_cut_and_nothing_else(furnished: Served, tmp_path: Path) -> None:
    sent = CLEAN + bytes(99)
    with opened(furnished.copy(tmp_path)) as archive:
        placed = arrive(archive, sent)
        assert (placed.placement, placed.disarmed, placed.removed) == (Placement.STORED, True, ())
        assert kept(archive) == CLEAN
        assert original(archive) == sent
        assert checked(archive).problems == ()


def test_a_private_payload_is_taken_out_and_named(furnished: Served, tmp_path: Path) -> None:
    sent = armed()
    before, behind = disarmed_by_hand(sent, PAYLOAD)
    with opened(furnished.copy(tmp_path)) as archive:
        placed = arrive(archive, sent)
        assert placed.removed == ("(0009,1010)",)
        stored = kept(archive)
        assert stored.startswith(before)
        assert stored.endswith(behind)
        added = read_dataset(BytesIO(stored[len(before) : len(stored) - len(behind)]), False, True)
        assert [int(each.tag) for each in added] == [ORIGINAL_ATTRIBUTES_SEQUENCE]
        assert list(added.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].keys()) == [(0x0009, 0x1010)]
        assert original(archive) == sent
        assert checked(archive).problems == ()


def odd_forms() -> dict[str, tuple[str, bytes, bytes]]:
    """Encodings with things in them that a rewriter would put right: none of it may change."""
    described = image()
    low = {tag: described[tag] for tag in described if tag < 0x00090000}
    high = {tag: described[tag] for tag in described if tag > 0x00090000} | {PIXELS: pixels()}
    wrong_group_length = short(0x00080000, b"UL", (7).to_bytes(4, "little"))
    open_sequence = long(0x00081140, b"SQ", item(short(0x00081150, b"UI", b"1.2\0"), UNDEFINED), UNDEFINED)
    open_sequence += END_OF_ITEM + END_OF_SEQUENCE
    padded = long(0xFFFCFFFC, b"OB", bytes(34))
    explicit = wrong_group_length + encode(low) + open_sequence + PAYLOAD + encode(high) + padded
    plain = {tag: value + b"\0" * (len(value) & 1) for tag, (_, value) in (low | high).items()}
    hidden = implicit(PRIVATE, samples.RAR)
    closed = implicit(0x00081140, item(implicit(0x00081150, b"1.2\0")))
    implied = b"".join(
        (
            *(implicit(tag, plain[tag]) for tag in sorted(plain) if tag < 0x00090000),
            closed,
            implicit(0x00090010, b"LEADGLASS TEST"),
            hidden,
            *(implicit(tag, plain[tag]) for tag in sorted(plain) if tag > 0x00090000),
        )
    )
    return {"explicit": (uids.EXPLICIT_LE, explicit, PAYLOAD), "implicit": (uids.IMPLICIT_LE, implied, hidden)}


@pytest.mark.parametrize("form", ["explicit", "implicit"])
def test_odd_forms_stay_as_they_are(furnished: Served, tmp_path: Path, form: str) -> None:
    syntax, sent, payload = odd_forms()[form]
    before, behind = disarmed_by_hand(sent, payload)
    with opened(furnished.copy(tmp_path)) as archive:
        assert arrive(archive, sent, syntax=syntax).removed
        stored = kept(archive)
        assert (stored[: len(before)], stored[len(stored) - len(behind) :]) == (before, behind)


def test_both_hashes_are_events(furnished: Served, tmp_path: Path) -> None:
    sent = armed()
    with opened(furnished.copy(tmp_path)) as archive:
        arrive(archive, sent)
        hashes = {"received": sha256(sent).hexdigest(), "stored": sha256(kept(archive)).hexdigest()}
        for action in ("disarm", "store"):
            (event,) = archive.index.events(action=action)
            assert hashes.items() <= json.loads(event.content)["d"].items()
        assert json.loads(next(iter(archive.index.events(action="disarm"))).content)["d"]["removed"] == ["(0009,1010)"]


def test_a_retry_is_answered_as_the_first_time_and_stored_once(furnished: Served, tmp_path: Path) -> None:
    folder = furnished.copy(tmp_path)
    with opened(folder) as archive:
        arrive(archive, armed())
        packs = archive.index.pack_ends()
        again = arrive(archive, armed())
        assert (again.placement, again.removed) == (Placement.DUPLICATE, ("(0009,1010)",))
        assert archive.index.pack_ends() == packs
        (row,) = quarantined(archive, STEWARD, "disarmed")
        assert row.attempts == 2
        kept(archive)
    with opened(folder) as archive:
        assert archive.repaired == ()
        assert arrive(archive, armed()).placement is Placement.DUPLICATE


def test_a_clean_version_that_is_there_is_the_same(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        arrive(archive, CLEAN)
        packs = archive.index.pack_ends()
        assert arrive(archive, CLEAN + bytes(10)).placement is Placement.DUPLICATE
        assert archive.index.pack_ends() == packs
        assert list(quarantined(archive, STEWARD, "disarmed")) == []


def test_the_original_stays_as_long_as_its_instance(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        arrive(archive, armed())
        (row,) = quarantined(archive, STEWARD, "disarmed")
        for verb in (destroy, release):
            with pytest.raises(UsageError, match="disarmed already"):
                verb(archive, STEWARD, row.id)
        assert original(archive) == armed()


def test_what_cannot_be_cut_is_held_back(furnished: Served, tmp_path: Path) -> None:
    nested = item(short(0x00090010, b"LO", b"LEADGLASS TEST") + PAYLOAD)
    within = encode(image() | {0x00081140: (b"SQ", nested), PIXELS: pixels()})
    with opened(furnished.copy(tmp_path)) as archive:
        with pytest.raises(Quarantined, match="payload"):
            arrive(archive, within)
        with pytest.raises(Quarantined, match="payload"):
            arrive(archive, samples.deflated(armed()), syntax="1.2.840.10008.1.2.1.99")
        assert list(archive.index.all_instances()) == []
        assert len(list(quarantined(archive, STEWARD))) == 2


def test_what_is_released_is_disarmed_all_the_same(furnished: Served, tmp_path: Path) -> None:
    """Released is what would be stored if the held-back reasons were none."""
    sent = encode(image() | {0x00204000: (b"LT", samples.EICAR_FILE), PIXELS: pixels()})
    with opened(furnished.copy(tmp_path)) as archive:
        with pytest.raises(Quarantined):
            arrive(archive, sent + bytes(10))
        (row,) = quarantined(archive, STEWARD)
        release(archive, STEWARD, row.id)
        assert kept(archive) == sent
        assert original(archive, "released") == sent + bytes(10)
        assert arrive(archive, sent + bytes(10)).placement is Placement.DUPLICATE
        assert checked(archive).problems == ()


def test_objects_of_private_classes_are_released(furnished: Served, tmp_path: Path) -> None:
    """By a steward, who is not enrolled for the class as its sender is."""
    sop_class = "1.2.3.4.5"
    own = replace(device(), private_sop_classes=frozenset({sop_class}))
    sent = encode(image() | {0x00080016: (b"UI", sop_class.encode()), 0x00204000: (b"LT", samples.EICAR_FILE)})
    with opened(furnished.copy(tmp_path)) as archive:
        with pytest.raises(Quarantined):
            arrive(archive, sent, sop_class=sop_class, sender=own)
        (row,) = quarantined(archive, STEWARD)
        release(archive, LOCAL, row.id)
        assert kept(archive) == sent

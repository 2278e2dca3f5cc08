"""A disarmed object holds what the original held, byte for byte, without what could hurt; and says what was removed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO

import pydicom
import pytest

from leadglass.dicom.part10 import encode_file_meta, read_file_meta
from leadglass.dicom.uids import EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES
from leadglass.errors import DataSetError
from leadglass.inspection.disarm import ORIGINAL_ATTRIBUTES_SEQUENCE, Edit, Survey, apply, plan
from leadglass.inspection.files import FileInspector
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import VerdictKind
from leadglass.model import DataSetLimits
from tests.dicom.builders import END_OF_SEQUENCE, UNDEFINED, implicit, item, long, short
from tests.hostile import samples
from tests.hostile.case import PIXELS, Case, clean, encode, image, part10, pixels, private, whole
from tests.hostile.cases import all_cases

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LIMITS = DataSetLimits()


def disarm(data: bytes, *, size: int = 1000) -> bytes:
    """As a door does: inspected, surveyed, edited, in pieces."""
    report = FileInspector().inspect(BytesIO(data))
    assert report.meta is not None
    start = report.meta.data_offset
    body = data[start:]
    offsets = [each.offset - start for each in report.findings if each.reason is Reason.PRIVATE_PAYLOAD]
    syntax = TRANSFER_SYNTAXES[report.meta.transfer_syntax]
    survey = Survey(syntax, LIMITS, offsets)
    for piece in pieces(body[: report.data_length], size):
        survey.feed(piece)
    edits = plan(survey.finish(), NOW)
    head = encode_file_meta(report.meta.sop_class, report.meta.sop_instance, syntax.uid)
    return head + b"".join(apply(edits, pieces(body, size)))


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


DISARMED = [case for case in all_cases() if case.kind is VerdictKind.DISARM]


@pytest.mark.parametrize("case", DISARMED, ids=lambda case: case.name)
def test_what_is_disarmed_is_clean(case: Case) -> None:
    data = disarm(case.make())
    report = FileInspector().inspect(BytesIO(data))
    assert report.kind is VerdictKind.ACCEPT, report.findings
    assert data == disarm(case.make(), size=7)
    assert disarm(data) == data


def test_only_the_head_and_the_tail_change() -> None:
    clean_file = whole()
    assert disarm(clean_file) == clean_file
    assert disarm(whole(preamble=b"old workstation", after=bytes(99))) == clean_file


def test_a_removed_element_is_named() -> None:
    before = whole(private(samples.zipped()) | {0x00091020: (b"OB", b"measured")})
    disarmed = pydicom.dcmread(BytesIO(disarm(before)))
    expected = pydicom.dcmread(BytesIO(before))
    assert (0x0009, 0x1010) not in disarmed
    item_of = disarmed[ORIGINAL_ATTRIBUTES_SEQUENCE].value[0]
    assert (item_of.AttributeModificationDateTime, item_of.ReasonForTheAttributeModification) == (
        "20260304050607",
        "CORRECT",
    )
    assert list(item_of.ModifiedAttributesSequence[0].keys()) == [(0x0009, 0x1010)]
    del expected[0x00091010], disarmed[ORIGINAL_ATTRIBUTES_SEQUENCE]
    assert disarmed == expected


@pytest.mark.parametrize("undefined", [False, True])
def test_an_item_is_added_to_what_is_there(undefined: bool) -> None:
    inner = item(short(0x04000565, b"CS", b"COERCE"))
    body = encode(clean() | private(samples.RAR))
    length = UNDEFINED if undefined else None
    body += long(ORIGINAL_ATTRIBUTES_SEQUENCE, b"SQ", inner, length) + (END_OF_SEQUENCE if undefined else b"")
    described = image()
    later = encode({tag: described[tag] for tag in described if tag > 0x04000561} | {PIXELS: pixels()})
    data = disarm(part10(body + later))
    found = pydicom.dcmread(BytesIO(data))
    reasons = {each.ReasonForTheAttributeModification for each in found[ORIGINAL_ATTRIBUTES_SEQUENCE].value}
    assert reasons == {"COERCE", "CORRECT"}
    assert FileInspector().inspect(BytesIO(data)).kind is VerdictKind.ACCEPT


def test_implicit_vr() -> None:
    values = clean() | private(samples.zipped(), b"UN")
    body = b"".join(implicit(tag, values[tag][1] + b"\0" * (len(values[tag][1]) & 1)) for tag in sorted(values))
    found = pydicom.dcmread(BytesIO(disarm(part10(body, syntax=IMPLICIT_LE))))
    assert found.OriginalAttributesSequence[0].ReasonForTheAttributeModification == "CORRECT"


def test_a_payload_within_an_item_cannot_be_cut_out() -> None:
    inner = item(short(0x00090010, b"LO", b"LEADGLASS TEST") + long(0x00091010, b"OB", samples.RAR))
    data = part10(encode(clean() | {0x00081140: (b"SQ", inner)}))
    report = FileInspector().inspect(BytesIO(data))
    assert report.kind is VerdictKind.QUARANTINE
    offset = next(each.offset for each in report.findings if each.reason is Reason.PAYLOAD)
    start = read_file_meta(BytesIO(data)).data_offset
    survey = Survey(TRANSFER_SYNTAXES[EXPLICIT_LE], LIMITS, [offset - start])
    survey.feed(data[start:])
    with pytest.raises(DataSetError, match="no element that can be removed"):
        survey.finish()


def test_more_payloads_than_are_told_one_by_one_are_quarantined() -> None:
    many = {0x00091010 + number: (b"OB", samples.RAR) for number in range(200)}
    report = FileInspector().inspect(BytesIO(whole(private(b"12345678") | many)))
    assert report.kind is VerdictKind.QUARANTINE


def test_edits() -> None:
    edits = (Edit(0, 2, b"AB"), Edit(4, 0, b"+"), Edit(6, 2), Edit(9, None))
    for size in (1, 3, 100):
        assert b"".join(apply(edits, pieces(b"0123456789abc", size))) == b"AB23+458"
    assert b"".join(apply((Edit(3, 0, b"!"),), [b"abc"])) == b"abc!"
    assert b"".join(apply((), [b"abc"])) == b"abc"

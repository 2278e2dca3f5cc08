import pytest

from leadglass.dicom.tags import SERIES_INSTANCE_UID, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from leadglass.dicom.uids import EXPLICIT_LE, TRANSFER_SYNTAXES
from leadglass.errors import DataSetError
from leadglass.inspection.inspector import Inspector, Verdict, VerdictKind
from leadglass.model import DataSetLimits
from tests.dicom.builders import NAME, long, short
from tests.hostile import samples

WANTED = frozenset({SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID})


def inspect(body: bytes) -> Verdict:
    inspector = Inspector(TRANSFER_SYNTAXES[EXPLICIT_LE], DataSetLimits(), wanted=WANTED)
    for at in range(0, len(body), 50):
        inspector.feed(body[at : at + 50])
    return inspector.finish()


def whole(values: dict[int, bytes]) -> bytes:
    return b"".join(short(tag, b"UI", values[tag]) for tag in sorted(values))


UIDS = dict.fromkeys(WANTED, b"1.20")


def test_accepts_with_notes() -> None:
    verdict = inspect(whole(UIDS))
    assert (verdict.kind, verdict.reasons) == (VerdictKind.ACCEPT, ())
    assert set(verdict.scan.elements) == WANTED
    verdict = inspect(whole(UIDS) + NAME)
    assert (verdict.kind, verdict.reasons) == (VerdictKind.ACCEPT, ("element-order",))


@pytest.mark.parametrize("tag", sorted(WANTED))
def test_rejects_what_it_cannot_identify(tag: int) -> None:
    absent = {other: value for other, value in UIDS.items() if other != tag}
    for values, word in (
        (absent, "missing-"),
        (UIDS | {tag: b"\0\0"}, "missing-"),
        (UIDS | {tag: b"1..2"}, "invalid-"),
    ):
        verdict = inspect(whole(values))
        assert verdict.kind is VerdictKind.REJECT
        assert [reason.startswith(word) for reason in verdict.reasons] == [True]


def test_raises_for_what_is_no_data_set() -> None:
    for body in (b"\xff" * 100, NAME[:-2]):
        with pytest.raises(DataSetError):
            inspect(body)


def test_heavy_reasons() -> None:
    odd = whole(UIDS) + long(0x00091011, b"OB", samples.RAR) + NAME[:4] + b"LO" + NAME[6:]
    verdict = inspect(odd + long(0x00282000, b"OB", samples.pe()))
    assert verdict.kind is VerdictKind.QUARANTINE
    assert verdict.heavy(VerdictKind.QUARANTINE) == {"executable", "payload"}
    assert verdict.heavy(VerdictKind.DISARM) == frozenset()
    assert verdict.heavy(VerdictKind.REJECT) == frozenset()
    assert dict(verdict.counts).keys() == set(verdict.reasons)


def test_what_is_cut_by_those_who_can_is_refused_by_others() -> None:
    tail = whole(UIDS) + samples.zipped()
    with pytest.raises(DataSetError, match="Bytes follow the last element"):
        inspect(tail)
    for body, reason in (
        (tail, "trailing-bytes"),
        (whole(UIDS) + long(0x00291010, b"OB", samples.RAR), "private-payload"),
    ):
        inspector = Inspector(TRANSFER_SYNTAXES[EXPLICIT_LE], DataSetLimits(), wanted=WANTED, may_disarm=True)
        inspector.feed(body)
        assert reason in inspector.finish().heavy(VerdictKind.DISARM)

"""Retests: new, still open, fixed only by a look at the same door, and unknown for all else."""

from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.assess.baseline import Baseline, compare, read_baseline
from leadglass.assess.catalogue import findings_of
from leadglass.assess.observation import HostResult, ObservationKind, ServiceResult
from leadglass.assess.report import html, json
from leadglass.assess.report.model import Change, Changes
from leadglass.assess.report.sign import ReportFormat, sign
from leadglass.errors import FormatError, NotFound, VerificationFailed
from tests.assess.reports import KEY, door, host, hosts, report, seen

K = ObservationKind


def kept(folder: Path, found: tuple[HostResult, ...]) -> Baseline:
    """The baseline that a report of `found` is, by way of its file."""
    path = folder / "old.json"
    path.write_bytes(sign(ReportFormat.JSON, json.render(report(found)), KEY))
    return read_baseline(path)


def retest(folder: Path, before: ServiceResult, after: ServiceResult | None) -> Changes:
    now = () if after is None else (host(after),)
    return compare(kept(folder, (host(before),)), findings_of(now), now)


def test_the_same_again_is_still_open(tmp_path: Path) -> None:
    changes = compare(kept(tmp_path, hosts()), findings_of(hosts()), hosts())
    assert not (changes.new or changes.fixed or changes.unknown)
    assert changes.still_open == {each.fingerprint for each in findings_of(hosts())}
    assert {changes.of(each) for each in changes.still_open} == {Change.STILL_OPEN}


def test_what_was_not_there_is_new(tmp_path: Path) -> None:
    changes = compare(kept(tmp_path, ()), findings_of(hosts()), hosts())
    assert changes.new == {each.fingerprint for each in findings_of(hosts())}


def test_what_a_second_look_does_not_find_is_fixed(tmp_path: Path) -> None:
    closed = door(4242, "dicom-tls", seen(K.DIMSE_REJECTED, {"tls": "anonymous"}))
    changes = retest(tmp_path, hosts()[0].services[0], closed)
    assert "images-retrievable" in {each.kind for each in changes.fixed}
    assert not changes.unknown


@pytest.mark.parametrize(
    "after",
    [
        None,
        door(4242, "dicom"),
        door(4242, "unknown", unknowns=("it no longer answered",)),
        door(4242, "dicom", seen(K.DIMSE_REJECTED, {"tls": "stranger"}), unknowns=("the query broke off",)),
        door(4243, "dicom", seen(K.DIMSE_REJECTED, {"tls": "stranger"})),
        door(4242, "dicom", seen(K.DIMSE_REJECTED, {"tls": "stranger"}, evidence=False)),
    ],
    ids=["gone", "silent", "unanswering", "half", "elsewhere", "unproven"],
)
def test_what_was_not_looked_at_again_is_unknown(tmp_path: Path, after: ServiceResult | None) -> None:
    changes = retest(tmp_path, door(4242, "dicom", seen(K.DIMSE_STORE_INDICATED)), after)
    assert [each.kind for each in changes.unknown] == ["write-indicated"]
    assert not changes.fixed


def test_a_password_that_was_not_tried_again_may_still_work(tmp_path: Path) -> None:
    before = door(8042, "http", seen(K.DEFAULT_CREDENTIALS, {"accepted": True, "user": "orthanc"}))
    untried = retest(tmp_path, before, door(8042, "http", seen(K.OTHER_SERVICE)))
    assert [each.kind for each in untried.unknown] == ["default-credentials"]
    tried = retest(tmp_path, before, door(8042, "http", seen(K.DEFAULT_CREDENTIALS, {"accepted": False})))
    assert [each.kind for each in tried.fixed] == ["default-credentials"]


def test_images_that_did_not_come_this_time_while_retrieval_is_offered_are_unknown(tmp_path: Path) -> None:
    before = door(104, "dicom", seen(K.DIMSE_RETRIEVE, {"proven": 5, "tried": 5}))
    changes = retest(tmp_path, before, door(104, "dicom", seen(K.DIMSE_RETRIEVE, {"proven": 0, "tried": 5})))
    assert [each.kind for each in changes.unknown] == ["images-retrievable"]
    assert len(changes.new) == 1


def test_a_kind_of_a_later_release_is_unknown(tmp_path: Path) -> None:
    baseline = kept(tmp_path, (host(door(104, "ftp", seen(K.FTP_ANONYMOUS))),))
    later = replace(baseline, findings=tuple(replace(each, kind="of-tomorrow") for each in baseline.findings))
    now = (host(door(104, "ftp", seen(K.OTHER_SERVICE))),)
    assert len(compare(later, findings_of(now), now).unknown) == 1


def test_a_baseline_must_be_signed_and_a_json_report(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    with pytest.raises(NotFound):
        read_baseline(path)
    path.write_bytes(json.render(report()))
    with pytest.raises(VerificationFailed):
        read_baseline(path)
    path.write_bytes(sign(ReportFormat.JSON, json.render(report()), KEY).replace(b"Northfield", b"Southfield"))
    with pytest.raises(VerificationFailed):
        read_baseline(path)
    path.write_bytes(sign(ReportFormat.HTML, html.render(report()), KEY))
    with pytest.raises(FormatError):
        read_baseline(path)
    path.write_bytes(sign(ReportFormat.JSON, b'{\n  "format": "another"\n}\n', KEY))
    with pytest.raises(FormatError):
        read_baseline(path)

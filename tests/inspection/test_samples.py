"""Clean files pass untouched: every sample, and every file that pydicom packages. What does not is named, with why."""

from pathlib import Path

import pytest

from leadglass.inspection.engines import Engines
from leadglass.inspection.files import FileInspector
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import VerdictKind
from leadglass.inspection.yara import RuleSet
from tests.dicom.oracle import sample_files

_NO_UIDS = frozenset({Reason.MISSING_STUDY, Reason.MISSING_SERIES})
_NO_UIDS_AT_ALL = _NO_UIDS | {Reason.MISSING_SOP_CLASS, Reason.MISSING_SOP_INSTANCE}
#: Name → reasons that make it broken. Each is a file that no archive can file or no decoder can read.
BROKEN = {
    # No Study or Series Instance UID, type 1 in each composite object: an archive cannot file it.
    "fo-dicom__multiframe.dcm": {Reason.MISSING_STUDY, Reason.CODESTREAM_SIZE},  # each 14th frame: 55 of 240 columns
    "HTJ2KLossless_08_RGB.dcm": _NO_UIDS,
    "JPEGLSNearLossless_08.dcm": _NO_UIDS,
    "JPEGLSNearLossless_16.dcm": _NO_UIDS,
    "SC_rgb_jls_lossy_line.dcm": _NO_UIDS,
    "SC_rgb_jls_lossy_sample.dcm": _NO_UIDS,
    "UN_sequence.dcm": _NO_UIDS_AT_ALL,
    "empty_charset_LEI.dcm": _NO_UIDS_AT_ALL,
    "nested_priv_SQ.dcm": _NO_UIDS_AT_ALL,
    "no_meta_group_length.dcm": _NO_UIDS_AT_ALL,
    "priv_SQ.dcm": _NO_UIDS_AT_ALL,
    # Cut off, or encoded otherwise than they say.
    "MR_truncated.dcm": {Reason.MALFORMED},
    "rtplan_truncated.dcm": {Reason.MALFORMED},
    "SC_rgb_jpeg.dcm": {Reason.MALFORMED},
    "DICOMDIR-nooffset": {Reason.MALFORMED},  # an item longer than the sequence that holds it
    # Its codestream's size was overwritten with a delimiter: 3,722,445,056 columns. No decoder reads it.
    "JPEG2000-embedded-sequence-delimiter.dcm": {Reason.FRAME_BOUND},
    "no_meta.dcm": {Reason.NOT_DICOM},  # a stray space before the data set
    "meta_missing_tsyntax.dcm": {Reason.MALFORMED},  # no transfer syntax, and a first group 0001
}
#: Files whose preamble is neither zeros nor the header of a TIFF that is there: it is cleared, nothing else.
DISARMED = {
    "CT_small.dcm",
    *("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm"),
    *("MR_small_padded.dcm", "MR_truncated.dcm", "examples_rgb_color.dcm", "FO-DICOM.Tests_Test_Data_GH184.dcm"),
    *("17106", "17136", "17166", "17196", "2062", "2392", "2693", "3023", "3353"),
}
OTHER_FORMATS = (".dump", ".fdf", ".gz", ".icc", ".json", ".md", ".py", ".txt", "README", ".csv")
HEAVY = {VerdictKind.QUARANTINE, VerdictKind.REJECT}


def plain(name: str) -> str:
    for prefix in ("pydicom__", "pydicom-data__", "fo-dicom__FO-DICOM"):
        name = name.removeprefix(prefix) if not prefix.startswith("fo-") else name.replace(prefix, "FO-DICOM")
    return name


@pytest.mark.parametrize("path", sample_files(), ids=lambda path: path.name)
def test_sample(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        report = FileInspector(engines=Engines((RuleSet().begin,))).inspect(file)
    codes = set(report.reasons)
    name = plain(path.name)
    if path.name.endswith(OTHER_FORMATS):
        assert codes == {Reason.NOT_DICOM.code}
        return
    heavy = {finding.reason for finding in report.findings if finding.reason.weight.name in ("QUARANTINE", "REJECT")}
    assert heavy == BROKEN.get(name, set()), [(each.reason.code, each.path, each.detail) for each in report.findings]
    assert (report.kind in HEAVY) == (name in BROKEN)
    assert (Reason.PREAMBLE.code in codes) == (name in DISARMED)
    assert Reason.TRAILING.code not in codes

"""Every readable file of the samples and of pydicom's package, stored byte for byte and retrieved in its own syntax."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pydicom
import pytest

from leadglass.dicom import tags, uids
from leadglass.dicom.attributes import decode_elements
from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.reader import DataSetScanner
from leadglass.dimse.status import SUCCESS
from leadglass.errors import DataSetError, LeadglassError
from leadglass.inspection.inspector import Inspector, VerdictKind
from leadglass.model import DataSetLimits
from tests.clients import connected, get
from tests.served import Served

PACKAGED = Path(pydicom.__file__).parent / "data"
_REPOSITORY = Path(__file__).parents[2]
SAMPLES = Path(os.environ.get("LEADGLASS_SAMPLES", _REPOSITORY.parent / "shared" / "samples"))
_WANTED = frozenset(
    {
        tags.SPECIFIC_CHARACTER_SET,
        tags.SOP_CLASS_UID,
        tags.SOP_INSTANCE_UID,
        tags.STUDY_INSTANCE_UID,
        tags.SERIES_INSTANCE_UID,
        tags.PATIENT_ID,
        tags.ISSUER_OF_PATIENT_ID,
    }
)

NOT_DICOM, A_DICOMDIR = "not DICOM", "is a DICOMDIR"
CUT_SHORT = "cut short"
HELD_BACK = "frame-beyond-limit"
NO_VR = "has no VR"  # Implicit VR under a transfer syntax that PS3.5 A.4 makes Explicit VR
NO_STUDY = "missing-study-instance-uid"
NO_UIDS = "missing-sop-class-uid"  # a fragment made for a parser's test
NON_PATIENT = "a colour palette, which belongs to no patient (PS3.4 GG.3)"
#: What cannot be stored, by name, and why.
UNSTORABLE: Mapping[str, str] = {
    "data_palettes_summer.dcm": NON_PATIENT,
    "fall.dcm": NON_PATIENT,
    "hotiron.dcm": NON_PATIENT,
    "hotmetalblue.dcm": NON_PATIENT,
    "pet.dcm": NON_PATIENT,
    "pet20step.dcm": NON_PATIENT,
    "spring.dcm": NON_PATIENT,
    "summer.dcm": NON_PATIENT,
    "winter.dcm": NON_PATIENT,
    "DICOMDIR": A_DICOMDIR,
    "DICOMDIR-bigEnd": A_DICOMDIR,
    "DICOMDIR-bigEnd.dcm": A_DICOMDIR,
    "DICOMDIR-empty.dcm": A_DICOMDIR,
    "DICOMDIR-implicit": A_DICOMDIR,
    "DICOMDIR-nooffset": A_DICOMDIR,
    "DICOMDIR-nopatient": A_DICOMDIR,
    "DICOMDIR-reordered": A_DICOMDIR,
    "MR_truncated.dcm": CUT_SHORT,
    "rtplan_truncated.dcm": CUT_SHORT,
    "SC_rgb_jpeg.dcm": NO_VR,
    "JPEG2000-embedded-sequence-delimiter.dcm": HELD_BACK,  # its codestream's header was overwritten with a delimiter
    "fo-dicom__multiframe.dcm": NO_STUDY,
    "pydicom-data__HTJ2KLossless_08_RGB.dcm": NO_STUDY,
    "JPEGLSNearLossless_08.dcm": NO_STUDY,
    "JPEGLSNearLossless_16.dcm": NO_STUDY,
    "SC_rgb_jls_lossy_line.dcm": NO_STUDY,
    "SC_rgb_jls_lossy_sample.dcm": NO_STUDY,
    "UN_sequence.dcm": NO_UIDS,
    "chrSQEncoding.dcm": NO_UIDS,
    "chrSQEncoding1.dcm": NO_UIDS,
    "empty_charset_LEI.dcm": NO_UIDS,
    "nested_priv_SQ.dcm": NO_UIDS,
    "no_meta_group_length.dcm": NO_UIDS,
    "priv_SQ.dcm": NO_UIDS,
    "meta_missing_tsyntax.dcm": NOT_DICOM,  # no transfer syntax, and a first group 0001 that no data set has
    "no_meta.dcm": NOT_DICOM,  # a stray space before the data set
}
OTHER_FORMATS = (".csv", ".dump", ".gz", ".icc", ".json", ".md", ".py", ".pyc", ".txt", "README")


@dataclass(frozen=True, slots=True)
class Sample:
    path: Path
    transfer_syntax: str
    attributes: Mapping[int, str]
    data_set: bytes = field(repr=False)

    @property
    def sop_class(self) -> str:
        return self.attributes[tags.SOP_CLASS_UID]

    @property
    def instance(self) -> str:
        return self.attributes[tags.SOP_INSTANCE_UID]


def files(folder: Path) -> list[Path]:
    if folder == SAMPLES and not folder.is_dir():
        pytest.skip("needs the samples that LEADGLASS_SAMPLES names")
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(found)


def reason(path: Path) -> str:
    """Why a file cannot be stored; "" when it can."""
    if path.name.endswith(OTHER_FORMATS):
        return NOT_DICOM
    return UNSTORABLE.get(path.name, UNSTORABLE.get(path.name.removeprefix("pydicom__"), ""))


@cache
def samples(folder: Path) -> tuple[Sample, ...]:
    return tuple(sample(path) for path in files(folder) if not reason(path))


def sample(path: Path) -> Sample:
    with path.open("rb") as file:
        meta = read_file_meta(file)
        data_set = file.read()
    scanner = DataSetScanner(uids.TRANSFER_SYNTAXES[meta.transfer_syntax], DataSetLimits(), wanted=_WANTED)
    scanner.feed(data_set)
    scan = scanner.finish()
    return Sample(path, meta.transfer_syntax, decode_elements(scan.elements, scan.little_endian), data_set)


class Group:
    """Samples that one archive can hold: no two with a UID in common that they fill differently."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._instances: set[str] = set()
        self._patients: dict[str, tuple[str, ...]] = {}
        self._studies: dict[str, str] = {}

    def take(self, candidate: Sample) -> bool:
        """Whether it fitted in."""
        text = candidate.attributes.get
        study, series = text(tags.STUDY_INSTANCE_UID, ""), text(tags.SERIES_INSTANCE_UID, "")
        patient = (text(tags.PATIENT_ID, ""), text(tags.ISSUER_OF_PATIENT_ID, ""))
        if candidate.instance in self._instances or self._patients.get(study, patient) != patient:
            return False
        if self._studies.get(series, study) != study:
            return False
        self._instances.add(candidate.instance)
        self._patients[study], self._studies[series] = patient, study
        self.samples.append(candidate)
        return True


def grouped(all_samples: tuple[Sample, ...]) -> list[Group]:
    groups: list[Group] = []
    for each in all_samples:
        if not any(group.take(each) for group in groups):
            groups.append(Group())
            assert groups[-1].take(each)
    return groups


@pytest.fixture
def archives(furnished: Served, tmp_path: Path) -> Iterator["Archives"]:
    made = Archives(furnished, tmp_path)
    yield made
    made.close()


class Archives:
    def __init__(self, furnished: Served, folder: Path) -> None:
        self._furnished = furnished
        self._folder = folder
        self._started: list[Served] = []

    def new(self) -> Served:
        folder = self._folder / str(len(self._started))
        folder.mkdir()
        self._started.append(self._furnished.copy(folder).start())
        return self._started[-1]

    def close(self) -> None:
        for archive in self._started:
            archive.stop()


FOLDERS = pytest.mark.parametrize("folder", [SAMPLES, PACKAGED], ids=["samples", "pydicom"])


@FOLDERS
def test_stored_and_retrieved_byte_for_byte(archives: Archives, folder: Path) -> None:
    for group in grouped(samples(folder)):
        archive = archives.new()
        stored = store_all(archive, group.samples)
        assert {path.name: status for path, status in stored.items() if status != SUCCESS} == {}
        for each in group.samples:
            assert retrieved(archive, each) == each.data_set, each.path.name
        # The same files from disk are the same objects.
        told = archive.run("import", *(str(each.path) for each in group.samples))
        assert told.startswith(f"{len(group.samples)} already there;"), told


def store_all(archive: Served, all_samples: list[Sample]) -> dict[Path, int]:
    """Raw data set bytes over as few associations as 128 presentation contexts allow."""
    pairs = list(dict.fromkeys((each.sop_class, each.transfer_syntax) for each in all_samples))
    statuses = {}
    for start in range(0, len(pairs), 128):
        proposed = pairs[start : start + 128]
        with connected(archive, "scanner", *proposed) as scanner:
            for each in all_samples:
                if (each.sop_class, each.transfer_syntax) in proposed:
                    chunks = (each.data_set,)
                    response = scanner.store(each.sop_class, each.instance, each.transfer_syntax, chunks)
                    statuses[each.path] = response.status
    return statuses


def retrieved(archive: Served, each: Sample) -> bytes:
    keys = {
        tags.STUDY_INSTANCE_UID: each.attributes[tags.STUDY_INSTANCE_UID],
        tags.SERIES_INSTANCE_UID: each.attributes[tags.SERIES_INSTANCE_UID],
        tags.SOP_INSTANCE_UID: each.instance,
    }
    response, _, received = get(archive, keys, (each.sop_class, each.transfer_syntax), level="IMAGE")
    assert (response.status, list(received)) == (SUCCESS, [each.instance]), each.path.name
    return received[each.instance]


@FOLDERS
def test_what_cannot_be_stored_is_refused_for_its_reason(folder: Path) -> None:
    for path in files(folder):
        expected = reason(path)
        if expected == NON_PATIENT:
            with path.open("rb") as file:
                assert read_file_meta(file).sop_class not in uids.STORAGE_SOP_CLASSES
        elif expected:
            with pytest.raises(LeadglassError, match=expected):
                inspect(path)


def inspect(path: Path) -> None:
    """Raises DataSetError with what the archive says about a file."""
    with path.open("rb") as file:
        meta = read_file_meta(file)
        inspector = Inspector(uids.TRANSFER_SYNTAXES[meta.transfer_syntax], DataSetLimits(), wanted=_WANTED)
        inspector.feed(file.read())
    verdict = inspector.finish()
    if verdict.kind in (VerdictKind.REJECT, VerdictKind.QUARANTINE):
        raise DataSetError(", ".join(verdict.reasons))


@FOLDERS
def test_import_of_a_whole_folder(archives: Archives, folder: Path) -> None:
    """Some share UIDs: those are stored, kept for review or refused for other pixels, in the order of arrival."""
    archive = archives.new()
    unstorable = [path for path in files(folder) if reason(path)]
    unread = [path for path in unstorable if reason(path) in (NOT_DICOM, A_DICOMDIR)]
    counted = outcomes(archive.run("import", str(folder), status=1))
    assert counted.pop("not DICOM") == len(unread)
    assert sum(counted.values()) == len(files(folder)) - len(unread)
    held_back = [path for path in unstorable if reason(path) == HELD_BACK]
    assert counted.get("quarantined", 0) == len(held_back)
    assert counted["refused"] >= len(unstorable) - len(unread) - len(held_back)
    alike = len(samples(folder)) - len({each.instance for each in samples(folder)})
    assert counted["stored"] + counted.get("kept for review", 0) >= len(samples(folder)) - alike
    # Nothing new the second time.
    again = outcomes(archive.run("import", str(folder), status=1))
    assert again == {
        "already there": counted["stored"] + counted.get("kept for review", 0) + counted.get("already there", 0),
        "refused": counted["refused"],
        **({"quarantined": len(held_back)} if held_back else {}),
        "not DICOM": len(unread),
    }
    assert "0 problems" in archive.run("fsck", "--deep")


def outcomes(told: str) -> dict[str, int]:
    line = next(line for line in told.splitlines() if line.endswith("bytes stored"))
    return {match[2]: int(match[1]) for match in re.finditer(r"(\d+) ([a-zA-Z ]+?)(?=[,;])", line)}

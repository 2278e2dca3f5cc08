"""Signatures that dcmsign of dcmtk makes hold here, whatever the object is stored in, until something is altered."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from leadglass.crypto.certificates import Issued, KeyKind, create_authority, new_device
from leadglass.inspection.files import FileInspector, FileReport
from leadglass.inspection.media import MediaInspector, Subject
from tests.hostile import samples as s
from tests.hostile.case import JPEG, RLE, encapsulated, fragments, private, whole
from tests.served import peer_program

VALID, INVALID, UNCHECKED = "signature-valid", "signature-invalid", "signature-not-checked"


@dataclass(frozen=True, slots=True)
class Signer:
    """dcmsign with a key and a certificate of our own."""

    folder: Path
    program: str

    def sign(self, data: bytes, *words: str, kind: KeyKind = "rsa", item: str = "") -> bytes:
        before, after = self.folder / "before.dcm", self.folder / "after.dcm"
        before.write_bytes(data)
        pair = (str(self.folder / f"{kind}.key"), str(self.folder / f"{kind}.crt"))
        order = ("+si", *pair, item) if item else ("+s", *pair)
        subprocess.run([self.program, *order, "+m2", *words, before, after], check=True, capture_output=True)
        return after.read_bytes()

    def accepts(self, data: bytes) -> bool:
        path = self.folder / "verified.dcm"
        path.write_bytes(data)
        done = subprocess.run([self.program, "--verify", "+cf", self.folder / "ca.crt", path], capture_output=True)
        return done.returncode == 0


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    folder = tmp_path_factory.mktemp("signer")
    authority = create_authority("tests")
    issued: dict[str, Issued] = {"rsa": new_device(authority, "rsa"), "ec": new_device(authority, "ec", "ec")}
    for kind, pair in issued.items():
        (folder / f"{kind}.key").write_bytes(pair.key)
        (folder / f"{kind}.crt").write_bytes(pair.certificate.pem)
    (folder / "ca.crt").write_bytes(authority.certificate.pem)
    return Signer(folder, peer_program("dcmsign"))


def looked_at(data: bytes, folder: Path) -> FileReport:
    path = folder / "inspected.dcm"
    path.write_bytes(data)
    (inspected,) = MediaInspector(FileInspector()).inspect(Subject(path, len(data), 0))
    return inspected.report


def told(data: bytes, folder: Path) -> list[str]:
    codes = (each.reason.code for each in looked_at(data, folder).findings)
    return [code for code in codes if code.startswith("signature-")]


def image() -> bytes:
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    reference.ReferencedSOPInstanceUID = "1.2.3.4"
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = "121322", "DCM", "Source"
    reference.PurposeOfReferenceCodeSequence = Sequence([purpose])
    other = Dataset()
    other.ReferencedSOPInstanceUID = "1.2.3.5"
    data_set = pydicom.dcmread(BytesIO(whole()))
    data_set.SourceImageSequence = Sequence([reference, other])
    return written(data_set)


def written(data_set: pydicom.FileDataset) -> bytes:
    held = BytesIO()
    data_set.save_as(held)
    return held.getvalue()


def changed(data: bytes, change: Callable[[pydicom.FileDataset], None]) -> bytes:
    data_set = pydicom.dcmread(BytesIO(data))
    change(data_set)
    return written(data_set)


FORMS = {
    "an image": lambda: image(),
    "JPEG": lambda: encapsulated(fragments(s.jpeg(), table=bytes(4)), JPEG),
    "RLE in fragments": lambda: encapsulated(fragments(s.rle()[:80], s.rle()[80:]), RLE),
    "bytes behind it": lambda: image(),
}


@pytest.mark.parametrize("words", [("+t=",), ("+tb",), ("-e",), ("+m5",), ("+ms",), ("+mm",), ("+sp", "1")])
def test_they_hold(words: tuple[str, ...], signer: Signer, tmp_path: Path) -> None:
    data = signer.sign(image(), *words)
    assert signer.accepts(data)
    assert told(data, tmp_path) == [VALID]
    assert told(data + bytes(64), tmp_path) == [VALID]


@pytest.mark.parametrize("name", FORMS)
def test_what_they_cover(name: str, signer: Signer, tmp_path: Path) -> None:
    data = signer.sign(FORMS[name]())
    assert told(data, tmp_path) == [VALID]
    report = looked_at(data, tmp_path)
    (found,) = (each for each in report.findings if each.reason.code == VALID)
    assert found.path == "(FFFA,FFFA)[1]"
    assert found.detail.startswith("RSA and SHA256, certificate ")
    pixels = data.rindex(b"\xe0\x7f\x10\0") + 60
    altered = data[:pixels] + bytes([data[pixels] ^ 1]) + data[pixels + 1 :]
    assert not signer.accepts(altered)
    assert told(altered, tmp_path) == [INVALID]


def test_what_they_do_not_cover_may_change(signer: Signer, tmp_path: Path) -> None:
    data = signer.sign(image(), "-t", "PatientName", "-t", "SourceImageSequence")

    def comment(data_set: pydicom.FileDataset) -> None:
        data_set.ImageComments = "later"

    def name(data_set: pydicom.FileDataset) -> None:
        data_set.PatientName = "Somebody^Else"

    def deep(data_set: pydicom.FileDataset) -> None:
        data_set.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeMeaning = "Other"

    def shorter(data_set: pydicom.FileDataset) -> None:
        del data_set.SourceImageSequence[1]

    def removed(data_set: pydicom.FileDataset) -> None:
        del data_set.PatientName

    assert told(changed(data, comment), tmp_path) == [VALID]
    for change in (name, deep, shorter, removed):
        altered = changed(data, change)
        assert not signer.accepts(altered)
        assert told(altered, tmp_path) == [INVALID]


def test_signatures_of_items_and_of_others(signer: Signer, tmp_path: Path) -> None:
    inner = signer.sign(image(), item="SourceImageSequence[1]")
    assert told(inner, tmp_path) == [VALID]
    both = signer.sign(signer.sign(inner), kind="ec")
    assert signer.accepts(both)
    assert told(both, tmp_path) == [VALID] * 3
    paths = {each.path for each in looked_at(both, tmp_path).findings if each.reason.code == VALID}
    assert paths == {"(0008,2112)[2](FFFA,FFFA)[1]", "(FFFA,FFFA)[1]", "(FFFA,FFFA)[2]"}

    def change(data_set: pydicom.FileDataset) -> None:
        data_set.SourceImageSequence[1].ReferencedSOPInstanceUID = "1.2.3.6"

    altered = changed(both, change)
    assert told(altered, tmp_path) == [INVALID] * 3


def test_what_cannot_be_told(signer: Signer, tmp_path: Path) -> None:
    data = signer.sign(image())

    def without_certificate(data_set: pydicom.FileDataset) -> None:
        del data_set.DigitalSignaturesSequence[0].CertificateOfSigner

    def without_parameters(data_set: pydicom.FileDataset) -> None:
        del data_set.MACParametersSequence

    def unknown_algorithm(data_set: pydicom.FileDataset) -> None:
        data_set.MACParametersSequence[0].MACAlgorithm = "SHA3"

    def unknown_syntax(data_set: pydicom.FileDataset) -> None:
        data_set.MACParametersSequence[0].MACCalculationTransferSyntaxUID = "1.2.840.10008.1.2"

    def many(data_set: pydicom.FileDataset) -> None:
        data_set.DigitalSignaturesSequence = Sequence(list(data_set.DigitalSignaturesSequence) * 20)

    for change in (without_certificate, without_parameters, unknown_algorithm, unknown_syntax):
        assert told(changed(data, change), tmp_path) == [UNCHECKED]
    assert told(changed(data, many), tmp_path) == [VALID] * 8 + [UNCHECKED]
    # Implicit VR tells neither OB from OW nor the VR of private elements, and both were signed.
    assert told(signer.sign(image(), "+ti", "-t", "PatientName"), tmp_path) == [VALID]
    assert told(signer.sign(image(), "+ti"), tmp_path) == [UNCHECKED]
    private_data = signer.sign(whole(private(b"measured")), "+ti")
    assert told(private_data, tmp_path) == [UNCHECKED]
    # RIPEMD160, which dcmsign takes unless told otherwise.
    assert told(signer.sign(image(), "+mr"), tmp_path) == [UNCHECKED]

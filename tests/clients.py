"""Our own requestor as an enrolled device, and data sets to send: small, whole, different in just what a test says."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from leadglass.crypto.tls import CertificateChain, client_context
from leadglass.dicom import tags, uids
from leadglass.dicom.part10 import read_file_meta
from leadglass.dimse.items import ProposedContext, RoleSelection, UserIdentity
from leadglass.dimse.message import CGetRsp, CStoreRq, CStoreRsp
from leadglass.dimse.requestor import Requestor
from leadglass.dimse.status import SUCCESS
from leadglass.model import Attributes
from tests.served import Served

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
ROOT = "2.25.300000000000000000000000000000000000"


def ct(
    number: int = 1,
    *,
    study: str = f"{ROOT}.1",
    series: str = "",
    instance: str = "",
    patient_id: str = "P-1",
    patient_name: str = "Planted^Patient",
    pixels: bytes = bytes(range(256)) * 2,
    syntax: str = uids.EXPLICIT_LE,
    **elements: str,
) -> bytes:
    """The encoded data set of a CT slice, 16×16 unless there are more pixels."""
    dataset = Dataset()
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = instance or f"{study}.1.{number}"
    dataset.StudyDate, dataset.StudyTime = "20240102", "030405"
    dataset.AccessionNumber = "A-1"
    dataset.Modality = "CT"
    dataset.PatientName, dataset.PatientID = patient_name, patient_id
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series or f"{study}.1"
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, number
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    columns = min(len(pixels) // 32, 2048)
    dataset.Rows, dataset.Columns = len(pixels) // 2 // columns, columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OW"
    encoded = BytesIO()
    implicit = syntax == uids.IMPLICIT_LE
    dcmwrite(encoded, dataset, implicit_vr=implicit, little_endian=True)
    return encoded.getvalue()


def instance_of(data_set: bytes, syntax: str = uids.EXPLICIT_LE) -> str:
    return str(_parsed(data_set, syntax).SOPInstanceUID)


def _parsed(data_set: bytes, syntax: str) -> Dataset:
    from pydicom.filereader import read_dataset

    return read_dataset(BytesIO(data_set), syntax == uids.IMPLICIT_LE, True, stop_when=lambda tag, *_: tag > 0x0020000E)


@contextmanager
def connected(
    archive: Served,
    device: str,
    *proposals: tuple[str, str],
    retrieves: bool = False,
    aet: str = "",
    called: str = "LEADGLASS",
    user: UserIdentity | None = None,
) -> Iterator[Requestor]:
    """An association as an enrolled device; one context for each (abstract syntax, transfer syntax)."""
    contexts = tuple(
        ProposedContext(2 * number + 1, abstract, (syntax,)) for number, (abstract, syntax) in enumerate(proposals)
    )
    storage = {abstract for abstract, _ in proposals if abstract in uids.STORAGE_SOP_CLASSES}
    roles = tuple(RoleSelection(uid, scu=False, scp=True) for uid in sorted(storage)) if retrieves else ()
    chain = CertificateChain(archive.devices / f"{device}.crt", archive.devices / f"{device}.key")
    with Requestor.connect(
        "127.0.0.1",
        archive.port,
        calling_ae=aet or device.upper(),
        called_ae=called,
        contexts=contexts,
        tls=client_context(archive.devices / "ca.crt", chain),
        server_hostname="localhost",
        roles=roles,
        user_identity=user,
    ) as requestor:
        yield requestor


def store(
    archive: Served, *data_sets: bytes, device: str = "scanner", syntax: str = uids.EXPLICIT_LE
) -> list[CStoreRsp]:
    """Store CT data sets over one association; their bytes go out untouched."""
    with connected(archive, device, (CT, syntax)) as scanner:
        return [scanner.store(CT, instance_of(data, syntax), syntax, (data,)) for data in data_sets]


def find(archive: Served, level: str, keys: Attributes, *, device: str = "workstation") -> list[Attributes]:
    """All matches; the final status must be success."""
    with connected(archive, device, (uids.STUDY_ROOT_FIND, uids.EXPLICIT_LE)) as workstation:
        answers = list(workstation.find(uids.STUDY_ROOT_FIND, {**keys, tags.QUERY_RETRIEVE_LEVEL: level}))
    assert answers[-1][0] == SUCCESS
    return [attributes for _, attributes in answers[:-1]]


def get(
    archive: Served,
    keys: Attributes,
    *proposals: tuple[str, str],
    level: str = "STUDY",
    device: str = "workstation",
    root: str = uids.STUDY_ROOT_GET,
) -> tuple[CGetRsp, Attributes, dict[str, bytes]]:
    """Retrieve over one association: final response, its identifier, and data sets by SOP Instance UID."""
    received: dict[str, bytes] = {}

    def keep(request: CStoreRq, _syntax: str, fragments: Iterator[memoryview]) -> int:
        received[request.sop_instance] = b"".join(map(bytes, fragments))
        return SUCCESS

    offered = proposals or ((CT, uids.EXPLICIT_LE),)
    with connected(archive, device, (root, uids.EXPLICIT_LE), *offered, retrieves=True) as workstation:
        response, listed = workstation.get(root, {**keys, tags.QUERY_RETRIEVE_LEVEL: level}, keep)
    return response, listed, received


def part10(path: Path) -> tuple[str, str, str, bytes]:
    """SOP class, instance, transfer syntax and raw data set bytes of a file."""
    with path.open("rb") as file:
        meta = read_file_meta(file)
        return meta.sop_class, meta.sop_instance, meta.transfer_syntax, file.read()


def packaged_files() -> list[Path]:
    """The DICOM files in pydicom's wheel."""
    return sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm"))

"""Other people's acceptors on loopback, and data sets to send them."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from leadglass.dicom.uids import EXPLICIT_LE, STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION
from leadglass.dimse.negotiation import propose
from tests.listening import free_port, until_it_listens
from tests.served import peer_program

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY = "1.2.826.0.1.3680043.8.498.1"
CONTEXTS = propose((uid, [EXPLICIT_LE]) for uid in (VERIFICATION, CT, STUDY_ROOT_FIND, STUDY_ROOT_GET))


def slice_uid(number: int) -> str:
    return f"{STUDY}.1.{number}"


def ct_slice(number: int, pixel_bytes: int = 512) -> bytes:
    """An encoded data set in Explicit VR Little Endian, without file meta information."""
    slice_ = Dataset()
    slice_.SOPClassUID = CT
    slice_.SOPInstanceUID = slice_uid(number)
    slice_.StudyDate = "20240102"
    slice_.StudyTime = "030405"
    slice_.AccessionNumber = ""
    slice_.Modality = "CT"
    slice_.PatientName = "Phantom^Acrylic"
    slice_.PatientID = "PHANTOM-1"
    slice_.StudyInstanceUID = STUDY
    slice_.SeriesInstanceUID = f"{STUDY}.1"
    slice_.StudyID = "1"
    slice_.SeriesNumber = 1
    slice_.InstanceNumber = number
    slice_.PixelData = bytes(pixel_bytes)
    slice_["PixelData"].VR = "OW"
    encoded = BytesIO()
    dcmwrite(encoded, slice_, implicit_vr=False, little_endian=True)
    return encoded.getvalue()


@contextmanager
def pynetdicom_acceptor(
    handlers: dict[Any, Callable[..., Any]], tls: ssl.SSLContext | None = None, **settings: object
) -> Iterator[int]:
    """An acceptor of everything in `CONTEXTS` with these event handlers; yields its port."""
    entity: Any = AE(ae_title="PEER")
    for name, value in settings.items():
        setattr(entity, name, value)
    for context in CONTEXTS:
        entity.add_supported_context(context.abstract_syntax, ExplicitVRLittleEndian, scu_role=True, scp_role=True)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers.items()), ssl_context=tls)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


@contextmanager
def dcmtk(program: str, *arguments: str, directory: Path, log: Path) -> Iterator[int]:
    """A dcmtk server that takes its port as the last argument; yields the port once it listens. Skips as
    `peer_program`."""
    port = free_port()
    executable = peer_program(program)
    with log.open("wb") as output:
        process = subprocess.Popen([executable, *arguments, str(port)], cwd=directory, stdout=output, stderr=output)
        try:
            until_it_listens(process, log, port)
            yield port
        finally:
            process.kill()
            process.wait()


__all__ = ["CONTEXTS", "CT", "STUDY", "ct_slice", "dcmtk", "evt", "pynetdicom_acceptor", "slice_uid"]

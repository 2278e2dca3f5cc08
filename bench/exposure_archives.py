"""Open archives to be counted by bench.exposure_count: doubles of two kinds, and a real Orthanc."""

import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from leadglass.assess.probes.dimse_knock import EVERYTHING
from leadglass.dicom import tags
from leadglass.dicom.attributes import decode_attributes, encode_attributes
from leadglass.dicom.uids import EXPLICIT_LE, STUDY_ROOT_FIND, TRANSFER_SYNTAXES, VERIFICATION
from leadglass.dimse import pdata
from leadglass.dimse.association import Association
from leadglass.dimse.events import AssociationRequested, CommandReceived, DataReceived, ReleaseRequested
from leadglass.dimse.items import UserInformation
from leadglass.dimse.message import CEchoRq, CEchoRsp, CFindRq, CFindRsp
from leadglass.dimse.negotiation import choose, propose
from leadglass.dimse.requestor import Requestor
from leadglass.dimse.status import PENDING, SUCCESS
from leadglass.errors import NotAvailable
from leadglass.model import AssociationLimits, Attributes, DataSetLimits

ADDRESS = "127.77.0.1"
LIMITS = AssociationLimits()
FIND = next(each.id for each in EVERYTHING if each.abstract_syntax == STUDY_ROOT_FIND)
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SYNTAX = TRANSFER_SYNTAXES[EXPLICIT_LE]
CHUNK = 1000
#: As in server/dimse/find.py.
SEND_BYTES = 32 * 1024
DAYS = 7300
FIRST_DAY = date(2005, 1, 1)


class Peer(NamedTuple):
    port: int
    pid: int


def answer(number: int) -> Attributes:
    """Two studies a patient, three images a study, a Social Security number for every tenth patient."""
    patient = number // 2
    ssn = f"536-{10 + patient // 10_000 % 80:02}-{1 + patient % 9_999:04}"
    return {
        tags.STUDY_DATE: f"{FIRST_DAY + timedelta(number % DAYS):%Y%m%d}",
        tags.ACCESSION_NUMBER: f"A{number:09}",
        tags.PATIENT_NAME: f"Family{patient:09}^Given",
        tags.PATIENT_ID: ssn if patient % 10 == 0 else f"P{patient:09}",
        tags.PATIENT_BIRTH_DATE: "19700203",
        tags.OTHER_PATIENT_IDS_SEQUENCE: (),
        tags.PATIENT_COMMENTS: "",
        tags.STUDY_INSTANCE_UID: f"1.2.826.0.1.3680043.9.9999.{number + 1}",
        tags.NUMBER_OF_STUDY_RELATED_SERIES: "1",
        tags.NUMBER_OF_STUDY_RELATED_INSTANCES: "3",
    }


class Double:
    """An open archive of so many studies. `canned`: what it answers to a query for all of them is encoded before."""

    def __init__(self, studies: int, *, canned: bool) -> None:
        self._studies = studies
        self._encoded = [_data_pdu(FIND, answer(number)) for number in range(studies)] if canned else []

    def serve(self, connection: socket.socket) -> None:
        association = Association.acceptor(LIMITS)
        context = 0
        with connection, suppress(OSError):
            while data := connection.recv(65_536):
                for event in association.receive(data):
                    if isinstance(event, AssociationRequested):
                        results = choose(event.rq.contexts, _supported)
                        connection.sendall(association.accept(results, UserInformation(LIMITS.max_pdu, "1.2.3.4", "B")))
                    elif isinstance(event, ReleaseRequested):
                        connection.sendall(association.release_reply())
                    elif isinstance(event, CommandReceived) and isinstance(event.message, CEchoRq):
                        echoed = CEchoRsp(event.message.message_id, SUCCESS)
                        connection.sendall(association.reply(event.context_id, echoed))
                    elif isinstance(event, CommandReceived) and isinstance(event.message, CFindRq):
                        asked, context = event.message, event.context_id
                    elif isinstance(event, DataReceived):
                        self._answer(connection, association, context, asked, bytes(event.data))

    def _answer(self, to: socket.socket, association: Association, context: int, asked: CFindRq, keys: bytes) -> None:
        wanted = decode_attributes(keys, SYNTAX, DataSetLimits())
        pending = CFindRsp(asked.message_id, PENDING, asked.sop_class)
        dates = str(wanted.get(tags.STUDY_DATE, ""))
        if wanted.get(tags.QUERY_RETRIEVE_LEVEL) == "STUDY" and not wanted.get(tags.STUDY_INSTANCE_UID):
            if self._encoded and not dates and context == FIND:
                command = association.command(context, pending, True)
                for start in range(0, len(self._encoded), CHUNK):
                    to.sendall(command + command.join(self._encoded[start : start + CHUNK]))
            else:
                self._send_rows(to, association, context, pending, _numbers(dates, self._studies))
        to.sendall(association.reply(context, CFindRsp(asked.message_id, SUCCESS, asked.sop_class)))

    def _send_rows(
        self, to: socket.socket, association: Association, context: int, pending: CFindRsp, numbers: Iterable[int]
    ) -> None:
        """As server/dimse/find.py does."""
        written = bytearray()
        for number in numbers:
            written += association.reply(context, pending, encode_attributes(answer(number), SYNTAX, ()))
            if len(written) >= SEND_BYTES:
                to.sendall(written)
                written.clear()
        to.sendall(written)


def _supported(sop_class: str) -> tuple[str, ...]:
    return (EXPLICIT_LE,) if sop_class in (STUDY_ROOT_FIND, VERIFICATION) else ()


def _data_pdu(context: int, row: Attributes) -> bytes:
    return pdata.fragment(context, 0, encode_attributes(row, SYNTAX, ()), LIMITS.max_pdu)


def _numbers(dates: str, studies: int) -> list[int]:
    """The studies of a range of days; all of them without one."""
    first, _, last = dates.partition("-")
    begin, end = ((date.fromisoformat(each) - FIRST_DAY).days if each else 0 for each in (first, last or first))
    days = range(max(0, begin), min(DAYS - 1, end) + 1) if dates else range(DAYS)
    return [number for day in days for number in range(day, studies, DAYS)]


@contextmanager
def double(studies: int, *, canned: bool) -> Iterator[Peer]:
    """A process of its own, yielded once it is ready."""
    with socket.create_server((ADDRESS, 0), backlog=64) as server:
        port: int = server.getsockname()[1]
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            archive = Double(studies, canned=canned)
            os.write(tell, b"\n")
            while True:
                threading.Thread(target=archive.serve, args=(server.accept()[0],), daemon=True).start()
    os.read(told, 1)
    try:
        yield Peer(port, child)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@contextmanager
def orthanc(studies: int) -> Iterator[Peer]:
    """An Orthanc that lets anybody query, filled with so many studies of one image."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server((ADDRESS, 0)) as free:
        port = free.getsockname()[1]
        free.close()
        settings = {
            "StorageDirectory": f"{folder}/db",
            "IndexDirectory": f"{folder}/db",
            "DicomPort": port,
            "HttpServerEnabled": False,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowStore": True,
            "StorageCompression": False,
            "SaveJobs": False,
            "SynchronousSQLite": False,
        }
        (Path(folder) / "orthanc.json").write_text(json.dumps(settings))
        log = subprocess.DEVNULL
        process = subprocess.Popen(["Orthanc", f"{folder}/orthanc.json"], cwd=folder, stdout=log, stderr=log)
        try:
            _fill(port, studies)
            yield Peer(port, process.pid)
        finally:
            process.terminate()
            process.wait()


def _fill(port: int, studies: int) -> None:
    contexts = propose([(SECONDARY_CAPTURE, [EXPLICIT_LE])])
    while True:
        try:
            requestor = Requestor.connect(ADDRESS, port, calling_ae="BENCH", called_ae="ORTHANC", contexts=contexts)
            break
        except NotAvailable:
            continue
    with requestor:
        for number in range(studies):
            uid = f"1.2.826.0.1.3680043.9.9999.{number + 1}"
            image = {
                tags.SOP_CLASS_UID: SECONDARY_CAPTURE,
                tags.SOP_INSTANCE_UID: f"{uid}.1.1",
                **{
                    tag: text
                    for tag, text in answer(number).items()
                    if tag < tags.NUMBER_OF_STUDY_RELATED_SERIES and text
                },
                tags.SERIES_INSTANCE_UID: f"{uid}.1",
            }
            encoded = encode_attributes(dict(sorted(image.items())), SYNTAX, ())
            requestor.store(SECONDARY_CAPTURE, f"{uid}.1.1", EXPLICIT_LE, [encoded])

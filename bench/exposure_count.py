"""Counting a large archive: `python -m bench.exposure_count [--studies N] [--orthanc N]`.

A test double answers C-FIND with responses that were encoded beforehand, as fast as its socket takes them. A null
client that reads and forgets measures that bare rate, then the auditor counts the same archive, over one query and as a
whole run. The same with a real Orthanc, as far as it is worth filling.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path

from bench.exposure import RESULTS, scope_file, timed
from leadglass.assess.counting.census import Census
from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.observation import Endpoint
from leadglass.assess.probes import dimse_line
from leadglass.assess.probes.dimse_answer import MANY, encode_keys
from leadglass.assess.probes.dimse_asking import Asking
from leadglass.assess.probes.dimse_knock import EVERYTHING, Way
from leadglass.assess.reach import Reach
from leadglass.assess.scope import parse_scope
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
LIMITS_OF_OURS = dimse_line.LIMITS
FIND = next(each.id for each in EVERYTHING if each.abstract_syntax == STUDY_ROOT_FIND)
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SYNTAX = TRANSFER_SYNTAXES[EXPLICIT_LE]
CHUNK = 1000
DAYS = 7300
FIRST_DAY = date(2005, 1, 1)
#: How the last response to a query ends: no data set, status 0000H.
END = bytes.fromhex("0000000802000000010100000009020000000000")


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
    """An open archive of so many studies; what it answers to a query for all of them is encoded before."""

    def __init__(self, studies: int) -> None:
        self._studies = studies
        self._encoded = [_data_pdu(FIND, number) for number in range(studies)]

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
        command = association.command(context, CFindRsp(asked.message_id, PENDING, asked.sop_class), True)
        dates = str(wanted.get(tags.STUDY_DATE, ""))
        if wanted.get(tags.QUERY_RETRIEVE_LEVEL) == "STUDY" and not wanted.get(tags.STUDY_INSTANCE_UID):
            whole = not dates and context == FIND
            numbers = range(0) if whole else _numbers(dates, self._studies)
            found = self._encoded if whole else [_data_pdu(context, number) for number in numbers]
            for start in range(0, len(found), CHUNK):
                to.sendall(command + command.join(found[start : start + CHUNK]))
        to.sendall(association.reply(context, CFindRsp(asked.message_id, SUCCESS, asked.sop_class)))


def _supported(sop_class: str) -> tuple[str, ...]:
    return (EXPLICIT_LE,) if sop_class in (STUDY_ROOT_FIND, VERIFICATION) else ()


def _data_pdu(context: int, number: int) -> bytes:
    return pdata.fragment(context, 0, encode_attributes(answer(number), SYNTAX, ()), LIMITS.max_pdu)


def _numbers(dates: str, studies: int) -> list[int]:
    """The studies of a range of days; all of them without one."""
    first, _, last = dates.partition("-")
    begin, end = ((date.fromisoformat(each) - FIRST_DAY).days if each else 0 for each in (first, last or first))
    days = range(max(0, begin), min(DAYS - 1, end) + 1) if dates else range(DAYS)
    return [number for day in days for number in range(day, studies, DAYS)]


@contextmanager
def double(studies: int) -> Iterator[int]:
    """A process of its own; yields its port once everything is encoded."""
    with socket.create_server((ADDRESS, 0), backlog=64) as server:
        port: int = server.getsockname()[1]
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            archive = Double(studies)
            os.write(tell, b"\n")
            while True:
                threading.Thread(target=archive.serve, args=(server.accept()[0],), daemon=True).start()
    os.read(told, 1)
    try:
        yield port
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def way_to(port: int) -> Way:
    return Way(Reach(parse_scope(scope_file([ADDRESS], (port,)).encode(), lambda _: [])), Endpoint(ADDRESS, port))


def null_client(way: Way) -> tuple[float, int]:
    """Seconds from the query to its end, and bytes: received, counted and forgotten."""
    with way.reach.connect(way.endpoint, 600) as connection:
        association = Association.requestor(LIMITS_OF_OURS)
        connection.sendall(association.request(way.request()))
        association.receive(connection.recv(65_536))
        context = next(
            number for number, each in association.contexts.items() if each.abstract_syntax == STUDY_ROOT_FIND
        )
        syntax = TRANSFER_SYNTAXES[association.contexts[context].transfer_syntax]
        query = association.reply(context, CFindRq(1, STUDY_ROOT_FIND), encode_keys("STUDY", MANY, syntax))
        buffer, received, tail = bytearray(65_536), 0, b""
        started = time.perf_counter()
        connection.sendall(query)
        while not tail.endswith(END):
            count = connection.recv_into(buffer)
            received += count
            tail = (tail + buffer[max(0, count - len(END)) : count])[-len(END) :]
        return time.perf_counter() - started, received


def counted(way: Way) -> tuple[float, int]:
    """Seconds that the auditor takes for the same query, and the studies that it counted."""
    census = Census(Fingerprints())
    with way.open() as line:
        line.associate(way.request())
        asking = Asking(way, line, STUDY_ROOT_FIND, census)
        started = time.perf_counter()
        asking.studies({})
        seconds = time.perf_counter() - started
        asking.release()
    return seconds, census.studies


def compared(way: Way, repeat: int) -> dict[str, object]:
    """The peer's bare rate and the auditor's, in studies a second, from the medians of several queries each."""
    bare, ours = [], []
    studies = octets = 0
    for _ in range(repeat):
        seconds, octets = null_client(way)
        bare.append(seconds)
        seconds, studies = counted(way)
        ours.append(seconds)
    null_rate, rate = (round(studies / statistics.median(each)) for each in (bare, ours))
    return {
        "studies": studies,
        "bytes_a_study": round(octets / max(1, studies)),
        "peer_by_itself": null_rate,
        "auditor": rate,
        "auditor_by_peer": round(rate / null_rate, 3),
    }


def whole_run(port: int) -> dict[str, object]:
    """The command, as one runs it: seconds, memory, and whether its counters are exact."""
    with tempfile.TemporaryDirectory() as folder:
        scope, report = Path(folder) / "scope.toml", Path(folder) / "report.json"
        scope.write_text(scope_file([ADDRESS], (port,)))
        command = [sys.executable, "-m", "leadglass.cli", "assess", "exposure", "--scope", str(scope)]
        taken: dict[str, object] = dict(timed([*command, "--json", str(report)]))
        totals = json.loads(report.read_text())["totals"]
    return taken | {name: f"{totals[name]['value']} {totals[name]['bound']}" for name in ("studies", "patients")}


@contextmanager
def orthanc(studies: int) -> Iterator[int]:
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
            yield port
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


def main() -> None:
    parser = argparse.ArgumentParser("bench.exposure_count")
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--orthanc", type=int, default=5_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--label", default="exposure-count")
    arguments = parser.parse_args()
    results: dict[str, object] = {"processors": os.cpu_count(), "kernel": platform.release()}
    with double(arguments.studies) as port:
        results["double"] = compared(way_to(port), arguments.repeat) | {"run": whole_run(port)}
    if arguments.orthanc:
        with orthanc(arguments.orthanc) as port:
            results["orthanc"] = compared(way_to(port), arguments.repeat) | {"run": whole_run(port)}
    (RESULTS / f"{arguments.label}.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

"""Every hostile file at every door: each gets its answer, a clean object is stored after it, and memory stays."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.dimse.requestor import Requestor
from leadglass.dimse.status import ELEMENTS_DISCARDED, SUCCESS
from leadglass.errors import DataSetError, Quarantined
from leadglass.inspection.verdict import VerdictKind
from tests.clients import connected
from tests.hostile.case import ROOT, SC, Case, whole
from tests.hostile.cases import all_cases
from tests.served import Served
from tests.server.web.dicomweb.test_store import FAILED, REASON, STORED, send
from tests.web import as_user

_MEBIBYTE = 1024 * 1024
#: What a door keeps of a file is its data set: what only precedes it is gone by then.
CASES = [case for case in all_cases() if not case.name.startswith(("clean:", "preamble"))]
KEPT = {VerdictKind.ACCEPT, VerdictKind.DISARM}


@dataclass(frozen=True, slots=True)
class Sent:
    """A data set as a device sends it."""

    case: Case
    sop_class: str
    sop_instance: str
    syntax: str
    data_set: bytes

    @classmethod
    def of(cls, case: Case, number: int) -> "Sent":
        data = numbered(case.make(), number)
        meta = read_file_meta(BytesIO(data))
        return cls(case, meta.sop_class, meta.sop_instance, meta.transfer_syntax, data[meta.data_offset :])


@pytest.fixture
def tolerant(furnished: Served, tmp_path: Path) -> Iterator[Served]:
    """One that does not shut out whoever sends all of this."""
    with furnished.copy(tmp_path, settings="[inspection]\nsuspend_after = 1000000\n") as served:
        yield served


def resident(served: Served) -> int:
    """VmRSS of the server, in bytes."""
    assert served.process is not None
    for line in Path(f"/proc/{served.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def numbered(data: bytes, number: int) -> bytes:
    """The same file in a study of its own: the last digits of its UIDs' root are others."""
    return data.replace(ROOT.encode(), f"{ROOT[:-9]}{number:09}".encode())


def test_over_dimse(tolerant: Served) -> None:
    sent = [Sent.of(case, number) for number, case in enumerate(CASES)]
    proposals = sorted({(each.sop_class, each.syntax) for each in sent} | {(SC, EXPLICIT_LE)})
    clean = count(500_000)
    with connected(tolerant, "scanner", *proposals) as scanner:
        for each in sent:
            told = scanner.store(each.sop_class, each.sop_instance, each.syntax, (each.data_set,))
            expected = {
                VerdictKind.ACCEPT: {SUCCESS},
                VerdictKind.DISARM: {SUCCESS, ELEMENTS_DISCARDED},
                VerdictKind.QUARANTINE: {Quarantined.dimse_status},
                VerdictKind.REJECT: {DataSetError.dimse_status},
            }
            assert told.status in expected[each.case.kind], (each.case.name, told)
            store_clean(scanner, next(clean))
        first = resident(tolerant)
        for each in sent:
            scanner.store(each.sop_class, each.sop_instance, each.syntax, (each.data_set,))
        store_clean(scanner, next(clean))
        assert resident(tolerant) - first < 16 * _MEBIBYTE


def store_clean(scanner: Requestor, number: int) -> None:
    data = numbered(whole(), number)
    meta = read_file_meta(BytesIO(data))
    answer = scanner.store(SC, meta.sop_instance, EXPLICIT_LE, (data[meta.data_offset :],))
    assert answer.status == SUCCESS, number


def test_over_the_web(tolerant: Served) -> None:
    with as_user(tolerant, "steward") as client:
        for number, case in enumerate(CASES):
            clean = numbered(whole(), 600_000 + number)
            answer = send(client, numbered(case.make(), number), clean).json()
            assert len(answer.get(STORED, {"Value": []})["Value"]) == 1 + (case.kind in KEPT), (case.name, answer)
            if case.kind is VerdictKind.QUARANTINE:
                assert refused(answer) == [Quarantined.dimse_status], (case.name, answer)
        first = resident(tolerant)
        for number, case in enumerate(CASES):
            send(client, numbered(case.make(), number))
        assert resident(tolerant) - first < 24 * _MEBIBYTE
        assert client.get("/dicom-web/studies", params={"limit": "1"}).status_code == 200


def refused(answer: Mapping[str, Any]) -> list[int]:
    return [each[REASON]["Value"][0] for each in answer.get(FAILED, {"Value": []})["Value"]]


def test_import(empty_archive: Served, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    for number, case in enumerate(case for case in all_cases() if not case.name.startswith("clean:")):
        (folder / f"{number:03}.dcm").write_bytes(numbered(case.make(), number))
    told = empty_archive.run("import", str(folder), status=1)
    assert "A defect" not in told
    first = resident(empty_archive)
    for _ in range(2):
        empty_archive.run("import", str(folder), status=1)
    assert resident(empty_archive) - first < 16 * _MEBIBYTE
    clean = tmp_path / "clean.dcm"
    clean.write_bytes(numbered(whole(), 999_999_999))
    assert "1 stored" in empty_archive.run("import", str(clean))

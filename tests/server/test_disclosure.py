"""What the log says of what left: nothing that a peer does keeps it from being counted."""

import os
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from leadglass.archive.access import Access
from leadglass.archive.archive import Archive, ArchiveConfig, open_archive
from leadglass.dicom import tags, uids
from leadglass.dicom.attributes import encode_attributes
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.dimse.association import Association
from leadglass.dimse.events import CommandReceived, DataReceived
from leadglass.dimse.message import CGetRq, CGetRsp, CStoreRq, CStoreRsp
from leadglass.dimse.status import PENDING, SUCCESS
from leadglass.model import Principal
from tests.clients import CT, ROOT, ct, get, store
from tests.served import TIMEOUT, Served
from tests.server.conftest import Copied
from tests.server.log import events
from tests.server.wire import associated, pdu, read_pdu

STORE = (CT, uids.EXPLICIT_LE)
GET = (uids.STUDY_ROOT_GET, uids.EXPLICIT_LE)
STUDY = f"{ROOT}.70"
TWO = "[dimse]\nprocesses = 2\n"


@pytest.fixture
def archive(copied: Copied, tmp_path: Path) -> Served:
    """Holds one study of two instances; not served."""
    with copied(tmp_path) as served:
        answers = store(served, ct(1, study=STUDY), ct(2, study=STUDY))
        assert [answer.status for answer in answers] == [SUCCESS, SUCCESS]
    return served


@contextmanager
def opened(archive: Served) -> Iterator[Archive]:
    """The same, open in this process."""
    here = open_archive(archive.data, archive.keys, ArchiveConfig(reserve_bytes=0))
    try:
        yield here
    finally:
        here.close()


def closing(archive: Served) -> list[object]:
    return [event["d"]["instances"] for event in events(archive, "retrieve-end")]


def test_who_takes_all_and_leaves_is_counted(archive: Served) -> None:
    """Every byte of an instance arrives, then the peer aborts instead of answering the C-STORE."""
    with archive, associated(archive, "workstation", GET, STORE, retrieves=True) as (peer, association):
        keys = {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: STUDY}
        identifier = encode_attributes(keys, TRANSFER_SYNTAXES[GET[1]], ())
        peer.sendall(association.reply(1, CGetRq(1, GET[0]), identifier))
        arrived = False
        while not arrived:
            for event in association.receive(pdu(*read_pdu(peer))):
                assert isinstance(event, CommandReceived | DataReceived)
                arrived = isinstance(event, DataReceived) and event.last
        peer.sendall(association.abort())
    assert closing(archive) == [1]


def test_all_is_counted(archive: Served) -> None:
    with archive:
        assert len(get(archive, {tags.STUDY_INSTANCE_UID: STUDY})[2]) == 2
        assert len(get(archive, {tags.STUDY_INSTANCE_UID: STUDY})[2]) == 2
    assert closing(archive) == [4]


def test_several_processes_have_one_access(copied: Copied, tmp_path: Path) -> None:
    with copied(tmp_path, TWO) as served, both_have_taken_all(served):
        pass
    assert closing(served) == [4]
    assert len(events(served, "retrieve")) == 1


def test_what_a_process_took_that_died_is_not_told(copied: Copied, tmp_path: Path) -> None:
    """Its access stays open, which means the whole study, whatever another process has counted."""
    with copied(tmp_path, TWO) as served:
        with both_have_taken_all(served):
            os.kill(served.pids()[1], signal.SIGKILL)
            assert served.process is not None
            assert served.process.wait(TIMEOUT) == 4
        served.process = None
    assert closing(served) == []
    assert len(events(served, "retrieve")) == 1


@contextmanager
def both_have_taken_all(served: Served) -> Iterator[None]:
    """Two associations of one device, one in each of two processes, have taken both instances of the study."""
    processes = [psutil.Process(pid) for pid in served.pids()[1:]]
    before = [process.num_threads() for process in processes]
    with ExitStack() as stack:
        both = [stack.enter_context(associated(served, "workstation", GET, STORE, retrieves=True)) for _ in range(2)]
        assert [process.num_threads() - then for process, then in zip(processes, before, strict=True)] == [1, 1]
        store(served, ct(1, study=STUDY), ct(2, study=STUDY))
        assert [taken(peer, association) for peer, association in both] == [2, 2]
        yield


def taken(peer: ssl.SSLSocket, association: Association) -> int:
    """The instances of the study that one C-GET brings, each of them acknowledged."""
    keys = {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: STUDY}
    identifier = encode_attributes(keys, TRANSFER_SYNTAXES[GET[1]], ())
    peer.sendall(association.reply(1, CGetRq(1, GET[0]), identifier))
    stored: CStoreRq | None = None
    while True:
        for event in association.receive(pdu(*read_pdu(peer))):
            if isinstance(event, CommandReceived) and isinstance(event.message, CGetRsp):
                if event.message.status != PENDING:
                    return event.message.completed or 0
            elif isinstance(event, CommandReceived) and isinstance(event.message, CStoreRq):
                stored = event.message
            elif isinstance(event, DataReceived) and event.last:
                assert stored is not None
                answer = CStoreRsp(stored.message_id, SUCCESS, stored.sop_class, stored.sop_instance)
                peer.sendall(association.reply(event.context_id, answer))


def test_a_retrieval_under_way_is_not_idle(archive: Served) -> None:
    """However long it takes: its access is closed after it, with all that it took."""
    with opened(archive) as here:
        (study,) = here.index.studies(STUDY)
        access = Access.of(Principal("device", "slow", frozenset()), study.id, STUDY, "192.0.2.1")
        ledger = here.ledger
        ledger.begin([access])
        ledger.begin([access])
        ledger.count(access, 10)
        ledger.end([access])
        ledger.close_all()
        ledger.count(access, 10)
        ledger.end([access])
        ledger.close_all()
    assert closing(archive) == [2]
    assert len(events(archive, "retrieve")) == 1

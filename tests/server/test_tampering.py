"""A byte of a pack is changed while the archive is stopped: noticed, on record, and nothing of it looks whole."""

from pathlib import Path

import pytest

from leadglass.crypto.keys import KeyDirectory
from leadglass.dicom import tags, uids
from leadglass.dicom.attributes import encode_attributes
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.dimse.events import Aborted, DataReceived
from leadglass.dimse.message import CGetRq, CStoreRsp
from leadglass.dimse.status import SUBOPERATIONS_WARNING, SUCCESS
from leadglass.index.index import Index
from tests.clients import CT, ROOT, ct, get, instance_of, store
from tests.served import Served
from tests.server.conftest import Copied
from tests.server.log import events
from tests.server.wire import associated, pdu, read_pdu

STORE = (CT, uids.EXPLICIT_LE)
GET = (uids.STUDY_ROOT_GET, uids.EXPLICIT_LE)
STUDY = f"{ROOT}.72"
SMALL, LARGE = ct(1, study=STUDY), ct(2, study=STUDY, pixels=bytes(4 * 1024**2))


@pytest.fixture
def archive(copied: Copied, tmp_path: Path) -> Served:
    """Holds a small instance and a large one of one study; not served."""
    with copied(tmp_path) as served:
        assert [answer.status for answer in store(served, SMALL, LARGE)] == [SUCCESS, SUCCESS]
    return served


def flip(archive: Served, data_set: bytes, part: float) -> None:
    """Change one byte, so far into the sealed object of an instance."""
    index = Index.open(archive.data / "index.db", KeyDirectory.open(archive.keys).root().derive("index"))
    (location,) = [row.location for row in index.all_instances() if row.uid == instance_of(data_set)]
    index.close()
    (path,) = (archive.data / "packs").rglob(f"{location.pack:08d}.pack")
    with path.open("r+b") as pack:
        pack.seek(location.offset + int(location.length * part))
        (byte,) = pack.read(1)
        pack.seek(-1, 1)
        pack.write(bytes([byte ^ 1]))


def is_on_record(archive: Served, data_set: bytes, device: str = "workstation") -> None:
    (event,) = events(archive, "verification-failed")
    assert (event["p"], event["o"], event["s"]) == (f"device:{device}", "failed", STUDY)
    assert event["d"]["instance"] == instance_of(data_set)


def test_noticed_before_the_first_byte(archive: Served) -> None:
    """A failed sub-operation; the other instance arrives."""
    flip(archive, SMALL, 0.5)
    with archive:
        response, listed, received = get(archive, {tags.STUDY_INSTANCE_UID: STUDY})
    assert response.status == SUBOPERATIONS_WARNING
    assert listed[tags.FAILED_SOP_INSTANCE_UID_LIST] == instance_of(SMALL)
    assert received == {instance_of(LARGE): LARGE}
    is_on_record(archive, SMALL)
    assert [event["d"]["instances"] for event in events(archive, "retrieve-end")] == [1]


def test_noticed_in_the_middle(archive: Served) -> None:
    """A-ABORT, since what has left cannot be taken back; the instance before it has arrived whole."""
    flip(archive, LARGE, 0.9)
    with archive, associated(archive, "workstation", GET, STORE, retrieves=True) as (peer, association):
        keys = {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: STUDY}
        identifier = encode_attributes(keys, TRANSFER_SYNTAXES[GET[1]], ())
        peer.sendall(association.reply(1, CGetRq(1, GET[0]), identifier))
        arrived, part, aborted = [], b"", False
        while not aborted:
            for event in association.receive(pdu(*read_pdu(peer))):
                aborted = isinstance(event, Aborted)
                if isinstance(event, DataReceived):
                    part += event.data
                    if event.last:
                        arrived.append(part)
                        answer = CStoreRsp(1, SUCCESS, CT, instance_of(part))
                        peer.sendall(association.command(event.context_id, answer, False))
                        part = b""
    assert arrived == [SMALL]
    assert len(part) < len(LARGE)
    assert LARGE.startswith(part)
    is_on_record(archive, LARGE)


def test_noticed_when_another_version_arrives(archive: Served) -> None:
    """What a new version would be compared with is damaged: the store is refused, and the damage is on record."""
    flip(archive, SMALL, 0.5)
    with archive:
        (answer,) = store(archive, ct(1, study=STUDY, pixels=b"\1" * 512))
    assert answer.status != SUCCESS
    is_on_record(archive, SMALL, "scanner")

"""Requests that get nothing are on record: refused, not understood, or about what is not there."""

from pathlib import Path

import pytest

from leadglass.dicom import tags, uids
from leadglass.dimse.message import CFindRq, CFindRsp, CGetRq, CGetRsp, Message, decode_command
from leadglass.dimse.status import SUCCESS
from leadglass.model import Attributes
from tests.clients import CT, ROOT, connected, ct, get, instance_of, store
from tests.served import Served
from tests.server.conftest import Copied
from tests.server.log import events
from tests.server.wire import associated, read_pdu

FIND = (uids.STUDY_ROOT_FIND, uids.EXPLICIT_LE)
GET = (uids.STUDY_ROOT_GET, uids.EXPLICIT_LE)
STORE = (CT, uids.EXPLICIT_LE)
STUDY = f"{ROOT}.71"


@pytest.fixture
def archive(copied: Copied, tmp_path: Path) -> Served:
    return copied(tmp_path)


def status_for(archive: Served, proposal: tuple[str, str], message: Message, identifier: bytes) -> int:
    """The status of the response to a request whose identifier is these bytes."""
    with associated(archive, "workstation", proposal) as (peer, association):
        peer.sendall(association.reply(1, message, identifier))
        answer, _ = decode_command(read_pdu(peer)[1][6:])
    assert isinstance(answer, CFindRsp | CGetRsp)
    return answer.status


def test_identifiers_that_do_not_parse(archive: Served) -> None:
    with archive:
        assert status_for(archive, FIND, CFindRq(1, FIND[0]), b"planted") == 0xC000
        assert status_for(archive, GET, CGetRq(1, GET[0]), b"planted") == 0xC000
    seen = [
        (event["a"], event["o"], event["p"], event["d"]["status"]) for event in events(archive, "query", "retrieve")
    ]
    assert seen == [(action, "refused", "device:workstation", "C000") for action in ("query", "retrieve")]


@pytest.mark.parametrize(
    "keys",
    [
        {tags.STUDY_DATE: "some day", tags.QUERY_RETRIEVE_LEVEL: "STUDY"},
        {tags.QUERY_RETRIEVE_LEVEL: "HOUSEHOLD"},
    ],
    ids=["key", "level"],
)
def test_queries_that_cannot_be_meant(archive: Served, keys: Attributes) -> None:
    with archive, connected(archive, "workstation", FIND) as workstation:
        ((status, _),) = workstation.find(FIND[0], keys)
    (event,) = events(archive, "query")
    assert (event["o"], event["d"]["status"]) == ("refused", f"{status:04X}")


def test_retrieving_what_is_not_there(archive: Served) -> None:
    """It is there for the other site: the log says who asked for what, and shows that nothing left."""
    with archive:
        assert store(archive, ct(study=STUDY))[0].status == SUCCESS
        response, _, received = get(archive, {tags.STUDY_INSTANCE_UID: STUDY}, device="north-viewer")
    assert (response.status, received) == (SUCCESS, {})
    (event,) = events(archive, "retrieve")
    assert (event["p"], event["o"]) == ("device:north-viewer", "done")
    assert event["d"] == {"instances": 0, "keys": {"StudyInstanceUID": STUDY}}


def test_contexts_that_a_role_does_not_allow(archive: Served) -> None:
    with archive:
        with connected(archive, "scanner", STORE, FIND, GET):
            pass
        with connected(archive, "workstation", FIND, STORE, GET):
            pass
        data = ct(study=STUDY)
        with connected(archive, "scanner", STORE) as scanner:
            assert scanner.store(CT, instance_of(data), STORE[1], (data,)).status == SUCCESS
    denied = [event["d"].get("denied") for event in events(archive, "association")]
    assert denied == [sorted([FIND[0], GET[0]]), [CT], None]

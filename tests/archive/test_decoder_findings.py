"""A decoder that comes to grief over an object is a finding about it: on record, and asked of a steward, once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.archive.archive import Archive
from leadglass.archive.decoding import Decoding
from leadglass.archive.frames import Frames
from leadglass.archive.query import QueryRequest
from leadglass.archive.retrieve import retrieve
from leadglass.archive.review import accept, reject, reviews
from leadglass.dicom import tags
from leadglass.errors import DecodingFailed
from leadglass.index.rows import InstanceState
from leadglass.model import Attributes, DataSetLimits, Level, Role
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool
from tests.archive.opened import device, opened, put
from tests.clients import ROOT, ct
from tests.pixels.test_pool import HOSTILE
from tests.served import Served

STUDY = f"{ROOT}.77"
STEWARD = device("steward", Role.STEWARD)
SYNTAX = "1.2.840.10008.1.2.4.90"


@pytest.fixture(scope="module")
def decoding() -> Iterator[Decoding]:
    pool = DecoderPool(DecoderLimits(workers=1, start_seconds=120), HOSTILE)
    yield Decoding(pool, DataSetLimits())
    pool.close()


def decode(archive: Archive, decoding: Decoding) -> None:
    keys: Attributes = {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: STUDY}
    request = QueryRequest((Level.STUDY, Level.SERIES, Level.IMAGE), keys)
    with retrieve(archive, STEWARD, request) as found:
        frames = Frames(archive).of(found, found.instances[0])
        decoding.frame(frames, 1, SYNTAX)


def test_a_crash_is_a_finding(furnished: Served, tmp_path: Path, decoding: Decoding) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        put(archive, ct(study=STUDY, pixels=b"crash".ljust(512, b"\0")))
        for _ in range(2):
            with pytest.raises(DecodingFailed, match="crashed"):
                decode(archive, decoding)
        (event,) = archive.index.events(action="decoder-failed")
        assert json.loads(event.content)["d"]["reason"] == "CRASHED"
        (listed,) = reviews(archive, STEWARD)
        assert (listed.reason, listed.study_uid) == ("decoder-failed", STUDY)
        accept(archive, STEWARD, listed.id)
        (row,) = archive.index.all_instances()
        assert row.state is InstanceState.VISIBLE
        with pytest.raises(DecodingFailed):
            decode(archive, decoding)
        (again,) = reviews(archive, STEWARD)
        reject(archive, STEWARD, again.id)
        (row,) = archive.index.all_instances()
        assert row.state is InstanceState.REJECTED

"""Metadata that are prepared before anybody asks: only of series at rest, as they are then, and never twice in vain."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.archive.archive import Archive
from leadglass.archive.metadata import FORM, WORTH_PREPARING, series_metadata
from leadglass.archive.preparation import LOOKS
from leadglass.archive.query import QueryRequest
from leadglass.dicom import tags
from leadglass.errors import VerificationFailed
from leadglass.model import Level, Role
from tests.archive.opened import device, opened, put
from tests.clients import ROOT, ct
from tests.served import Served

STUDY = f"{ROOT}.78"
SERVICE = "https://pacs.example/dicom-web"
CLINICIAN = device("workstation", Role.CLINICIAN)
REQUEST = QueryRequest(
    (Level.STUDY, Level.SERIES, Level.IMAGE),
    {
        tags.QUERY_RETRIEVE_LEVEL: "SERIES",
        tags.STUDY_INSTANCE_UID: STUDY,
        tags.SERIES_INSTANCE_UID: f"{STUDY}.1",
    },
)


@pytest.fixture
def archive(furnished: Served, tmp_path: Path) -> Iterator[Archive]:
    """With a series that is just worth it."""
    with opened(furnished.copy(tmp_path)) as archive:
        archive.preparation.root = SERVICE
        for number in range(1, WORTH_PREPARING + 1):
            put(archive, ct(number, study=STUDY))
        yield archive


def look(archive: Archive, times: int) -> None:
    for _ in range(times):
        archive.preparation.look()
    archive.committer.run(lambda _: None)  # what was handed to the committer before is written


def numbers(archive: Archive) -> list[int] | None:
    """Of the instances in what was prepared; None when nothing is."""
    with series_metadata(archive, CLINICIAN, REQUEST) as found:
        prepared = found.gzip(SERVICE)
    return (
        None if prepared is None else [each["00200013"]["Value"][0] for each in json.loads(gzip.decompress(prepared))]
    )


def test_a_series_at_rest(archive: Archive) -> None:
    look(archive, LOOKS - 1)
    assert numbers(archive) is None
    put(archive, ct(40, study=STUDY))
    look(archive, LOOKS - 1)
    assert numbers(archive) is None
    look(archive, 1)
    assert numbers(archive) == [*range(1, WORTH_PREPARING + 1), 40]


def test_not_below_what_it_is_worth(archive: Archive) -> None:
    put(archive, ct(50, study=STUDY, series=f"{STUDY}.2"))
    assert [row.generation for row in archive.index.unprepared(FORM, 1, 10)] == [1, WORTH_PREPARING]
    assert [row.generation for row in archive.index.unprepared(FORM, WORTH_PREPARING, 10)] == [WORTH_PREPARING]
    assert len(archive.index.unprepared(FORM, WORTH_PREPARING, 1)) == 0


def test_not_for_an_archive_without_a_web_door(archive: Archive) -> None:
    archive.preparation.root = ""
    look(archive, LOOKS)
    assert numbers(archive) is None


def test_what_does_not_verify_is_left_to_whoever_asks(archive: Archive) -> None:
    (pack,) = archive.directory.packs.rglob("*.pack")
    pack.write_bytes(bytes(pack.stat().st_size))
    look(archive, LOOKS + 2)
    assert numbers(archive) is None
    with series_metadata(archive, CLINICIAN, REQUEST) as found, pytest.raises(VerificationFailed):
        list(found.pieces(SERVICE))

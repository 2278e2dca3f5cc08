"""Two versions of one SOP Instance beside each other: what a steward sees of a forgery, and what is on record of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from leadglass.archive.archive import Archive
from leadglass.archive.comparison import Comparison, Side, compared_picture, comparing
from leadglass.archive.decoding import Decoding
from leadglass.archive.query import STUDY_ROOT, QueryRequest
from leadglass.archive.retrieve import retrieve
from leadglass.archive.review import REASONS, accept, reject, reviews
from leadglass.dicom import tags
from leadglass.errors import DecodingFailed, IdentityConflict, NotAuthorised, NotFound, ProofTooOld
from leadglass.index.rows import InstanceState
from leadglass.model import DataSetLimits, Principal, Role
from leadglass.pixels.difference import Box
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool
from tests.archive.opened import LOCAL, device, opened, put
from tests.clients import ROOT, ct
from tests.served import Served

STUDY = f"{ROOT}.51"
STEWARD = device("steward", Role.STEWARD)
PIXELS = bytes(range(256)) * 2
#: Column 3 of row 2, of 16 columns of two bytes each.
FORGED = PIXELS[:70] + b"\xff\x0f" + PIXELS[72:]
FORGERY = ct(study=STUDY, pixels=FORGED)
RENAMED = ct(study=STUDY, pixels=FORGED, patient_name="Forged^Name", AccessionNumber="A-2")


@pytest.fixture(scope="module")
def decoding() -> Iterator[Decoding]:
    pool = DecoderPool(DecoderLimits(workers=1, job_seconds=60, start_seconds=120))
    yield Decoding(pool, DataSetLimits())
    pool.close()


@contextmanager
def forged(furnished: Served, folder: Path, forgery: bytes = FORGERY) -> Iterator[tuple[Archive, int]]:
    """An archive with an image, and the number of the review of one with other pixels under its UID."""
    with opened(furnished.copy(folder)) as archive:
        put(archive, ct(study=STUDY, pixels=PIXELS))
        with pytest.raises(IdentityConflict):
            put(archive, forgery)
        (listed,) = reviews(archive, STEWARD)
        yield archive, listed.id


def events(archive: Archive, action: str) -> list[dict[str, object]]:
    return [json.loads(event.content) for event in archive.index.events(action=action)]


def ended(archive: Archive) -> dict[str, int]:
    """What the end of the only access counts."""
    archive.ledger.close_all()
    archive.committer.run(lambda _: None)
    (event,) = archive.index.events(action="retrieve-end")
    counts: dict[str, int] = json.loads(event.content)["d"]
    return counts


def named(comparison: Comparison) -> dict[str, tuple[str, str]]:
    """Keyword → what stands there now, and in what arrived."""
    return {
        each.keyword: (each.kept.text if each.kept else "", each.arrived.text if each.arrived else "")
        for each in comparison.elements()
    }


def test_which_elements_and_pixels_differ(furnished: Served, tmp_path: Path, decoding: Decoding) -> None:
    with forged(furnished, tmp_path, RENAMED) as (archive, number):
        with comparing(archive, STEWARD, number, "https:127.0.0.1") as comparison:
            assert comparison.shows_images
            assert named(comparison) == {
                "AccessionNumber": ("A-1", "A-2"),
                "PatientName": ("Planted^Patient", "Forged^Name"),
                "PixelData": ("", ""),
            }
            found = comparison.pixels(decoding)
        assert (found.frames, found.compared) == ((1, 1), 1)
        (frame,) = found.differing
        assert (frame.number, frame.pixels, frame.of, frame.box) == (1, 1, 256, Box(3, 2, 3, 2))
        (compared,) = events(archive, "review-compared")
        assert (compared["p"], compared["s"]) == ("device:steward", STUDY)
        (begun,) = events(archive, "retrieve")
        assert (begun["p"], begun["f"]) == ("device:steward", "https:127.0.0.1")
        assert "Forged" not in json.dumps([compared, begun])
        counts = ended(archive)
        assert (counts["instances"], counts["described"]) == (0, 2)
        assert counts["bytes"] > 0


def test_pictures_are_disclosures(furnished: Served, tmp_path: Path, decoding: Decoding) -> None:
    with forged(furnished, tmp_path) as (archive, number):
        pictures = [compared_picture(archive, STEWARD, decoding, number, side, 1, "") for side in Side]
        for picture in pictures:
            with Image.open(BytesIO(picture)) as shown:
                assert (shown.format, shown.size) == ("PNG", (16, 16))
        assert len(set(pictures)) == 3
        assert ended(archive)["instances"] == 2
        with pytest.raises(NotFound, match="no such frame"):
            compared_picture(archive, STEWARD, decoding, number, Side.DIFFERENCE, 2, "")


def test_who_sees_no_images_is_told_where_and_not_what(furnished: Served, tmp_path: Path, decoding: Decoding) -> None:
    with forged(furnished, tmp_path, RENAMED) as (archive, number):
        with comparing(archive, LOCAL, number) as comparison:
            assert set(named(comparison).values()) == {("", "")}
            (frame,) = comparison.pixels(decoding).differing
            assert (frame.pixels, frame.box) == (1, Box(3, 2, 3, 2))
        assert len(events(archive, "review-compared")) == 1
        assert events(archive, "retrieve") == []
        for side in Side:
            with pytest.raises(NotAuthorised):
                compared_picture(archive, LOCAL, decoding, number, side, 1, "")


def test_nobody_else_compares(furnished: Served, tmp_path: Path, decoding: Decoding) -> None:
    with forged(furnished, tmp_path) as (archive, number):
        for nobody in (device("viewer", Role.CLINICIAN), device("admin", Role.ADMINISTRATOR), device()):
            with pytest.raises(NotAuthorised), comparing(archive, nobody, number):
                pass
            with pytest.raises(NotAuthorised):
                compared_picture(archive, nobody, decoding, number, Side.KEPT, 1, "")
        northern = device("northern", Role.STEWARD, "north")
        with pytest.raises(NotFound), comparing(archive, northern, number):
            pass
        assert events(archive, "review-compared") == events(archive, "retrieve") == []


def test_another_size_is_no_difference_of_pixels(furnished: Served, tmp_path: Path, decoding: Decoding) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        put(archive, ct(study=STUDY, pixels=PIXELS))
        with pytest.raises(IdentityConflict):
            put(archive, ct(study=STUDY, pixels=PIXELS * 2))
        (listed,) = reviews(archive, STEWARD)
        with comparing(archive, STEWARD, listed.id) as comparison:
            with pytest.raises(DecodingFailed, match="16 × 16 × 1 samples against 32 × 16"):
                comparison.pixels(decoding)
            assert {"Columns", "PixelData"} <= named(comparison).keys()


def test_an_object_that_nothing_is_known_of_is_compared_with_nothing(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        put(archive, ct(study=STUDY))
        put(archive, ct(2, study=STUDY, patient_id="P-2"))
        (listed,) = reviews(archive, STEWARD)
        with pytest.raises(NotFound, match="nothing to compare"), comparing(archive, STEWARD, listed.id):
            pass


def test_decided_it_is_compared_with_what_was_shown(furnished: Served, tmp_path: Path) -> None:
    with forged(furnished, tmp_path) as (archive, number):
        accept(archive, STEWARD, number)
        with comparing(archive, STEWARD, number) as comparison:
            assert "PixelData" in named(comparison)
            assert comparison.kept.digest != comparison.arrived.digest


def test_an_image_over_which_a_decoder_came_to_grief_is_asked_about(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        put(archive, ct(study=STUDY))
        asked = QueryRequest(STUDY_ROOT, {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: STUDY})
        with retrieve(archive, device("viewer", Role.CLINICIAN), asked) as retrieval:
            retrieval.note_decoder(retrieval.instances[0], "CRASHED")
        (listed,) = reviews(archive, STEWARD)
        assert "decoder" in REASONS[listed.reason]
        reject(archive, STEWARD, listed.id)
        assert [row.state for row in archive.index.all_instances()] == [InstanceState.REJECTED]


def test_accepting_asks_a_user_for_a_fresh_proof(furnished: Served, tmp_path: Path) -> None:
    with forged(furnished, tmp_path) as (archive, number):
        user = Principal("user", "sam", frozenset({Role.STEWARD}), account=1, proved=archive.clock() - 3_600_000_000)
        with pytest.raises(ProofTooOld):
            accept(archive, user, number)
        reject(archive, user, number)

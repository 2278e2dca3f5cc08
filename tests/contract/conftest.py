"""Every index that the contract suites hold to it. A further backend adds its factory to `FACTORIES`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leadglass.dicom import tags
from leadglass.index.index import Index
from tests.index.samples import (
    ARCHIVE_ID,
    KEY,
    add_simple,
)


def embedded(directory: Path) -> Index:
    return Index.create(directory / "index.db", KEY, ARCHIVE_ID)


FACTORIES: tuple[Callable[[Path], Index], ...] = (embedded,)


@pytest.fixture(params=FACTORIES, ids=lambda factory: factory.__name__)
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    made: Index = request.param(tmp_path)
    yield made
    made.close()


@pytest.fixture
def three(index: Index) -> Index:
    """Two patients with three studies."""
    with index.begin() as tx:
        common = {tags.PATIENT_ID: "P1", tags.PATIENT_NAME: "Müller^Jörg", tags.PATIENT_BIRTH_DATE: "19500102"}
        add_simple(
            tx,
            1,
            common
            | {
                tags.STUDY_DATE: "20260105",
                tags.STUDY_TIME: "1012",
                tags.ACCESSION_NUMBER: "A1",
                tags.STUDY_DESCRIPTION: "Schädel nativ",
                tags.SERIES_NUMBER: "7",
                tags.INSTANCE_NUMBER: "3",
                tags.REFERRING_PHYSICIAN_NAME: "House^Gregory",
                tags.PATIENT_WEIGHT: "70.50",
                tags.OTHER_PATIENT_IDS: "X1\\X22",
                tags.OPERATORS_NAME: "Lee^Ann\\Roth^Bea",
            },
        )
        add_simple(
            tx, 2, common | {tags.STUDY_DATE: "20260106", tags.STUDY_TIME: "090000.5", tags.ACCESSION_NUMBER: "A2"}
        )
        add_simple(
            tx,
            3,
            {
                tags.PATIENT_ID: "P2",
                tags.PATIENT_NAME: "Yamada^Tarou=山田^太郎=やまだ^たろう",
                tags.STUDY_DATE: "20260107",
                tags.STUDY_TIME: "235959",
                tags.STUDY_DESCRIPTION: "Thorax [p.a.]",
            },
            site="north",
        )
    return index

"""Archives for the tests that need a running one. Keys are made once: copying them takes a tenth of the time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import Served


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """An empty archive that is not served, to be copied, with a device for each part that the tests play."""
    archive = Served(tmp_path_factory.mktemp("furnished")).init()
    archive.enrol("scanner", "modality")
    archive.enrol("workstation", "clinician", options=("--person", "Dr. Test"))
    archive.enrol("steward", "steward")
    archive.enrol("reviser", "modality", options=("--may-revise",))
    archive.enrol("issuing", "modality", options=("--issuer", "HOSPITAL"))
    archive.enrol("north-scanner", "modality", options=("--site", "north"))
    archive.enrol("north-viewer", "clinician", options=("--site", "north", "--person", "Dr. North"))
    return archive


@pytest.fixture(scope="module")
def archive(furnished: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served archive for a module: its tests keep to studies of their own."""
    with furnished.copy(tmp_path_factory.mktemp("archive")) as served:
        yield served


@pytest.fixture
def empty_archive(furnished: Served, tmp_path: Path) -> Iterator[Served]:
    """A served archive that starts empty."""
    with furnished.copy(tmp_path) as served:
        yield served

"""Archives for the tests that need a running one. Keys are made once: copying them takes a tenth of the time.

And how `make test` divides the tests among its workers.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.served import Served

#: What takes longest comes first, so that no worker is left alone with it at the end.
LONGEST = ("tests/fault/", "tests/browser/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


class FilesTogether(LoadFileScheduling):  # type: ignore[misc]
    """A file's tests go to one worker, and so do all that need the browser: there is one, with one archive."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/browser" if nodeid.startswith("tests/browser/") else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesTogether:
    return FilesTogether(config, log)


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """An empty archive that is not served, to be copied, with a device for each part that the tests play."""
    # Enrolled while it is served: a command that has to open the archive itself takes six times as long.
    with Served(tmp_path_factory.mktemp("furnished")).init() as archive:
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

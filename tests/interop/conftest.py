"""One served archive for each test module's worth of peers; each test enrols what it needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import Served


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Served]:
    """An empty archive that is served, with a scanner, a workstation and a steward."""
    served = Served(tmp_path).init()
    served.enrol("scanner", "modality")
    served.enrol("workstation", "clinician", options=("--person", "Dr. Test"))
    served.enrol("steward", "steward")
    with served:
        yield served

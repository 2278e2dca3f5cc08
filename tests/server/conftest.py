"""Archives for the tests of the doors: made once, copied for each test or module that changes them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.served import Served

#: `copied(folder, settings)`: the template's archive in a folder, with settings in TOML.
Copied = Callable[..., Served]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """An empty archive with a scanner, a workstation and a steward; never served itself."""
    served = Served(tmp_path_factory.mktemp("template")).init()
    served.enrol("scanner", "modality")
    served.enrol("workstation", "clinician", options=("--person", "Dr. Test"))
    served.enrol("steward", "steward")
    return served


@pytest.fixture(scope="session")
def copied(template: Served) -> Copied:
    def copy(folder: Path, settings: str = "") -> Served:
        return template.copy(folder, settings=settings)

    return copy

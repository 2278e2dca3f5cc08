"""Archives for the tests of the doors: copies of the furnished one, each with settings of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.served import Served

#: `copied(folder, settings, environment)`: an archive in a folder, with settings in TOML
#: and environment variables; not served yet.
Copied = Callable[..., Served]


@pytest.fixture(scope="session")
def copied(furnished: Served) -> Copied:
    def copy(folder: Path, settings: str = "", environment: dict[str, str] | None = None) -> Served:
        made = furnished.copy(folder, settings=settings)
        return made if environment is None else Served(folder, settings=settings, environment=environment)

    return copy

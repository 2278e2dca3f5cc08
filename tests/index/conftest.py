from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.index.index import Index
from tests.index.samples import ARCHIVE_ID, KEY


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = Index.create(tmp_path / "index.db", KEY, ARCHIVE_ID)
    yield made
    made.close()

"""Creating, opening, migrating, and refusing."""

import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine

from leadglass.errors import RefusedForSafety, UsageError
from leadglass.index.connection import connect, engine
from leadglass.index.index import Index
from leadglass.index.schema import metadata
from tests.index.samples import ARCHIVE_ID, KEY, add_simple, found


def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    index = Index.create(path, KEY, ARCHIVE_ID)
    with index.begin() as tx:
        add_simple(tx, 1, {})
    index.close()
    again = Index.open(path, KEY)
    assert again.archive_id == ARCHIVE_ID
    assert found(again, {}) == ["1.2.1"]
    again.close()


def test_the_file_is_its_owners_and_sealed(index: Index, tmp_path: Path) -> None:
    with index.begin() as tx:
        add_simple(tx, 1, {0x00100010: "Planted^Name"})
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o077 == 0
        data = file.read_bytes()
        assert b"Planted" not in data
        assert b"SQLite format" not in data


def test_refusals(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "index.db"
    Index.create(path, KEY, ARCHIVE_ID).close()
    with pytest.raises(RefusedForSafety, match="exists"):
        Index.create(path, KEY, ARCHIVE_ID)
    with pytest.raises(RefusedForSafety, match="key") as wrong_key:
        Index.open(path, bytes(32))
    assert wrong_key.value.remedy
    with pytest.raises(RefusedForSafety, match="missing"):
        Index.open(tmp_path / "other.db", KEY)
    assert not (tmp_path / "other.db").exists()
    with pytest.raises(UsageError):
        Index.open(path, b"short")
    assert capfd.readouterr().err == ""


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    Index.create(path, KEY, ARCHIVE_ID).close()
    connection = connect(path, KEY, writing=True)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(RefusedForSafety, match="newer"):
        Index.open(path, KEY)


def test_a_damaged_page_shows(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    index = Index.create(path, KEY, ARCHIVE_ID)
    with index.begin() as tx:
        for number in range(200):
            add_simple(tx, number, {})
    index.close()
    with path.open("r+b") as file:
        file.seek(-1000, 2)
        file.write(b"damage")
    damaged = Index.open(path, KEY)
    assert damaged.integrity_check()
    damaged.close()


def test_migrations_make_what_the_schema_says(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    Index.create(path, KEY, ARCHIVE_ID).close()
    migrated = engine(path, KEY, writing=True)
    with migrated.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: kind != "table" or "study_text" not in (name or "")}
        )
        assert compare_metadata(context, metadata) == []
        made = _objects(connection)
    migrated.dispose()
    fresh = create_engine("sqlite://")
    with fresh.connect() as connection:
        metadata.create_all(connection)
        assert _objects(connection) == made


def _objects(connection: Connection) -> dict[str, list[str]]:
    """The words of each definition: constraints stand in any order."""
    rows = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'study_text%' "
        "AND name NOT IN ('alembic_version', 'sqlite_sequence')"
    )
    return {name: sorted(re.findall(r"[^,()\s]+", sql)) for name, sql in rows}

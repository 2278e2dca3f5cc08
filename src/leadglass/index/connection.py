"""Connections to the sealed index. The key goes in by PRAGMA through a `creator`: a URL would end up in error texts."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool
from sqlcipher3 import dbapi2 as sqlcipher

from leadglass.errors import RefusedForSafety, UsageError

KEY_BYTES = 32
#: Page cache of the writer and of each reader, KiB. The index of SOP Instance UIDs is hit at random.
WRITER_CACHE = 48 * 1024
READER_CACHE = 8 * 1024
#: Reader connections kept open; more are opened when needed and closed after.
KEPT_READERS = 4
BUSY_SECONDS = 30.0


def create_file(path: Path) -> None:
    """An empty file that only its owner can read. Raises RefusedForSafety when it exists."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise RefusedForSafety("An index exists there already.", "Choose an empty data directory.") from None


def connect(path: Path, key: bytes, *, writing: bool) -> Any:
    """A DB-API connection in autocommit mode, usable by one thread at a time.

    Raises RefusedForSafety when the file is missing or does not open with this key.
    """
    if len(key) != KEY_BYTES:
        raise UsageError(f"An index key has {KEY_BYTES} bytes.")
    if not path.is_file():
        raise RefusedForSafety(f"The index {path} is missing.", "Check --data, or restore it from a backup.")
    connection = sqlcipher.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_SECONDS,
        cached_statements=256,
    )
    try:
        _set_up(connection, key, writing)
    except sqlcipher.DatabaseError as error:
        connection.close()
        if "file is not a database" not in str(error):
            raise
        raise RefusedForSafety(
            "The index does not open with this key.",
            "Check that --keys names the keys directory that was made with this data directory.",
        ) from None
    return connection


def _set_up(connection: Any, key: bytes, writing: bool) -> None:
    execute = connection.execute
    execute("PRAGMA cipher_log_level = NONE")  # it would write to standard error
    execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    execute("PRAGMA cipher_page_size = 4096")
    execute("PRAGMA temp_store = MEMORY")
    execute("PRAGMA foreign_keys = ON")
    execute("PRAGMA secure_delete = ON")
    execute("PRAGMA trusted_schema = OFF")
    execute(f"PRAGMA cache_size = -{WRITER_CACHE if writing else READER_CACHE}")
    execute("SELECT count(*) FROM sqlite_master").fetchone()  # the first read is what proves the key
    if writing:
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
    else:
        execute("PRAGMA query_only = ON")


def engine(path: Path, key: bytes, *, writing: bool) -> Engine:
    """SQLAlchemy's view of `connect`: one connection for the writer, a pool of them for readers."""
    return create_engine(
        "sqlite://",
        module=sqlcipher,
        creator=lambda: connect(path, key, writing=writing),
        poolclass=QueuePool,
        pool_size=1 if writing else KEPT_READERS,
        max_overflow=0 if writing else -1,
        hide_parameters=True,
    )

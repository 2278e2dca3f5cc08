"""Reaching the archive from the command line: through the control socket of a running `serve`, else by opening it."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from leadglass.archive.archive import Archive, open_archive
from leadglass.config import load
from leadglass.errors import NotAvailable
from leadglass.server.control import ControlClient, local_principal, run_verb

Progress = Callable[[int, int], None]


def _silent(_done: int, _total: int) -> None:
    """For verbs that are over at once."""


class Verbs(Protocol):
    """Something that runs the verbs of `leadglass.server.verbs`."""

    def call(
        self, verb: str, params: dict[str, Any], files: Sequence[int] = (), progress: Progress = _silent
    ) -> Any: ...


class _Remote:
    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def call(self, verb: str, params: dict[str, Any], files: Sequence[int] = (), progress: Progress = _silent) -> Any:
        return self._client.call(verb, params, files, progress)


class _Local:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._principal = local_principal(os.getuid())

    def call(self, verb: str, params: dict[str, Any], files: Sequence[int] = (), progress: Progress = _silent) -> Any:
        return run_verb(self._archive, self._principal, verb, params, files, progress)


class Reach:
    """How to reach the archive; `connect` may be called again for more callers at once."""

    def __init__(self, data: Path, archive: Archive | None) -> None:
        self._data = data
        self._archive = archive

    @contextmanager
    def connect(self) -> Iterator[Verbs]:
        if self._archive is not None:
            yield _Local(self._archive)
            return
        client = ControlClient.connect(self._data)
        try:
            yield _Remote(client)
        finally:
            client.close()


@contextmanager
def reach(data: Path, keys: Path, config: Path | None = None) -> Iterator[Reach]:
    """Raises RefusedForSafety and NotAvailable with a remedy."""
    try:
        ControlClient.connect(data).close()
    except NotAvailable:
        archive = open_archive(data, keys, load(config).archive.config())
        try:
            yield Reach(data, archive)
        finally:
            archive.close()
    else:
        yield Reach(data, None)


@contextmanager
def verbs(data: Path, keys: Path) -> Iterator[Verbs]:
    with reach(data, keys) as way, way.connect() as connected:
        yield connected

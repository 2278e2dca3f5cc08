"""Reaching the archive from the command line: through the control socket of a running `serve`, else by opening it."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadglass.errors import NotAvailable

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

Progress = Callable[[int, int], None]


def _silent(_done: int, _total: int) -> None:
    """For verbs that are over at once."""


class Verbs:
    """Runs the verbs of `leadglass.server.verbs`, there or here."""

    def __init__(self, run: Callable[[str, dict[str, Any], Sequence[int], Progress], Any]) -> None:
        self._run = run

    def call(self, verb: str, params: dict[str, Any], files: Sequence[int] = (), progress: Progress = _silent) -> Any:
        return self._run(verb, params, files, progress)


class Reach:
    """How to reach the archive; `connect` may be called again for more callers at once."""

    def __init__(self, data: Path, archive: "Archive | None") -> None:
        self._data = data
        self._archive = archive

    @contextmanager
    def connect(self) -> Iterator[Verbs]:
        if self._archive is not None:
            from leadglass.server.control import local_principal, run_verb

            yield Verbs(partial(run_verb, self._archive, local_principal(os.getuid())))
            return
        from leadglass.server.control_client import ControlClient

        client = ControlClient.connect(self._data)
        try:
            yield Verbs(client.call)
        finally:
            client.close()


@contextmanager
def reach(data: Path, keys: Path, config: Path | None) -> Iterator[Reach]:
    """`config` counts when the archive is opened here: a running `serve` has its own. Raises RefusedForSafety,
    NotAvailable and UsageError with a remedy."""
    # Imported where an archive is reached, so that help, usage errors and the version come at once.
    from leadglass.server.control_client import ControlClient

    try:
        ControlClient.connect(data).close()
    except NotAvailable:
        from leadglass.archive.archive import open_archive
        from leadglass.config import load

        archive = open_archive(data, keys, load(config).local_config())
        try:
            yield Reach(data, archive)
        finally:
            archive.close()
    else:
        yield Reach(data, None)


@contextmanager
def verbs(data: Path, keys: Path, config: Path | None) -> Iterator[Verbs]:
    with reach(data, keys, config) as way, way.connect() as connected:
        yield connected

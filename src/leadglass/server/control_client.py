"""The caller's side of the control socket. Light: a command that only asks a running `serve` loads no archive."""

import json
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from leadglass import errors
from leadglass.errors import LeadglassError, NotAvailable

#: What a verb may raise across the socket, by name.
ERRORS: dict[str, type[LeadglassError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, LeadglassError)
}


class ControlClient:
    """A connection to a running `serve`. Raises NotAvailable from `connect` when none is running."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lines = connection.makefile("rb")

    @classmethod
    def connect(cls, directory: Path) -> "ControlClient":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with short_path(directory / "control.sock") as path:
                connection.connect(path)
        except OSError:
            connection.close()
            raise NotAvailable("The archive is not being served.") from None
        return cls(connection)

    def call(
        self, verb: str, params: dict[str, Any], files: Sequence[int], progress: Callable[[int, int], None]
    ) -> Any:
        request = json.dumps({"verb": verb, "params": params, "files": len(files)}).encode() + b"\n"
        if files:
            sent = socket.send_fds(self._socket, [request], list(files))
            self._socket.sendall(request[sent:])
        else:
            self._socket.sendall(request)
        for line in self._lines:
            answer = json.loads(line)
            if "progress" in answer:
                progress(*answer["progress"])
            elif "error" in answer:
                raise ERRORS[answer["error"]](answer["message"], remedy=answer["remedy"])
            else:
                return answer["result"]
        raise NotAvailable("The archive stopped while it was answering.", "See its log, and try again.")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


class short_path:  # noqa: N801 - reads as the context manager that it is
    """A name of a socket that fits the 108 bytes of sun_path, however deep its directory lies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._directory = -1

    def __enter__(self) -> str:
        self._directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._directory}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        os.close(self._directory)

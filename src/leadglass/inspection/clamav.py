"""clamd, asked over its socket with INSTREAM (clamd(8)): the object goes to it as it streams past."""

import re
import socket
from struct import Struct
from typing import Final

from leadglass.errors import NotAvailable
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import Findings

_LENGTH: Final = Struct("!I")
_CHUNK: Final = 256 * 1024
_LONGEST_REPLY: Final = 4096
#: clamd's own StreamMaxLength unless its configuration says otherwise.
DEFAULT_LIMIT: Final = 25 * 1024 * 1024
_FOUND: Final = re.compile(r"^(?:\d+: )?stream: (.{1,200}) FOUND$")


class Clamd:
    """Where clamd listens: the path of its Unix socket. `limit`: bytes it takes of one object (StreamMaxLength)."""

    def __init__(self, path: str, *, limit: int = DEFAULT_LIMIT, timeout: float = 30.0) -> None:
        self._path = path
        self._limit = limit
        self._timeout = timeout

    def version(self) -> str:
        """What answers there. Raises NotAvailable when nothing does."""
        with self._connect() as connection:
            try:
                connection.sendall(b"zVERSION\0")
                return _reply(connection)
            except OSError as error:
                raise _unavailable(error) from error

    def begin(self, findings: Findings) -> "ClamdScan":
        """Raises NotAvailable when clamd does not answer: what it was asked to scan is not passed unscanned."""
        return ClamdScan(self._connect(), self._limit, findings)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._timeout)
        try:
            connection.connect(self._path)
        except OSError as error:
            connection.close()
            raise _unavailable(error) from error
        return connection


class ClamdScan:
    """One object on its way to clamd. What is beyond its limit is not sent, and said to be NOT SCANNED."""

    def __init__(self, connection: socket.socket, limit: int, findings: Findings) -> None:
        self._connection = connection
        self._left = limit
        self._findings = findings
        self._begun = False
        self._beyond = 0

    def feed(self, data: memoryview) -> None:
        sent = data[: self._left]
        self._beyond += len(data) - len(sent)
        self._left -= len(sent)
        try:
            if not self._begun:
                self._begun = True
                self._connection.sendall(b"zINSTREAM\0")
            for start in range(0, len(sent), _CHUNK):
                part = sent[start : start + _CHUNK]
                self._connection.sendall(_LENGTH.pack(len(part)))
                self._connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            # clamd answers and hangs up at its own limit, before it has read everything.
            self._beyond += len(sent)
            self._left = 0
        except OSError as error:
            raise _unavailable(error) from error

    def finish(self) -> None:
        try:
            reply = self._ask() if self._begun else "OK"
        finally:
            self.close()
        found = _FOUND.match(reply)
        if found:
            self._findings.add(Reason.ANTIVIRUS, detail=found[1])
        elif "size limit exceeded" in reply:
            self._findings.add(Reason.NOT_SCANNED, detail="ClamAV: its size limit is lower than configured here")
        elif not reply.endswith("OK"):
            raise NotAvailable("ClamAV did not scan an object.", "See clamd's log.")
        if self._beyond and not found:
            self._findings.add(Reason.NOT_SCANNED, detail=f"ClamAV: the last {self._beyond} bytes")

    def _ask(self) -> str:
        try:
            self._connection.sendall(_LENGTH.pack(0))
        except (BrokenPipeError, ConnectionResetError):
            self._left = 0  # its answer is there all the same
        except OSError as error:
            raise _unavailable(error) from error
        try:
            return _reply(self._connection)
        except OSError as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        self._connection.close()


def _reply(connection: socket.socket) -> str:
    received = bytearray()
    while len(received) < _LONGEST_REPLY and not received.endswith(b"\0"):
        part = connection.recv(_LONGEST_REPLY)
        if not part:
            break
        received += part
    return received.rstrip(b"\0\n").decode("utf-8", "replace")


def _unavailable(error: OSError) -> NotAvailable:
    return NotAvailable(f"ClamAV does not answer: {error.strerror or type(error).__name__}.", "Start clamd.")

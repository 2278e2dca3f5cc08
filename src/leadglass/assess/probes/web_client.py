"""HTTP as a stranger speaks it (RFC 9110, RFC 9112): one request on one connection, and every wait, header and body
bounded. Nothing is followed, nothing is stored, no proxy and no password file is looked at; whatever connects is Reach.
"""

import http.client
import io
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Self

from leadglass.assess.observation import Endpoint, Exchange
from leadglass.assess.probes import tokens
from leadglass.assess.reach import BudgetSpent, Reach
from leadglass.errors import FormatError, NotAvailable

_AGENT: Final = "leadglass-assess (authorised by the owner of this network)"
#: What evidence shows of headers: words that are known. All others might say something of somebody.
_SHOWN_HEADERS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "server": tokens.server,
        "content-type": tokens.media_type,
        "www-authenticate": tokens.challenge,
        "warning": tokens.warning,
    }
)
_LONGEST_HEADER: Final = 200
_BUFFER: Final = 65_536
_MOST_STRIKES: Final = 3


class NotHttp(FormatError):
    """What answers does not speak HTTP."""


@dataclass(slots=True)
class Strikes:
    """Failures in a row at one door: who keeps us waiting three times, or has had what one address may have, is not
    asked again."""

    count: int = 0
    spent: bool = False

    @property
    def out(self) -> bool:
        return self.spent or self.count >= _MOST_STRIKES


@dataclass(frozen=True, slots=True)
class WebWay:
    """How to go up to a web door. `name`: for the Host header. `patience`: seconds of silence; `longest`: of one whole
    exchange, which for a list of all studies may be long. `authorization`: sent with each request, never shown."""

    reach: Reach
    endpoint: Endpoint
    context: ssl.SSLContext | None = None
    name: str = ""
    patience: float = 10.0
    longest: float = 30.0
    longest_list: float = 900.0
    authorization: str = field(default="", repr=False)
    alias: tuple[str, str] = field(default=("", ""), repr=False)
    strikes: Strikes = field(default_factory=Strikes)

    @property
    def protocol(self) -> str:
        return "http" if self.context is None else "https"

    @property
    def host(self) -> str:
        return self.name or (f"[{self.endpoint.address}]" if ":" in self.endpoint.address else self.endpoint.address)

    def aliased(self, path: str, shown: str) -> Self:
        """The same way, on which `path` is shown as `shown`."""
        return replace(self, alias=(path, shown))

    def shown(self, text: str) -> str:
        path, shown = self.alias
        return text.replace(path, shown) if path else text

    @contextmanager
    def ask(
        self,
        target: str,
        *,
        shown: str = "",
        accept: str = "*/*",
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        body: bytes = b"",
        longest: float | None = None,
    ) -> Iterator["Answer"]:
        """The answer to a request, its body unread. `target`: path and query, already encoded; `shown`: what evidence
        shows instead, where it names somebody's objects.

        NotAvailable when nobody answers in time, NotHttp for what is no HTTP, BudgetSpent, OutOfScope.
        """
        if not target.startswith("/") or not target.isascii() or not target.isprintable() or " " in target:
            raise FormatError("A path from an answer cannot be asked for.")
        if self.strikes.out:
            raise NotAvailable(f"{self.endpoint} has stopped answering.")
        lines = {
            "Host": f"{self.host}:{self.endpoint.port}",
            "User-Agent": _AGENT,
            "Accept": accept,
            "Accept-Encoding": "identity",
            "Connection": "close",
            **({"Content-Length": str(len(body))} if method != "GET" else {}),
            **(headers or {}),
        }
        secret = {"Authorization": self.authorization} if self.authorization else {}
        seen = self.shown(shown or target)
        evidence = _head(f"{method} {seen}", {**lines, **dict.fromkeys(secret, "***")})
        request = _head(f"{method} {target}", {**lines, **secret}) + body
        deadline = time.monotonic() + (longest or self.longest)
        begun = datetime.now(UTC)
        try:
            with closing(self._connected()) as connection:
                response = self._exchange(connection, method, request, deadline)
                yield Answer(response, begun, f"{method} {seen.split('?')[0]}", evidence)
        except NotAvailable as error:
            self.strikes.count += 1
            self.strikes.spent |= isinstance(error, BudgetSpent)
            raise
        self.strikes.count = 0

    def _connected(self) -> Any:
        connection = self.reach.connect(self.endpoint, self.patience)
        if self.context is None:
            return connection
        try:
            return self.reach.secured(connection, self.context, self.name)
        except OSError:  # ssl.SSLError is one
            raise NotAvailable(f"{self.endpoint} does not complete a TLS handshake.") from None

    def _exchange(self, connection: Any, method: str, request: bytes, deadline: float) -> http.client.HTTPResponse:
        metered = _Metered(connection, self, deadline)
        response = http.client.HTTPResponse(_Source(metered), method=method)  # type: ignore[arg-type]
        # A peer that has answered already may have hung up: its answer is read all the same.
        with suppress(OSError):
            connection.sendall(request)
        try:
            response.begin()
        except http.client.HTTPException as error:
            if not metered.received:
                raise NotAvailable(f"{self.endpoint} hangs up without an answer.") from None
            raise NotHttp(f"{self.endpoint} does not answer in HTTP ({type(error).__name__}).") from None
        except ValueError:
            raise NotHttp(f"{self.endpoint} does not answer in HTTP.") from None
        return response


def _head(request: str, lines: Mapping[str, str]) -> bytes:
    written = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{request} HTTP/1.1\r\n{written}\r\n".encode("ascii", "replace")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers have arrived; `read` takes from the body."""

    _response: http.client.HTTPResponse = field(repr=False)
    _begun: datetime
    _summary: str
    _sent: bytes = field(repr=False)

    @property
    def status(self) -> int:
        return self._response.status

    def header(self, name: str) -> str:
        """The first value of a header, cut to 200 printable characters; "" without one."""
        value = (self._response.getheader(name) or "")[:_LONGEST_HEADER]
        return "".join(each for each in value if each.isprintable())

    @property
    def media_type(self) -> str:
        return self.header("content-type").split(";")[0].strip().lower()

    @property
    def is_encoded(self) -> bool:
        """Compressed although we asked for it as it is: such a body is never inflated."""
        return self.header("content-encoding").lower() not in ("", "identity")

    def read(self, most: int) -> bytes:
        """At most `most` bytes, none at the end. NotAvailable, FormatError, BudgetSpent."""
        if self.is_encoded:
            raise FormatError("A body is compressed although nobody asked for that.")
        try:
            return self._response.read(most)
        except http.client.IncompleteRead as error:
            return error.partial
        except (http.client.HTTPException, ValueError):
            raise FormatError("A body does not follow its framing (RFC 9112 6).") from None

    def body(self, most: int) -> bytes:
        """The whole body, or its first `most` bytes."""
        parts = bytearray()
        while len(parts) < most and (part := self.read(most - len(parts))):
            parts += part
        return bytes(parts)

    def exchange(self, note: str = "") -> Exchange:
        """Evidence: the request, the status and the telling headers; the body as a row of asterisks."""
        shown = [f"HTTP/1.1 {self.status}"]
        shown += (
            f"{name.title()}: {word}" for name, told in _SHOWN_HEADERS.items() if (word := told(self.header(name)))
        )
        received = ("\r\n".join(shown) + "\r\n\r\n***").encode("ascii", "replace")
        summary = f"{self._summary} → {self.status}{f' ({note})' if note else ''}"
        return Exchange(self._begun, summary, self._sent, received)


class _Metered(io.RawIOBase):
    """Reads from a socket, but never longer than the deadline or more than the address may send."""

    def __init__(self, connection: Any, way: WebWay, deadline: float) -> None:
        self._connection = connection
        self._way = way
        self._deadline = deadline
        self.received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise NotAvailable(f"{self._way.endpoint} takes longer for an answer than it may.")
        self._connection.settimeout(min(remaining, self._way.patience))
        try:
            count: int = self._connection.recv_into(buffer)
        except OSError:
            raise NotAvailable(f"{self._way.endpoint} stops in the middle of an answer.") from None
        self.received += count
        self._way.reach.spend(self._way.endpoint.address, count)
        return count


class _Source:
    """What HTTPResponse needs of a socket."""

    def __init__(self, metered: _Metered) -> None:
        self._metered = metered

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._metered, _BUFFER)

"""multipart/related (RFC 2387, RFC 2046 5.1; PS3.18 8.6.1.2) both ways, piece by piece. No input or output.

`MultipartWriter` spells what goes between the parts. `MultipartParser` takes a body as it comes and tells of each part
as `PartBegin`, memoryviews of what was fed, `PartEnd`. It holds no more than one header block or one delimiter.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from leadglass.errors import UsageError
from leadglass.server.web.dicomweb.errors import ContentTooLarge

#: RFC 2046 5.1.1.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_END_OF_HEADERS: Final = b"\r\n\r\n"
#: White space that a gateway may have put behind a boundary, RFC 2046 5.1.1.
_MOST_PADDING: Final = 64


@dataclass(frozen=True, slots=True)
class MultipartLimits:
    """Bounds on what a body may declare; sizes in bytes. `outside`: before the first part and behind the last."""

    parts: int = 5000
    header_block: int = 16 * 1024
    headers: int = 32
    outside: int = 4096


@dataclass(frozen=True, slots=True)
class PartBegin:
    """`headers`: by name in lower case."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartEnd:
    pass


Event = PartBegin | memoryview | PartEnd


class _At(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    BODY = auto()
    EPILOGUE = auto()


class MultipartWriter:
    """The delimiters of one body. Its boundary is random: no part can hold it but by chance of 1 in 2^128."""

    def __init__(self) -> None:
        self.boundary = secrets.token_hex(16)
        self._begun = False

    def content_type(self, media_type: str) -> str:
        """Of the whole: `media_type` is that of the first part (RFC 2387 3.1)."""
        return f'multipart/related; type="{media_type}"; boundary={self.boundary}'

    def part(self, **headers: str) -> bytes:
        """What goes before a part's bytes; underscores in header names become hyphens."""
        lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items() if value]
        start = "\r\n--" if self._begun else "--"
        self._begun = True
        return f"{start}{self.boundary}\r\n{''.join(lines)}\r\n".encode("ascii")

    def end(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode("ascii")


class MultipartParser:
    """Feed a body, then `finish`. Raises UsageError for what RFC 2046 does not allow, ContentTooLarge beyond bounds."""

    def __init__(self, boundary: str, limits: MultipartLimits) -> None:
        if _BOUNDARY.fullmatch(boundary) is None:
            raise UsageError("The boundary of the multipart body is missing or malformed (RFC 2046 5.1.1).")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._limits = limits
        self._at = _At.PREAMBLE
        # The first delimiter needs no line before it.
        self._carry = b"\r\n"
        self._outside = 0
        self._parts = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """What the next bytes tell. To be run to its end before the next call; memoryviews are of `data` or of what was
        carried over, and stay valid."""
        buf = self._carry + data if self._carry else data
        self._carry = b""
        pos = 0
        while pos < len(buf):
            if self._at is _At.HEADERS:
                headers = self._headers(buf, pos)
                if headers is None:
                    return
                pos, begin = headers
                yield begin
                continue
            if self._at is _At.EPILOGUE:
                self._count_outside(len(buf) - pos)
                return
            stop, after, closes = self._delimited(buf, pos)
            if stop > pos:
                if self._at is _At.BODY:
                    yield memoryview(buf)[pos:stop]
                else:
                    self._count_outside(stop - pos)
            if after is None:
                return
            if after > stop:
                if self._at is _At.BODY:
                    yield PartEnd()
                self._at = _At.EPILOGUE if closes else _At.HEADERS
            pos = after

    def finish(self) -> None:
        """Raises UsageError when the body is cut short, or there was no part in it."""
        if self._at is not _At.EPILOGUE:
            raise UsageError("The multipart body has no closing boundary (RFC 2046 5.1.1).")
        if not self._parts:
            raise UsageError("The multipart body has no parts.")

    def _delimited(self, buf: bytes, pos: int) -> tuple[int, int | None, bool]:
        """Where what is before the next delimiter ends, where what is after it begins (the same when that was none, and
        None when more bytes are needed to know), and whether it is the closing one."""
        at = buf.find(self._delimiter, pos)
        if at < 0:
            kept = self._kept(buf, pos)
            self._carry = buf[kept:]
            return kept, None, False
        after = at + len(self._delimiter)
        rest = buf[after : after + _MOST_PADDING + 2]
        if rest.startswith(b"--"):
            return at, after + 2, True
        padding = len(rest) - len(rest.lstrip(b" \t"))
        if rest[padding : padding + 2] == b"\r\n":
            # The line's end stays: an empty header block is nothing but a second one.
            return at, after + padding, False
        if len(rest) <= padding + 1 and padding <= _MOST_PADDING and (rest[padding:] in (b"", b"\r") or rest == b"-"):
            self._carry = buf[at:]
            return at, None, False
        return at + 1, at + 1, False

    def _kept(self, buf: bytes, pos: int) -> int:
        """From where on the end of `buf` may be the beginning of a delimiter."""
        at = buf.find(b"\r", max(pos, len(buf) - len(self._delimiter) + 1))
        while at >= 0:
            if self._delimiter.startswith(buf[at:]):
                return at
            at = buf.find(b"\r", at + 1)
        return len(buf)

    def _headers(self, buf: bytes, pos: int) -> tuple[int, PartBegin] | None:
        """The header block at `pos`, which begins with the end of the delimiter's line."""
        end = buf.find(_END_OF_HEADERS, pos, pos + self._limits.header_block)
        if end < 0:
            if len(buf) - pos >= self._limits.header_block:
                raise ContentTooLarge("The headers of a part are longer than the limit.")
            self._carry = buf[pos:]
            return None
        self._parts += 1
        if self._parts > self._limits.parts:
            raise ContentTooLarge("The body has more parts than the limit.", "Send them in several requests.")
        self._at = _At.BODY
        lines = buf[pos + 2 : end].split(b"\r\n") if end > pos else []
        if len(lines) > self._limits.headers:
            raise ContentTooLarge("A part has more headers than the limit.")
        return end + len(_END_OF_HEADERS), PartBegin(_parsed(lines))

    def _count_outside(self, size: int) -> None:
        self._outside += size
        if self._outside > self._limits.outside:
            raise ContentTooLarge("More than the limit lies outside the parts of the body.")


def _parsed(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise UsageError("A header of a part is malformed (RFC 2046 5.1).")
        name = found[1].decode("ascii").lower()
        if name in headers:
            raise UsageError("A part has a header twice.")
        headers[name] = found[2].decode("latin-1").rstrip(" \t")
    return headers

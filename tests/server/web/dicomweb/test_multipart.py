"""RFC 2046 5.1: any body, in pieces of any size, is told part by part or refused."""

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.errors import LeadglassError, UsageError
from leadglass.server.web.dicomweb.errors import ContentTooLarge
from leadglass.server.web.dicomweb.multipart import (
    Event,
    MultipartLimits,
    MultipartParser,
    MultipartWriter,
    PartBegin,
    PartEnd,
)

LIMITS = MultipartLimits(parts=20, header_block=256, headers=4, outside=64)
Parts = list[tuple[dict[str, str], bytes]]


def parse(body: bytes, boundary: str = "b", size: int = 1 << 20) -> Parts:
    parser = MultipartParser(boundary, LIMITS)
    events: list[Event] = []
    for start in range(0, len(body), size):
        for event in parser.feed(body[start : start + size]):
            assert not isinstance(event, memoryview) or len(event)
            events.append(event)
    parser.finish()
    return collected(events)


def collected(events: list[Event]) -> Parts:
    parts: Parts = []
    is_open = False
    for event in events:
        if isinstance(event, PartBegin):
            assert not is_open
            parts.append((dict(event.headers), b""))
            is_open = True
        elif isinstance(event, PartEnd):
            assert is_open
            is_open = False
        else:
            assert is_open
            parts[-1] = parts[-1][0], parts[-1][1] + bytes(event)
    assert not is_open
    return parts


def outcome(body: bytes, size: int) -> Parts | type[LeadglassError]:
    try:
        return parse(body, size=size)
    except LeadglassError as error:
        return type(error)


#: Bytes that nearly are delimiters.
TRICKY = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--b", b"\r\n--b", b"\r\n--", b" ", b"b", b"\r\n\r\n", b"x", b"a: 1"]),
    max_size=30,
).map(b"".join)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 400))
def test_what_is_written_is_read(bodies: list[bytes], size: int) -> None:
    writer = MultipartWriter()
    sent = b"".join(writer.part(Content_Type="application/dicom", Content_Location="") + body for body in bodies)
    expected = [({"content-type": "application/dicom"}, body) for body in bodies]
    assert parse(sent + writer.end(), writer.boundary, size) == expected


@given(TRICKY, st.integers(1, 12))
def test_pieces_of_any_size_tell_the_same(body: bytes, size: int) -> None:
    whole = b"--b\r\na: 1\r\n\r\n" + body + b"\r\n--b--"
    assert outcome(whole, size) == outcome(whole, 1 << 20)
    assert outcome(body, size) == outcome(body, 1 << 20)


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_are_read_or_refused(body: bytes, size: int) -> None:
    assert outcome(body, size) == outcome(body, 1 << 20)


def test_the_standard_library_reads_what_is_written() -> None:
    writer = MultipartWriter()
    body = writer.part(Content_Type="text/plain") + b"one" + writer.part(Content_Type="text/plain") + b"" + writer.end()
    head = f"Content-Type: {writer.content_type('text/plain')}\r\n\r\n".encode()
    message = BytesParser(_class=EmailMessage, policy=HTTP).parsebytes(head + body)
    assert [part.get_payload() for part in message.iter_parts()] == ["one", ""]


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"--b\r\n\r\nbody\r\n--b--", [({}, b"body")]),
        (b"preamble\r\n--b \t\r\nA:1\r\n\r\n\r\n--b--\r\nepilogue", [({"a": "1"}, b"")]),
        (b"--b\r\n\r\n\r\n--bc\r\n--b-\r\n\r\n--b--", [({}, b"\r\n--bc\r\n--b-\r\n")]),
        (b"--b\r\n\r\n--b--\r\n--b--", [({}, b"--b--")]),
        (b"--b\r\nA: caf\xc3\xa9\r\n\r\n\r\n--b--", [({"a": "café".encode().decode("latin-1")}, b"")]),
    ],
)
def test_forms_that_are_allowed(body: bytes, parts: Parts) -> None:
    for size in (1, 2, 3, 1000):
        assert parse(body, size=size) == parts


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", UsageError),
        (b"--b--", UsageError),
        (b"--c\r\n\r\n\r\n--c--", UsageError),
        (b"--b\r\n\r\nbody", UsageError),
        (b"--b\r\n\r\nbody\r\n--b", UsageError),
        (b"--b\n\nbody\n--b--\n", UsageError),
        (b"--b\r\nno colon\r\n\r\n\r\n--b--", UsageError),
        (b"--b\r\nA: 1\r\n folded\r\n\r\n\r\n--b--", UsageError),
        (b"--b\r\nA: 1\r\na: 2\r\n\r\n\r\n--b--", UsageError),
        (b"--b\r\nA: 1\0\r\n\r\n\r\n--b--", UsageError),
        (b"--b\r\n" + b"A: 1\r\n" * 5 + b"\r\n\r\n--b--", ContentTooLarge),
        (b"--b\r\nA: " + b"1" * 300, ContentTooLarge),
        (b"x" * 100, ContentTooLarge),
        (b"--b\r\n\r\n\r\n--b--" + b"x" * 100, ContentTooLarge),
        (b"--b\r\n\r\n\r\n" * 21 + b"--b--", ContentTooLarge),
    ],
)
def test_what_is_refused(body: bytes, error: type[LeadglassError]) -> None:
    for size in (1, 7, 1000):
        with pytest.raises(error):
            parse(body, size=size)


@pytest.mark.parametrize("boundary", ["", "x" * 71, "ends ", "ü", "a\r\nb", 'a"b'])
def test_a_malformed_boundary(boundary: str) -> None:
    with pytest.raises(UsageError, match="boundary"):
        MultipartParser(boundary, LIMITS)

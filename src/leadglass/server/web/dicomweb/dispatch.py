"""From a request to what the archive hands out, and from that to an answer: what all retrievals of DICOMweb share."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType

from starlette.requests import Request
from starlette.types import ASGIApp

from leadglass.archive.archive import Archive
from leadglass.archive.query import STUDY_ROOT, QueryRequest
from leadglass.archive.retrieve import Retrieval, retrieve
from leadglass.dicom import tags
from leadglass.dicom.uids import parse_uid
from leadglass.errors import NotFound, UsageError
from leadglass.model import Attributes, Level
from leadglass.server.web.authentication import peer_of, principal_of
from leadglass.server.web.dicomweb.accept import MediaRange, acceptable
from leadglass.server.web.dicomweb.lanes import Lane, Lanes
from leadglass.server.web.dicomweb.multipart import MultipartWriter
from leadglass.server.web.dicomweb.sending import Ready, Sending
from leadglass.server.web.outgoing import Buffer

#: Bytes of an answer that is put together at once, in the thread that found it.
AT_ONCE = 1024 * 1024

_KEYS = {
    "study": (Level.STUDY, tags.STUDY_INSTANCE_UID),
    "series": (Level.SERIES, tags.SERIES_INSTANCE_UID),
    "instance": (Level.IMAGE, tags.SOP_INSTANCE_UID),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """`length`: bytes of the buffers, None when nobody knows before they are made."""

    content_type: str
    buffers: Iterable[Buffer]
    length: int | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    lane: Lane = Lane.STORED

    @property
    def all_headers(self) -> dict[str, str]:
        length = {} if self.length is None else {"content-length": str(self.length)}
        return {"content-type": self.content_type, **length, **self.headers}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart answer; its buffers are made when its turn comes."""

    media_type: str
    open: Callable[[], Iterable[Buffer]]
    length: int | None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    lane: Lane = Lane.STORED


class Dispatch:
    """Retrieves for a request and answers it. `lanes` make what is too long to be made at once."""

    def __init__(self, archive: Archive, lanes: Lanes) -> None:
        self.archive = archive
        self._lanes = lanes

    def answer(self, request: Request, keys: Mapping[str, str], make: Callable[[Retrieval], Answer]) -> ASGIApp:
        """`keys`: UIDs by "study", "series", "instance". Raises NotFound when there is nothing that the caller may see,
        and whatever `make` raises. The retrieval lasts until the last byte is gone."""
        asked = query_of(request, keys)
        with ExitStack() as stack:
            retrieval = stack.enter_context(retrieve(self.archive, principal_of(request), asked))
            if not retrieval.instances:
                raise NotFound("There is nothing by that name.", "Check the UIDs.")
            made = make(retrieval)
            if request.method != "HEAD" and made.length is not None and made.length <= AT_ONCE:
                return Ready(made.buffers, made.all_headers, made.status)
            close = stack.pop_all().close
        executor = self._lanes.of(made.lane)
        return Sending(executor, made.buffers, made.all_headers, status=made.status, close=close)


def query_of(request: Request, keys: Mapping[str, str]) -> QueryRequest:
    """Raises UsageError."""
    return QueryRequest(STUDY_ROOT, _identifier(keys), peer=peer_of(request))


def accepted(request: Request) -> tuple[MediaRange, ...]:
    """What the request accepts, by weight. Raises UsageError."""
    fields = request.headers.getlist("accept")
    return acceptable(",".join(fields) if fields else None, request.query_params.get("accept"))


def multipart(parts: Sequence[Part]) -> Answer:
    """An answer in parts, at least one. Its length is known when that of each part is."""
    if any(part.length is None for part in parts):
        return streamed(parts)
    writer = MultipartWriter()
    heads = [_head(writer, part) for part in parts]
    length = len(writer.end()) + sum(map(len, heads)) + sum(part.length or 0 for part in parts)
    buffers = chain(_joined(heads, parts), (writer.end(),))
    return Answer(writer.content_type(_bare(parts[0])), buffers, length, lane=lane_of(parts))


def streamed(parts: Iterable[Part]) -> Answer:
    """The same of parts, at least one, of which each is asked for when its turn comes. All go by the lane of the first
    one, unless they are listed."""
    ahead = iter(parts)
    first = next(ahead)
    writer = MultipartWriter()
    lane = lane_of(parts) if isinstance(parts, Sequence) else first.lane
    return Answer(writer.content_type(_bare(first)), _written(writer, chain((first,), ahead)), None, lane=lane)


def single(part: Part) -> Answer:
    return Answer(part.media_type, _opened(part), part.length, headers=part.headers, lane=part.lane)


def _identifier(keys: Mapping[str, str]) -> Attributes:
    """Raises UsageError for a UID that is none."""
    identifier: dict[int, str] = {}
    for name, (level, tag) in _KEYS.items():
        if name in keys:
            identifier[tag] = parse_uid(keys[name])
            identifier[tags.QUERY_RETRIEVE_LEVEL] = level.value
    if tags.QUERY_RETRIEVE_LEVEL not in identifier:
        raise UsageError("The request names no study, series or instance.")
    return identifier


def _bare(part: Part) -> str:
    return part.media_type.partition(";")[0]


def _opened(part: Part) -> Iterator[Buffer]:
    yield from part.open()


def _head(writer: MultipartWriter, part: Part) -> bytes:
    return writer.part(Content_Type=part.media_type, **part.headers)


def lane_of(parts: Iterable[Part]) -> Lane:
    """Of an answer that has these parts."""
    return Lane.MADE if any(part.lane is Lane.MADE for part in parts) else Lane.STORED


def _joined(heads: Iterable[bytes], parts: Iterable[Part]) -> Iterator[Buffer]:
    for head, part in zip(heads, parts, strict=True):
        yield head
        yield from part.open()


def _written(writer: MultipartWriter, parts: Iterable[Part]) -> Iterator[Buffer]:
    for part in parts:
        yield _head(writer, part)
        yield from part.open()
    yield writer.end()

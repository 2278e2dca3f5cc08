"""Bulk data of WADO-RS, PS3.18 10.4.1.3 and 10.4.1.5, with ranges (RFC 9110 14)."""

import re
from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from leadglass.archive.bulkdata import OCTETS, BulkValue, bulk_value
from leadglass.archive.frames import Frames
from leadglass.archive.retrieve import Retrieval
from leadglass.dicom import tags
from leadglass.dicom.bulk import parse_path
from leadglass.dicom.uids import EXPLICIT_LE, TRANSFER_SYNTAXES
from leadglass.errors import NotFound
from leadglass.server.web.dicomweb.accept import MediaRange, select_bulk, select_frames
from leadglass.server.web.dicomweb.dispatch import Answer, Dispatch, Part, accepted, multipart, single
from leadglass.server.web.dicomweb.errors import RangeNotSatisfiable

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_PIXELS = (tags.PIXEL_DATA,)
#: A document is for programs that ask for it, and never a page beside ours. Its name is not taken from it.
_AS_DOWNLOAD = {"content-disposition": "attachment"}


class BulkData:
    def __init__(self, dispatch: Dispatch, frames: Frames) -> None:
        self._dispatch = dispatch
        self._frames = frames

    def routes(self, root: str) -> list[BaseRoute]:
        instance = f"{root}/studies/{{study}}/series/{{series}}/instances/{{instance}}"
        return [Route(f"{instance}/bulkdata/{{path:path}}", self.value, methods=["GET"])]

    def value(self, request: Request) -> ASGIApp:
        path = parse_path(request.path_params["path"])
        ranges = accepted(request)

        def make(retrieval: Retrieval) -> Answer:
            row = retrieval.instances[0]
            if path == _PIXELS and TRANSFER_SYNTAXES[row.transfer_syntax].encapsulated:
                return self._frames_of(retrieval, ranges)
            value = bulk_value(self._dispatch.archive, retrieval, row, path)
            return _ranged(value, ranges, request.headers.get("range", ""))

        return self._dispatch.answer(request, request.path_params, make)

    def _frames_of(self, retrieval: Retrieval, ranges: tuple[MediaRange, ...]) -> Answer:
        """Compressed pixel data are given frame by frame (PS3.18 8.7.3.3.2)."""
        frames = self._frames.of(retrieval, retrieval.instances[0])
        stored = frames.stored
        count = stored.geometry.frames
        selected = select_frames(ranges, stored.transfer_syntax, _as_stored, alone=count == 1)
        media_type = f"{selected.media_type}; transfer-syntax={selected.transfer_syntax}"
        parts = [
            Part(media_type, partial(frames.open, number), stored.length(number)) for number in range(1, count + 1)
        ]
        return multipart(parts) if selected.multipart else single(parts[0])


def _as_stored(_stored: str, _wanted: str) -> bool:
    """Whoever wants decoded pixels asks for frames."""
    return False


def _ranged(value: BulkValue, ranges: tuple[MediaRange, ...], asked: str) -> Answer:
    selected = select_bulk(ranges, dict.fromkeys((value.media_type, OCTETS)))
    length = value.length
    if not length:
        raise NotFound("The value is empty.", "Ask for the metadata.")
    start, stop = _span(asked, length)
    partly = {"content-range": f"bytes {start}-{stop - 1}/{length}"} if stop - start < length else {}
    suffix = f"; transfer-syntax={EXPLICIT_LE}" if selected.media_type == OCTETS else ""
    part = Part(selected.media_type + suffix, partial(value.open, start, stop - start), stop - start)
    answer = multipart([part]) if selected.multipart else single(part)
    headers = {"accept-ranges": "bytes", **_AS_DOWNLOAD} | partly
    return replace(answer, status=206 if partly else 200, headers=headers)


def _span(asked: str, length: int) -> tuple[int, int]:
    """The bytes from, up to. What is not one range of bytes is ignored (RFC 9110 14.2). Raises RangeNotSatisfiable."""
    found = _RANGE.fullmatch(asked.strip())
    if found is None or not any(found.groups()):
        return 0, length
    first, last = found.groups()
    if not first:
        if not int(last):
            raise RangeNotSatisfiable(length)
        return max(0, length - int(last)), length
    start, stop = int(first), min(int(last) + 1, length) if last else length
    if start >= length:
        raise RangeNotSatisfiable(length)
    return (start, stop) if start < stop else (0, length)

"""WADO-URI for clients that know nothing newer, PS3.18 9: one instance, named by query parameters."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from leadglass.archive.decoding import Decoding
from leadglass.archive.frames import Frames, InstanceFrames
from leadglass.archive.retrieve import InstanceRow, Retrieval
from leadglass.dicom.uids import parse_uid
from leadglass.errors import NotFound, UsageError
from leadglass.pixels.description import Window
from leadglass.pixels.rendering import Format, Rendering, Viewport
from leadglass.server.web.dicomweb.accept import DICOM, MediaRange, parse_accept
from leadglass.server.web.dicomweb.dispatch import Answer, Dispatch, Part, single
from leadglass.server.web.dicomweb.errors import NotAcceptable
from leadglass.server.web.dicomweb.lanes import Lane
from leadglass.server.web.dicomweb.rendered import MOST_PIXELS, decimal, quality_of
from leadglass.server.web.dicomweb.wado import Wado, chooser, frame_numbers

_NAMES: Final = {"study": "studyUID", "series": "seriesUID", "instance": "objectUID"}
#: What is not done here is refused: an image without the annotation asked for, or an object that still names its
#: patient, could be taken for what was asked for.
_REFUSED: Final = ("annotation", "anonymize", "presentationUID", "presentationSeriesUID")
_RENDERING: Final = ("rows", "columns", "region", "windowCenter", "windowWidth", "imageQuality", "frameNumber")


class WadoUri:
    def __init__(self, dispatch: Dispatch, frames: Frames, decoding: Decoding, wado: Wado) -> None:
        self._dispatch = dispatch
        self._frames = frames
        self._decoding = decoding
        self._wado = wado

    def routes(self, root: str) -> list[BaseRoute]:
        return [Route(f"{root}/wado", self.retrieve, methods=["GET"])]

    def retrieve(self, request: Request) -> ASGIApp:
        query = request.query_params
        keys = _keys(query)
        wanted = _content_types(query)

        def make(retrieval: Retrieval) -> Answer:
            row = retrieval.instances[0]
            frames = self._image(retrieval, row)
            form = _form(wanted, frames is not None)
            if form is None or frames is None:
                return self._file(retrieval, row, query)
            return single(self._rendered(frames, form, query))

        return self._dispatch.answer(request, keys, make)

    def _image(self, retrieval: Retrieval, row: InstanceRow) -> InstanceFrames | None:
        try:
            return self._frames.of(retrieval, row)
        except NotFound:
            return None

    def _file(self, retrieval: Retrieval, row: InstanceRow, query: QueryParams) -> Answer:
        """PS3.18 9.4.2: as a DICOM file; media types carry no transfer syntax here (8.7.3.5.2)."""
        if any(name in query for name in _RENDERING):
            raise UsageError("Rendering parameters do not go with application/dicom (PS3.18 9.4.1).")
        syntax = query.get("transferSyntax", "")
        if syntax:
            parse_uid(syntax)
        choose = chooser((MediaRange(DICOM, False, syntax, 1000),), alone=True)
        part = self._wado.instance(retrieval, row, choose)
        return single(replace(part, media_type=DICOM))

    def _rendered(self, frames: InstanceFrames, form: Format, query: QueryParams) -> Part:
        if "transferSyntax" in query:
            raise UsageError("A transfer syntax goes with application/dicom only (PS3.18 9.4.2.4).")
        number = frame_numbers(query.get("frameNumber", "1"))
        if len(number) > 1:
            raise UsageError("The frame number is one number.")
        frames.require(number[0])
        rendering = Rendering(form, _window(query), _viewport(query, frames), quality_of(query.get("imageQuality")))

        def opened() -> Iterator[bytes]:
            yield self._decoding.rendered(frames, number[0], rendering)

        return Part(form.value, opened, None, lane=Lane.MADE)


def _keys(query: QueryParams) -> dict[str, str]:
    """Raises UsageError when the request is none of this service (PS3.18 9.1.1)."""
    if query.get("requestType") != "WADO":
        raise UsageError("The requestType is not WADO (PS3.18 9.1.2).")
    for name in _REFUSED:
        if query.get(name, "no") != "no":
            raise UsageError(f"The parameter {name} is not supported.", "Leave it out.")
    keys = {key: query.get(name, "") for key, name in _NAMES.items()}
    if not all(keys.values()):
        raise UsageError("studyUID, seriesUID and objectUID are needed (PS3.18 9.1.2).")
    return keys


def _content_types(query: QueryParams) -> tuple[MediaRange, ...]:
    text = query.get("contentType", "")
    ranges = parse_accept(text) if text else ()
    if any(each.transfer_syntax for each in ranges):
        raise UsageError("The transfer syntax is a parameter of its own here (PS3.18 8.7.3.5.2).")
    return ranges


def _form(wanted: tuple[MediaRange, ...], is_image: bool) -> Format | None:
    """How an image is rendered, None for a DICOM file. Without a wish: images as JPEG, the rest as a file. Raises
    NotAcceptable."""
    if not wanted:
        return Format.JPEG if is_image else None
    for each in wanted:
        if is_image:
            for form in Format:
                if each.covers(form.value):
                    return form
        if each.covers(DICOM):
            return None
    raise NotAcceptable("It goes out as application/dicom, images as image/jpeg or image/png too.")


def _window(query: QueryParams) -> Window | None:
    center, width = query.get("windowCenter"), query.get("windowWidth")
    if center is None and width is None:
        return None
    if center is None or width is None or decimal(width) < 1:
        raise UsageError("Window center and width go together, and the width is at least 1 (PS3.18 9.4.1.2.6).")
    return Window(decimal(center), decimal(width))


def _viewport(query: QueryParams, frames: InstanceFrames) -> Viewport | None:
    """Rows and columns that the image fits in, and the region that is shown in shares of its sides (PS3.18 9.4.1.2)."""
    rows, columns, region = query.get("rows"), query.get("columns"), query.get("region")
    if rows is None and columns is None and region is None:
        return None
    geometry = frames.stored.geometry
    left, top, width, height = 0, 0, geometry.columns, geometry.rows
    if region is not None:
        shares = [decimal(each) for each in region.split(",")]
        if len(shares) != 4 or not 0 <= shares[0] < shares[2] <= 1 or not 0 <= shares[1] < shares[3] <= 1:
            raise UsageError("The region is four shares of the image's sides (PS3.18 9.4.1.2.5).")
        left, top = int(shares[0] * geometry.columns), int(shares[1] * geometry.rows)
        width = max(1, round((shares[2] - shares[0]) * geometry.columns))
        height = max(1, round((shares[3] - shares[1]) * geometry.rows))
    free = (width, height) if rows is None and columns is None else (MOST_PIXELS, MOST_PIXELS)
    return Viewport(_side(columns, free[0]), _side(rows, free[1]), left, top, width, height)


def _side(text: str | None, default: int) -> int:
    if text is None:
        return min(default, MOST_PIXELS)
    side = round(decimal(text))
    if not 0 < side <= MOST_PIXELS:
        raise UsageError("Rows or columns are none, or more than the limit.")
    return side

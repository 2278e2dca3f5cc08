"""Rendered resources and thumbnails, PS3.18 10.4.1.1.3 and 8.3.5: images that any browser shows, made by the sandboxed
decoders. Of an instance with several frames the first one stands for it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from leadglass.archive.decoding import Decoding
from leadglass.archive.frames import Frames, InstanceFrames
from leadglass.archive.retrieve import InstanceRow, Retrieval
from leadglass.errors import NotFound, UsageError
from leadglass.pixels.description import VoiFunction, Window
from leadglass.pixels.rendering import THUMBNAIL, Format, Rendering, Viewport
from leadglass.server.web.dicomweb.accept import MediaRange
from leadglass.server.web.dicomweb.dispatch import Answer, Dispatch, Part, accepted, single, streamed
from leadglass.server.web.dicomweb.errors import ContentTooLarge, NotAcceptable
from leadglass.server.web.dicomweb.lanes import Lane
from leadglass.server.web.dicomweb.wado import frame_numbers

#: The functions of the window parameter, PS3.18 8.3.5.1.4.
_FUNCTIONS = {
    "linear": VoiFunction.LINEAR,
    "linear-exact": VoiFunction.LINEAR_EXACT,
    "sigmoid": VoiFunction.SIGMOID,
}
_DECIMAL = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{0,9})?")
#: Pixels of a side.
MOST_PIXELS = 16384
_LARGEST_IMAGE = 65535
#: Instances of a resource looked through for one that has frames.
LOOKED_THROUGH = 64
#: Instances of a resource that is rendered as a whole.
MOST_INSTANCES = 5000


class Rendered:
    def __init__(self, dispatch: Dispatch, frames: Frames, decoding: Decoding) -> None:
        self._dispatch = dispatch
        self._frames = frames
        self._decoding = decoding

    def routes(self, root: str) -> list[BaseRoute]:
        study = f"{root}/studies/{{study}}"
        series = f"{study}/series/{{series}}"
        instance = f"{series}/instances/{{instance}}"
        frames = f"{instance}/frames/{{frames}}"
        return [
            route
            for place in (study, series, instance, frames)
            for route in (
                Route(f"{place}/rendered", self.rendered, methods=["GET"]),
                Route(f"{place}/thumbnail", self.thumbnail, methods=["GET"]),
            )
        ]

    def rendered(self, request: Request) -> ASGIApp:
        """Each frame of a list, else the first frame of each instance: each is opened when its turn comes."""
        numbers = frame_numbers(request.path_params.get("frames", "1"))
        media_range, rendering = _rendering(request)

        def make(retrieval: Retrieval) -> Answer:
            images = self._asked(retrieval, request, numbers)
            parts = (self._part(frames, number, rendering) for frames in images for number in numbers)
            first = next(parts, None)
            if first is None:
                raise _no_image()
            if media_range.multipart:
                return streamed(chain((first,), parts))
            second = next(parts, None)
            if second is None:
                return single(first)
            if media_range.is_single_part:
                raise NotAcceptable("That is more than one image.", "Ask for multipart/related.")
            return streamed(chain((first, second), parts))

        return self._dispatch.answer(request, request.path_params, make)

    def thumbnail(self, request: Request) -> ASGIApp:
        """One small image of the resource: of a series, that in its middle."""
        number = frame_numbers(request.path_params.get("frames", "1"))[0]
        _, asked = _rendering(request)
        rendering = Rendering(asked.format, None, asked.viewport or THUMBNAIL.viewport, THUMBNAIL.quality)

        def make(retrieval: Retrieval) -> Answer:
            return single(self._part(self._shown(retrieval, request), number, rendering))

        return self._dispatch.answer(request, request.path_params, make)

    def _asked(self, retrieval: Retrieval, request: Request, numbers: Sequence[int]) -> Iterator[InstanceFrames]:
        """Raises NotFound for an instance without these frames, ContentTooLarge."""
        rows = retrieval.instances
        if len(rows) > MOST_INSTANCES:
            raise ContentTooLarge("That is more than is rendered at once.", "Ask series by series.")
        if "instance" not in request.path_params:
            return self._images(retrieval, rows)
        frames = self._shown(retrieval, request)
        for number in numbers:
            frames.require(number)
        return iter((frames,))

    def _shown(self, retrieval: Retrieval, request: Request) -> InstanceFrames:
        """What stands for the resource. Raises NotFound when there is no image in it."""
        rows = retrieval.instances
        if "instance" in request.path_params:
            return self._frames.of(retrieval, rows[0])
        middle = len(rows) // 2
        found = next(self._images(retrieval, (rows[middle:] + rows[:middle])[:LOOKED_THROUGH]), None)
        if found is None:
            raise _no_image()
        return found

    def _images(self, retrieval: Retrieval, rows: Iterable[InstanceRow]) -> Iterator[InstanceFrames]:
        for row in rows:
            with suppress(NotFound):
                yield self._frames.of(retrieval, row)

    def _part(self, frames: InstanceFrames, number: int, rendering: Rendering) -> Part:
        frames.require(number)

        def opened() -> Iterator[bytes]:
            yield self._decoding.rendered(frames, number, rendering)

        return Part(rendering.format.value, opened, None, lane=Lane.MADE)


def _rendering(request: Request) -> tuple[MediaRange, Rendering]:
    """The media range that is met, and how to render. Raises NotAcceptable, UsageError."""
    for wanted in accepted(request):
        for form in Format:
            if wanted.covers(form.value):
                return wanted, rendering_of(request.query_params, form)
    raise NotAcceptable("Images are rendered as JPEG or PNG.", "Ask for image/jpeg or image/png.")


def rendering_of(query: QueryParams, form: Format) -> Rendering:
    """The rendering parameters of PS3.18 8.3.5.1. Raises UsageError for what is malformed or not done here."""
    if "annotation" in query:
        raise UsageError("Annotations are not burnt into images.", "Leave the annotation parameter out.")
    if query.get("iccprofile", "no") != "no":
        raise UsageError("ICC profiles are not applied.", "Leave the iccprofile parameter out.")
    window, viewport = _window(query.get("window")), _viewport(query.get("viewport"))
    return Rendering(form, window, viewport, quality_of(query.get("quality")))


def quality_of(text: str | None) -> int:
    """Of JPEG; 90 where it is not given. Raises UsageError."""
    if text is None:
        return 90
    if not text.isascii() or not text.isdecimal() or len(text) > 3 or not 1 <= int(text) <= 100:
        raise UsageError("The quality is a number from 1 to 100 (PS3.18 8.3.5.1.2).")
    return int(text)


def _window(text: str | None) -> Window | None:
    """Center, width and function, PS3.18 8.3.5.1.4."""
    if text is None:
        return None
    center, width, function = [*text.lower().split(","), "linear"][:3] if text.count(",") in (1, 2) else ("", "", "")
    function = function.replace("_", "-")
    if function not in _FUNCTIONS:
        raise UsageError("The window is center,width,function (PS3.18 8.3.5.1.4).")
    window = Window(decimal(center), decimal(width), _FUNCTIONS[function])
    lowest = 1.0 if window.function is VoiFunction.LINEAR else 0.0
    if window.width < lowest or not window.width:
        raise UsageError("The window is narrower than its function allows (PS3.3 C.11.2.1.2).")
    return window


def _viewport(text: str | None) -> Viewport | None:
    """Width and height, then perhaps the region of the image that is shown, PS3.18 8.3.5.1.3."""
    if text is None:
        return None
    values = text.split(",")
    if len(values) not in (2, 6):
        raise UsageError("The viewport is vw,vh or vw,vh,sx,sy,sw,sh (PS3.18 8.3.5.1.3).")
    width, height = (round(decimal(each)) for each in values[:2])
    if not 0 < width <= MOST_PIXELS or not 0 < height <= MOST_PIXELS:
        raise UsageError("The viewport is empty or larger than the limit.")
    region = [round(decimal(each)) if each else None for each in values[2:]]
    if any(each is not None and abs(each) > _LARGEST_IMAGE for each in region) or 0 in region[2:]:
        raise UsageError("The region of the viewport is empty or larger than any image.")
    return Viewport(width, height, *region)


def decimal(text: str) -> float:
    """Raises UsageError for what is no number."""
    if _DECIMAL.fullmatch(text) is None:
        raise UsageError("A rendering parameter is not a number.")
    return float(text)


def _no_image() -> NotFound:
    return NotFound("There is no image in it.", "Retrieve it as it is stored.")

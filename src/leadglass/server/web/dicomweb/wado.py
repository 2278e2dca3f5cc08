"""WADO-RS: studies, series, instances and frames, PS3.18 10.4.

Bytes go out as they are stored wherever the request allows it. What is not there and what the caller may not see have
one answer.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache, partial

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from leadglass.archive.decoding import Decoding, can_transcode
from leadglass.archive.frames import Frames, InstanceFrames
from leadglass.archive.retrieve import InstanceRow, Retrieval
from leadglass.archive.zipping import zipped
from leadglass.dicom.explicit import explicit_little_endian
from leadglass.dicom.part10 import encode_file_meta
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import UsageError
from leadglass.server.web.dicomweb.accept import (
    DICOM,
    ZIP,
    MediaRange,
    Selected,
    Work,
    select_frames,
    select_instance,
    zip_range,
)
from leadglass.server.web.dicomweb.dispatch import Answer, Dispatch, Part, accepted, lane_of, multipart, single
from leadglass.server.web.dicomweb.lanes import Lane
from leadglass.server.web.outgoing import Buffer

#: Frames that one request may name (PS3.18 10.4.1.2).
MOST_FRAMES = 10_000
_LONGEST_LIST = 64 * 1024
_NUMBER = re.compile("[0-9]{1,9}")


class Wado:
    def __init__(self, dispatch: Dispatch, frames: Frames, decoding: Decoding) -> None:
        self._dispatch = dispatch
        self._frames = frames
        self._decoding = decoding

    def routes(self, root: str) -> list[BaseRoute]:
        study = f"{root}/studies/{{study}}"
        series = f"{study}/series/{{series}}"
        instance = f"{series}/instances/{{instance}}"
        return [
            Route(study, self.instances, methods=["GET"]),
            Route(series, self.instances, methods=["GET"]),
            Route(instance, self.instances, methods=["GET"]),
            Route(f"{instance}/frames/{{frames}}", self.frames, methods=["GET"]),
        ]

    def instances(self, request: Request) -> ASGIApp:
        """A study, series or instance as Part 10 files."""
        ranges = accepted(request)
        as_zip = zip_range(ranges)
        choose = chooser(ranges, alone="instance" in request.path_params)

        def make(retrieval: Retrieval) -> Answer:
            if as_zip is not None:
                return self._zip(retrieval, as_zip)
            parts = [self.instance(retrieval, row, choose) for row in retrieval.instances]
            in_parts = choose(retrieval.instances[0].transfer_syntax).multipart
            return multipart(parts) if in_parts else single(parts[0])

        return self._dispatch.answer(request, request.path_params, make)

    def _zip(self, retrieval: Retrieval, wanted: MediaRange) -> Answer:
        """A ZIP of files, PS3.18 8.6.1.3; their names are the server's."""
        file = (MediaRange(DICOM, False, wanted.transfer_syntax, wanted.weight),)
        series = dict.fromkeys(row.series_uid for row in retrieval.instances)
        folders = {uid: f"S{number:07}" for number, uid in enumerate(series, 1)}
        choose = chooser(file, alone=True)
        members = [
            (f"{folders[row.series_uid]}/I{number:07}.dcm", self.instance(retrieval, row, choose))
            for number, row in enumerate(retrieval.instances, 1)
        ]
        lane = lane_of([part for _, part in members])
        return Answer(ZIP, zipped((name, part.open()) for name, part in members), None, lane=lane)

    def frames(self, request: Request) -> ASGIApp:
        """The frames of an instance that a list names."""
        numbers = frame_numbers(request.path_params["frames"])
        ranges = accepted(request)

        def make(retrieval: Retrieval) -> Answer:
            frames = self._frames.of(retrieval, retrieval.instances[0])
            for number in numbers:
                frames.require(number)
            stored = frames.stored
            selected = select_frames(ranges, stored.transfer_syntax, can_transcode, alone=len(numbers) == 1)
            parts = [self._frame(frames, number, selected) for number in numbers]
            return multipart(parts) if selected.multipart else single(parts[0])

        return self._dispatch.answer(request, request.path_params, make)

    def _frame(self, frames: InstanceFrames, number: int, selected: Selected) -> Part:
        media_type = f"{selected.media_type}; transfer-syntax={selected.transfer_syntax}"
        if selected.work is Work.NONE:
            return Part(media_type, partial(frames.open, number), frames.stored.length(number))

        def made() -> Iterator[Buffer]:
            yield self._decoding.frame(frames, number, selected.transfer_syntax)

        return Part(media_type, made, None, lane=Lane.MADE)

    def instance(self, retrieval: Retrieval, row: InstanceRow, choose: Callable[[str], Selected]) -> Part:
        """One instance as a file. Raises what `choose` raises, a `chooser`."""
        selected = choose(row.transfer_syntax)
        meta = encode_file_meta(row.sop_class, row.uid, selected.transfer_syntax)

        def opened() -> Iterator[Buffer]:
            yield meta
            if selected.work is Work.NONE:
                yield from retrieval.open(row)
            elif selected.work is Work.REENCODE:
                syntax = TRANSFER_SYNTAXES[row.transfer_syntax]
                yield from explicit_little_endian(retrieval.open(row), syntax, self._dispatch.archive.limits)
            else:
                yield from self._decoding.data_set(self._frames.of(retrieval, row), selected.transfer_syntax)

        media_type = f"application/dicom; transfer-syntax={selected.transfer_syntax}"
        if selected.work is Work.NONE:
            return Part(media_type, opened, len(meta) + row.plain_length)
        return Part(media_type, opened, None, lane=Lane.MADE)


def chooser(ranges: tuple[MediaRange, ...], *, alone: bool) -> Callable[[str], Selected]:
    """From the transfer syntax in which instances are stored to what fits `ranges` best: the many of a series are
    chosen for once. It raises NotAcceptable."""

    @cache
    def choose(stored: str) -> Selected:
        return select_instance(ranges, stored, can_transcode, alone=alone)

    return choose


def frame_numbers(text: str) -> tuple[int, ...]:
    """The numbers of a frame list (PS3.18 10.4.1.1). Raises UsageError."""
    if len(text) > _LONGEST_LIST:
        raise UsageError("The list of frames is longer than the limit.")
    numbers = text.split(",")
    if len(numbers) > MOST_FRAMES or not all(
        each.isascii() and each.isdecimal() and len(each) < 10 for each in numbers
    ):
        raise UsageError("Frames are a list of numbers, separated by commas.", "Frames are counted from 1.")
    return tuple(int(each) for each in numbers)

"""Which representation goes out: Accept, the `accept` query parameter and `transfer-syntax`, PS3.18 8.7.3 to 8.7.8.

    parse_accept(header)          → ranges, the most wanted first
    acceptable(header, parameter) → the same for both together (PS3.18 8.7.6)
    select_…(ranges, stored, …)   → Selected, or NotAcceptable

Among ranges of the same weight the one that needs least work wins: what lies there already is never transcoded for a
client that would take it as it is. No input or output.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from typing import Final

from leadglass.dicom.uids import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES
from leadglass.errors import UsageError
from leadglass.server.web.dicomweb.errors import NotAcceptable

DICOM: Final = "application/dicom"
OCTETS: Final = "application/octet-stream"
ZIP: Final = "application/zip"
_ANY: Final = "*/*"
_RELATED: Final = "multipart/related"

#: PS3.18 8.7.3: never used with web services.
UNUSED_ON_THE_WEB: Final = frozenset({IMPLICIT_LE, EXPLICIT_BE})
_JPEG: Final = "1.2.840.10008.1.2.4."
#: Media types of compressed frames, PS3.18 Table 8.7.3-5; the first transfer syntax is the default.
_PIXEL_TYPES: Final = {
    "image/jpeg": ("70", "50", "51", "57", *(str(number) for number in (52, 53, 54, 55, 56, *range(58, 67)))),
    "image/jls": ("80", "81"),
    "image/jp2": ("90", "91"),
    "image/jpx": ("92", "93"),
    "image/jxl": ("110", "111", "112"),
    "image/jphc": ("201", "202", "203"),
    "video/mpeg": ("100", "101", "100.1", "101.1"),
    "video/mp4": tuple(f"{number}{fragmented}" for number in range(102, 107) for fragmented in ("", ".1")),
    "video/h265": ("107", "108"),
}
_DEFAULTS: Final = {media_type: _JPEG + ends[0] for media_type, ends in _PIXEL_TYPES.items()} | {
    OCTETS: EXPLICIT_LE,
    "image/dicom-rle": "1.2.840.10008.1.2.5",
}
_MEDIA_TYPES: Final = {_JPEG + end: media_type for media_type, ends in _PIXEL_TYPES.items() for end in ends} | {
    "1.2.840.10008.1.2.5": "image/dicom-rle"
}
_LOSSLESS: Final = frozenset(
    {"1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.1.98"}
    | {_JPEG + end for end in ("57", "58", "65", "66", "70", "80", "90", "92", "110", "201", "202")}
)

_LONGEST: Final = 8192
_MOST_RANGES: Final = 64
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 5.6.2
# A value may hold a slash although it is not quoted: viewers send `type=application/dicom`.
_PARAMETER: Final = re.compile(rf'[ \t]*;[ \t]*({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))')
_NAME: Final = re.compile(rf"[ \t,]*({_TOKEN}/{_TOKEN})")
_END: Final = re.compile(r"[ \t]*;?[ \t]*(?:,|$)")
_WEIGHT: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")

#: Whether pixels in one transfer syntax can be made into another: (from, to).
Codecs = Callable[[str, str], bool]


class Work(IntEnum):
    """What has to be done to what is stored."""

    NONE = 0
    #: Another encoding of the same values: no pixel is decoded.
    REENCODE = 1
    TRANSCODE = 2


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One acceptable media type (RFC 9110 12.5.1). `multipart`: True for multipart/related, whose `type` is then
    `media_type`; None when either form will do. `transfer_syntax`: "" when absent. `weight` in thousandths."""

    media_type: str
    multipart: bool | None
    transfer_syntax: str
    weight: int

    def covers(self, media_type: str) -> bool:
        if self.media_type in (_ANY, media_type):
            return True
        return self.media_type.endswith("/*") and media_type.startswith(self.media_type[:-1])

    @property
    def is_single_part(self) -> bool:
        """Whether it takes a single part only: it names one. A wildcard leaves the form to the server, and what has
        several parts comes as such by default (PS3.18 8.7.3, 10.4.3)."""
        return self.multipart is False and not self.media_type.endswith("/*")


@dataclass(frozen=True, slots=True)
class Selected:
    """The representation of one part (PS3.18 8.7.8.2)."""

    media_type: str
    transfer_syntax: str
    multipart: bool
    work: Work


ANYTHING: Final = (MediaRange(_ANY, None, "", 1000),)


def parse_accept(field: str) -> tuple[MediaRange, ...]:
    """The ranges of an Accept field, by weight; those of weight 0 are left out. Raises UsageError for what is none."""
    if len(field) > _LONGEST:
        raise UsageError("The list of acceptable media types is longer than the limit.")
    ranges = [_range(name, parameters) for name, parameters in parse_media_types(field)]
    if len(ranges) > _MOST_RANGES:
        raise UsageError("The list of acceptable media types has more entries than the limit.")
    return tuple(sorted((each for each in ranges if each.weight), key=lambda each: -each.weight))


def acceptable(header: str | None, parameter: str | None) -> tuple[MediaRange, ...]:
    """What a request accepts: its `accept` query parameter as far as the header agrees, then the header alone.
    Without a header anything is (RFC 9110 12.5.1). Raises UsageError."""
    from_header = parse_accept(header) if header is not None and header.strip() else ANYTHING
    if not parameter:
        return from_header
    asked = parse_accept(parameter)
    if any("*" in each.media_type for each in asked):
        raise UsageError("The accept parameter holds a wildcard (PS3.18 8.3.3.1).")
    agreed = tuple(each for each in asked if any(other.covers(each.media_type) for other in from_header))
    return tuple(_lowered(agreed, 0)) + tuple(_lowered(from_header, 1000)) if agreed else from_header


def zip_range(ranges: Iterable[MediaRange]) -> MediaRange | None:
    """The range that asks for a ZIP by name, unless files in parts are wanted before it (PS3.18 8.6.1.3)."""
    first = next((each for each in ranges if each.media_type == ZIP or each.covers(DICOM)), None)
    return first if first is not None and first.media_type == ZIP else None


def media_type_of(transfer_syntax: str) -> str:
    """The media type of a frame in that transfer syntax, PS3.18 Table 8.7.3-4 and 8.7.3-5."""
    return _MEDIA_TYPES.get(transfer_syntax, OCTETS)


def default_syntax(media_type: str) -> str:
    """The transfer syntax of a frame of which only the media type is known, PS3.18 Table 8.7.3-5."""
    return _DEFAULTS.get(media_type, EXPLICIT_LE)


def is_lossy(transfer_syntax: str) -> bool:
    syntax = TRANSFER_SYNTAXES[transfer_syntax]
    return syntax.encapsulated and transfer_syntax not in _LOSSLESS


def select_instance(ranges: Iterable[MediaRange], stored: str, codecs: Codecs, *, alone: bool) -> Selected:
    """How an instance stored in that transfer syntax goes out. `alone`: it is all that was asked for, so that a single
    part will do. Raises NotAcceptable."""

    def offers(wanted: MediaRange) -> Iterator[Selected]:
        multipart = _form(wanted, alone)
        if wanted.covers(DICOM) and multipart is not None:
            target = _target(wanted.transfer_syntax, stored)
            yield from _offer(DICOM, stored, target, multipart, codecs)

    return _best(ranges, offers)


def select_frames(ranges: Iterable[MediaRange], stored: str, codecs: Codecs, *, alone: bool) -> Selected:
    """How frames stored in that transfer syntax go out; `alone` when it is one frame. Raises NotAcceptable."""

    def offers(wanted: MediaRange) -> Iterator[Selected]:
        multipart = _form(wanted, alone)
        if multipart is not None:
            for target in _frame_targets(wanted, stored):
                yield from _offer(media_type_of(target), stored, target, multipart, codecs)

    return _best(ranges, offers)


def select_bulk(ranges: Iterable[MediaRange], media_types: Iterable[str]) -> Selected:
    """How a value that is no pixel data goes out: as octets, or as what it says it is. Raises NotAcceptable."""
    offered = tuple(media_types)
    for wanted in ranges:
        for media_type in offered:
            # PS3.18 10.4: bulk data comes in parts unless a single one is asked for.
            if wanted.covers(media_type) and wanted.transfer_syntax in ("", "*", EXPLICIT_LE):
                return Selected(media_type, EXPLICIT_LE, wanted.multipart is not False, Work.NONE)
    raise _not_acceptable()


def parse_media_types(field: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each media type of a list with its parameters, names in lower case. Raises UsageError (RFC 9110 8.3.1)."""
    at = 0
    while field[at:].strip(" \t,"):
        name = _NAME.match(field, at)
        if name is None:
            raise _malformed()
        at = name.end()
        parameters: dict[str, str] = {}
        while (found := _PARAMETER.match(field, at)) is not None:
            key, quoted, plain = found.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            if parameters.setdefault(key.lower(), value) != value:
                raise UsageError("A media type parameter is given twice (RFC 6838 4.3).")
            at = found.end()
        end = _END.match(field, at)
        if end is None:
            raise _malformed()
        at = end.end()
        yield name[1].lower(), parameters


def _range(name: str, parameters: dict[str, str]) -> MediaRange:
    weight = parameters.get("q", "1")
    if _WEIGHT.fullmatch(weight) is None:
        raise UsageError("A weight is not a number from 0 to 1 (RFC 9110 12.4.2).")
    syntax = parameters.get("transfer-syntax", "").strip()
    thousandths = round(1000 * float(weight))
    if name in (_RELATED, "multipart/*"):
        return MediaRange(parameters.get("type", _ANY).strip().lower(), True, syntax, thousandths)
    return MediaRange(name, None if name == _ANY else False, syntax, thousandths)


def _lowered(ranges: Iterable[MediaRange], by: int) -> Iterator[MediaRange]:
    return (MediaRange(each.media_type, each.multipart, each.transfer_syntax, each.weight - by) for each in ranges)


def _form(wanted: MediaRange, alone: bool) -> bool | None:
    """Whether to answer in parts; None when the range allows no form that fits."""
    if alone and wanted.multipart is False:
        return False
    return None if wanted.is_single_part else True


def _target(asked: str, stored: str) -> str:
    """The transfer syntax that a request for an instance means (PS3.18 8.7.3.4): absent is Explicit VR Little Endian,
    unless only a lossy form is there; `*` is whatever lies there."""
    keeps = asked == "*" or (not asked and is_lossy(stored))
    if keeps:
        return EXPLICIT_LE if stored in UNUSED_ON_THE_WEB else stored
    return asked or EXPLICIT_LE


def _frame_targets(wanted: MediaRange, stored: str) -> Iterator[str]:
    """The transfer syntaxes in which frames fit a range, the best first."""
    web = EXPLICIT_LE if not TRANSFER_SYNTAXES[stored].encapsulated else stored
    own = media_type_of(web)
    asked = wanted.transfer_syntax
    if asked == "*":
        # `application/octet-stream; transfer-syntax=*` is how viewers say: as it lies there (PS3.18 8.7.3.5.2).
        if wanted.covers(own) or wanted.media_type == OCTETS:
            yield web
    elif asked:
        if wanted.covers(media_type_of(asked)) or wanted.media_type == OCTETS:
            yield asked
    elif wanted.media_type in (OCTETS, _ANY, "application/*"):
        yield web if is_lossy(stored) else EXPLICIT_LE
    else:
        if wanted.covers(own):
            yield web
        if wanted.media_type in _DEFAULTS:
            yield _DEFAULTS[wanted.media_type]


def _offer(media_type: str, stored: str, target: str, multipart: bool, codecs: Codecs) -> Iterator[Selected]:
    if target in UNUSED_ON_THE_WEB:
        return
    if target == stored:
        yield Selected(media_type, target, multipart, Work.NONE)
    elif target == EXPLICIT_LE and not TRANSFER_SYNTAXES[stored].encapsulated:
        yield Selected(media_type, target, multipart, Work.REENCODE)
    elif target != DEFLATED and codecs(stored, target):
        yield Selected(media_type, target, multipart, Work.TRANSCODE)


def _best(ranges: Iterable[MediaRange], offers: Callable[[MediaRange], Iterator[Selected]]) -> Selected:
    for _, equals in groupby(ranges, key=lambda each: each.weight):
        found = [offer for wanted in equals for offer in offers(wanted)]
        if found:
            return min(found, key=lambda offer: offer.work)
    raise _not_acceptable()


def _malformed() -> UsageError:
    return UsageError("A media type is malformed (RFC 9110 8.3.1).")


def _not_acceptable() -> NotAcceptable:
    return NotAcceptable(
        "Nothing that the request accepts can be made of what is stored.",
        "Ask with transfer-syntax=* for it as it is stored.",
    )

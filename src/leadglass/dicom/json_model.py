"""The DICOM JSON Model, PS3.18 Annex F: data sets as JSON. The other way is json_reader.py."""

import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from json.encoder import encode_basestring
from typing import Final

from leadglass.dicom.dictionary import SEQUENCES, VALUE_REPRESENTATIONS, vr_of
from leadglass.dicom.encoding import LITTLE, SHORT_VRS
from leadglass.dicom.model_writer import Literal, ModelWriter, spell_text
from leadglass.dicom.tags import PIXEL_REPRESENTATION, SPECIFIC_CHARACTER_SET
from leadglass.dicom.uids import TransferSyntax
from leadglass.model import Attributes, DataSetLimits

_quoted: Final[Callable[[str], str]] = encode_basestring
#: RFC 8259 6: beyond, receivers that keep numbers as doubles would change them.
_EXACT: Final = 2**53 - 1
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_PLAIN_VRS: Final = {code: vr for code, vr in SHORT_VRS.items() if vr != "UL"}
_NOT_PLAIN: Final = SEQUENCES | {0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD}
#: Read by the careful path: they change how others are read.
_GOVERNING: Final = frozenset({SPECIFIC_CHARACTER_SET, PIXEL_REPRESENTATION})
#: Values longer than this seldom come again.
_REMEMBERED_BYTES: Final = 256
_MOST_REMEMBERED: Final = 8192


class JsonForm:
    """`base`: what the path of bulk data is appended to."""

    creators = False

    def __init__(self, base: str) -> None:
        self._base = base

    def empty(self, tag: int, vr: str, _creator: str) -> str:
        return f'"{tag:08X}":{{"vr":"{vr}"}}'

    def texts(self, tag: int, vr: str, _creator: str, values: Sequence[str]) -> str:
        # PS3.18 F.2.5: an empty one of several values is null.
        joined = ",".join(_quoted(value) if value else "null" for value in values)
        return f'"{tag:08X}":{{"vr":"{vr}","Value":[{joined}]}}'

    def numbers(self, tag: int, vr: str, _creator: str, values: Sequence[float | str]) -> str:
        return f'"{tag:08X}":{{"vr":"{vr}","Value":[{",".join(map(_number, values))}]}}'

    def names(self, tag: int, _creator: str, values: Sequence[str]) -> str:
        return f'"{tag:08X}":{{"vr":"PN","Value":[{",".join(map(_name, values))}]}}'

    def binary(self, tag: int, vr: str, _creator: str, value: bytes) -> str:
        return f'"{tag:08X}":{{"vr":"{vr}","InlineBinary":"{b64encode(value).decode()}"}}'

    def bulk(self, tag: int, vr: str, _creator: str, path: str) -> str:
        return f'"{tag:08X}":{{"vr":"{vr}","BulkDataURI":{_quoted(self._base + path)}}}'

    def sequence(self, tag: int, _creator: str, items: Sequence[str]) -> str:
        value = f',"Value":[{",".join(items)}]' if items else ""
        return f'"{tag:08X}":{{"vr":"SQ"{value}}}'

    def item(self, fragments: Iterable[str]) -> str:
        return f"{{{','.join(fragments)}}}"


def _number(value: float | str) -> str:
    if isinstance(value, Literal):
        return value
    if isinstance(value, str):
        return _quoted(value) if value else "null"
    if isinstance(value, int):
        return str(value) if abs(value) <= _EXACT else f'"{value}"'
    return repr(value) if math.isfinite(value) else f'"{value}"'  # JSON has no word for what is no number


def _name(value: str) -> str:
    """PS3.18 F.2.2: an object of the component groups that are not empty."""
    groups = zip(_GROUPS, value.split("="), strict=False)
    members = ",".join(f'"{group}":{_quoted(text)}' for group, text in groups if text)
    return f"{{{members}}}" if members else "null"


class RememberedFragments:
    """Fragments of elements that come again in each instance of a series, by the element's bytes and what governs them.
    For one thread; bounded."""

    def __init__(self) -> None:
        self._by_context: dict[tuple[object, ...], dict[bytes, str]] = {}

    def under(self, *context: object) -> dict[bytes, str]:
        return self._by_context.setdefault(context, {})


class JsonWriter(ModelWriter):
    """Writes one data set. `base` is what the path of bulk data is appended to (see ModelWriter); `remembered` may be
    shared by the instances of a series, most of whose elements are the same."""

    def __init__(
        self, syntax: TransferSyntax, limits: DataSetLimits, base: str, remembered: RememberedFragments | None = None
    ) -> None:
        super().__init__(syntax, limits, JsonForm(base))
        self._remembered = remembered or RememberedFragments()
        self._known: dict[bytes, str] = {}
        self._context_changed()

    def _context_changed(self) -> None:
        item, frame = self._item_open, self._frame
        self._known = self._remembered.under(item.charsets, item.signed, frame.explicit, frame.codec is LITTLE)

    def _plain(self, buf: bytes, pos: int) -> int:
        """A run of short elements in ascending order: those seen before cost a look-up."""
        frame, base, size = self._frame, self._base, len(buf)
        end, highest, ceiling, explicit = frame.end - base, frame.highest, frame.ceiling, frame.explicit
        codec, fragments, known = frame.codec, self._item_open.fragments, self._known
        unpack, unpack_implicit = codec.explicit.unpack_from, codec.implicit.unpack_from
        vr: str | None
        count = held = 0
        while (head := pos + 8) <= size:
            if explicit:
                group, element, code, length = unpack(buf, pos)
                vr = _PLAIN_VRS.get(code)
                tag = group << 16 | element
            else:
                group, element, length = unpack_implicit(buf, pos)
                tag = group << 16 | element
                vr = None if tag in _NOT_PLAIN else VALUE_REPRESENTATIONS.get(tag)
            stop = head + length
            if vr is None or not highest < tag < ceiling or length & 1 or stop > end or stop > size:
                break
            if length > _REMEMBERED_BYTES or tag in _GOVERNING or not element:
                break
            raw = buf[pos:stop]
            fragment = known.get(raw)
            if fragment is None:
                fragment = self._spell_plain(tag, vr, raw, known)
            fragments[tag] = fragment
            held += len(fragment)
            highest = tag
            pos = stop
            count += 1
        frame.highest = highest
        self._count += count
        self._held += held
        return pos

    def _spell_plain(self, tag: int, vr: str, raw: bytes, known: dict[bytes, str]) -> str:
        item = self._item_open
        little = self._frame.codec is LITTLE
        fragment = self.spelled(tag, self._meaning(tag, vr, item), raw[8:], little, item.charsets, "")
        if len(known) < _MOST_REMEMBERED:
            known[raw] = fragment
        return fragment


class KnownFragments(dict[tuple[int, str], str]):
    """Fragments of texts that come again in each of many answers, by tag and text."""


def json_of(attributes: Attributes, form: JsonForm, known: KnownFragments | None = None) -> str:
    """A data set that is known as text, such as an answer of a query, as one JSON object."""
    fragments = []
    known = KnownFragments() if known is None else known
    for tag in sorted(attributes):
        value = attributes[tag]
        if isinstance(value, str):
            fragment = known.get((tag, value))
            if fragment is None:
                fragment = known[tag, value] = spell_text(form, tag, vr_of(tag), value)
            fragments.append(fragment)
        else:
            fragments.append(form.sequence(tag, "", [json_of(item, form, known) for item in value]))
    return form.item(fragments)

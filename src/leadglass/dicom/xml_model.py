"""The Native DICOM Model, PS3.19 A.1: data sets as XML, for `multipart/related; type="application/dicom+xml"`."""

import math
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from leadglass.dicom.dictionary import keyword_of, vr_of
from leadglass.dicom.model_writer import ModelWriter, spell_text
from leadglass.dicom.uids import TransferSyntax
from leadglass.model import Attributes, DataSetLimits

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
#: XML 1.0 2.2 has no place for these, not even as references.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class XmlForm:
    """`base`: what the path of bulk data is appended to."""

    creators = True

    def __init__(self, base: str) -> None:
        self._base = base

    def empty(self, tag: int, vr: str, creator: str) -> str:
        return _attribute(tag, vr, creator, "")

    def texts(self, tag: int, vr: str, creator: str, values: Sequence[str]) -> str:
        return _attribute(tag, vr, creator, _values(_text(value) for value in values))

    def numbers(self, tag: int, vr: str, creator: str, values: Sequence[float | str]) -> str:
        return _attribute(tag, vr, creator, _values(map(_number, values)))

    def names(self, tag: int, creator: str, values: Sequence[str]) -> str:
        return _attribute(tag, "PN", creator, "".join(map(_name, range(1, len(values) + 1), values)))

    def binary(self, tag: int, vr: str, creator: str, value: bytes) -> str:
        return _attribute(tag, vr, creator, f"<InlineBinary>{b64encode(value).decode()}</InlineBinary>")

    def bulk(self, tag: int, vr: str, creator: str, path: str) -> str:
        return _attribute(tag, vr, creator, f'<BulkData uri="{_text(self._base + path)}"/>')

    def sequence(self, tag: int, creator: str, items: Sequence[str]) -> str:
        numbered = (f'<Item number="{number}">{item}</Item>' for number, item in enumerate(items, 1))
        return _attribute(tag, "SQ", creator, "".join(numbered))

    def item(self, fragments: Iterable[str]) -> str:
        return "".join(fragments)


class XmlWriter(ModelWriter):
    """Writes one data set. `base` is what the path of bulk data is appended to (see ModelWriter)."""

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits, base: str) -> None:
        super().__init__(syntax, limits, XmlForm(base))


def document(item: str) -> str:
    """A whole document of what a writer's `text` or `xml_of` gives."""
    return f'{_HEAD}<NativeDicomModel xmlns="{_NAMESPACE}" xml:space="preserve">{item}</NativeDicomModel>'


def xml_of(attributes: Attributes, form: XmlForm) -> str:
    """A data set that is known as text, such as an answer of a query."""
    fragments = []
    for tag in sorted(attributes):
        value = attributes[tag]
        if isinstance(value, str):
            fragments.append(spell_text(form, tag, vr_of(tag), value))
        else:
            fragments.append(form.sequence(tag, "", [xml_of(item, form) for item in value]))
    return form.item(fragments)


def _attribute(tag: int, vr: str, creator: str, content: str) -> str:
    keyword = keyword_of(tag)
    named = f' keyword="{keyword}"' if keyword != f"{tag:08X}" else ""
    if creator:
        # PS3.19 Table A.1.5-2: the block that the creator reserved is not part of a private element's name.
        tag &= 0xFFFF00FF
        named = f' privateCreator="{_text(creator)}"'
    return f'<DicomAttribute tag="{tag:08X}" vr="{vr}"{named}>{content}</DicomAttribute>'


def _values(values: Iterable[str]) -> str:
    return "".join(f'<Value number="{number}">{value}</Value>' for number, value in enumerate(values, 1))


def _text(value: str) -> str:
    return escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value)).replace("\r", "&#13;")


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return _text(value)
    if math.isnan(value):
        return "NaN"  # XML Schema 2, 3.2.4
    if math.isinf(value):
        return "INF" if value > 0 else "-INF"
    return repr(value)


def _name(number: int, value: str) -> str:
    groups = []
    for group, text in zip(_GROUPS, value.split("="), strict=False):
        parts = zip(_COMPONENTS, text.split("^"), strict=False)
        inner = "".join(f"<{component}>{_text(part)}</{component}>" for component, part in parts if part)
        if inner:
            groups.append(f"<{group}>{inner}</{group}>")
    return f'<PersonName number="{number}">{"".join(groups)}</PersonName>'

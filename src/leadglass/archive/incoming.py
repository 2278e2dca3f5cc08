"""An object on its way in, and how two versions of one SOP Instance relate."""

import pickle
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from leadglass.archive.studykeys import Claim
from leadglass.dicom import tags
from leadglass.dicom.attributes import decode_elements
from leadglass.dicom.charset import parse_charsets
from leadglass.dicom.compare import ContentDigest
from leadglass.dicom.container import Element
from leadglass.dicom.reader import PixelData, Scan
from leadglass.dicom.uids import TransferSyntax
from leadglass.errors import DataSetError
from leadglass.model import Principal, Sent
from leadglass.pack.writer import StoredObject

_LAYOUT = struct.Struct(">QQQI")
_FRAGMENT = struct.Struct(">QQ")
_UNDEFINED = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a stored data set lie: header first, then pixel data or its fragments (byte offsets)."""

    header_length: int
    pixel_offset: int
    pixel_length: int | None
    fragments: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, header_length: int, pixels: PixelData | None) -> "Layout":
        if pixels is None:
            return cls(header_length, header_length, 0, ())
        return cls(header_length, pixels.offset, pixels.length, pixels.fragments)

    def encode(self) -> bytes:
        length = _UNDEFINED if self.pixel_length is None else self.pixel_length
        head = _LAYOUT.pack(self.header_length, self.pixel_offset, length, len(self.fragments))
        return head + b"".join(_FRAGMENT.pack(*fragment) for fragment in self.fragments)

    @classmethod
    def decode(cls, data: bytes) -> "Layout":
        """Raises DataSetError when the bytes are not a layout."""
        if len(data) < _LAYOUT.size:
            raise DataSetError("A stored layout is cut short.")
        header, offset, length, count = _LAYOUT.unpack_from(data)
        if len(data) != _LAYOUT.size + count * _FRAGMENT.size:
            raise DataSetError("A stored layout has the wrong length.")
        fragments = tuple(_FRAGMENT.iter_unpack(data[_LAYOUT.size :]))
        return cls(header, offset, None if length == _UNDEFINED else length, fragments)


@dataclass(frozen=True, slots=True)
class Sender(Sent):
    """Who sent an object, as it goes on record, and whether what it sends anew takes the place of what it sent."""

    label: str
    credential: str
    person: str
    peer: str
    may_revise: bool

    @classmethod
    def of(cls, principal: Principal, peer: str) -> "Sender":
        return cls(principal.label, principal.credential, principal.person, peer, principal.may_revise)


@dataclass(frozen=True, slots=True)
class Incoming(Sent):
    """Everything the committer needs to place one received, sealed and synced object: sent to it for each."""

    sender: Sender
    claim: Claim
    #: Of the claim, under which the object is sealed.
    wrapped_key: bytes
    #: What identifies and describes the instance itself.
    attributes: Mapping[int, str]
    #: What describes patient, study and series, as `described_by` makes it: opened only when one of these is new.
    description: bytes
    sop_class: str
    transfer_syntax: str
    stored: StoredObject
    #: SHA-256 of what arrived: another than that of what is stored when something was cut away.
    received: bytes
    #: Codes of what inspection found and lets pass.
    findings: tuple[str, ...] = ()

    def described(self) -> "Described":
        little_endian, elements, requests = pickle.loads(self.description)  # noqa: S301 - made by `described_by`
        own = _elements_of(elements)
        charset = own.get(tags.SPECIFIC_CHARACTER_SET)
        charsets = parse_charsets(charset.value.decode("ascii", "replace") if charset else "")
        return Described(
            decode_elements(own, little_endian),
            tuple(decode_elements(_elements_of(item), little_endian, charsets) for item in requests),
        )

    @property
    def sop_instance(self) -> str:
        return self.attributes[tags.SOP_INSTANCE_UID]

    @property
    def series(self) -> str:
        return self.attributes[tags.SERIES_INSTANCE_UID]


@dataclass(frozen=True, slots=True)
class Described:
    """All attributes of an object, and those of the items of its Request Attributes Sequence."""

    attributes: dict[int, str]
    requests: tuple[dict[int, str], ...]


def described_by(scan: Scan) -> bytes:
    """What a reader kept, as plain values: the committer has no use for most of them most of the time."""
    requests = scan.sequences.get(tags.REQUEST_ATTRIBUTES_SEQUENCE, ())
    plain = (scan.little_endian, _values_of(scan.elements), [_values_of(item) for item in requests])
    return pickle.dumps(plain, pickle.HIGHEST_PROTOCOL)


def _values_of(elements: Mapping[int, Element]) -> list[tuple[object, ...]]:
    return [tuple(each) for each in elements.values()]


def _elements_of(values: Iterable[tuple[int, str, bytes, int]]) -> dict[int, Element]:
    return {each[0]: Element(*each) for each in values}


class Relation(Enum):
    """How an arriving object relates to a kept version of the same SOP Instance."""

    SAME = "equal elements and pixels"
    HEADER_DIFFERS = "other header"
    PIXELS_DIFFER = "other pixels"
    UNDECIDED = "another encoding, not comparable without decoding"


def relate(
    kept: ContentDigest, kept_syntax: TransferSyntax, new: ContentDigest, new_syntax: TransferSyntax
) -> Relation:
    """Compare by digests. Pixels in different encodings are not comparable until decoders exist."""
    if kept.pixels == new.pixels:
        return Relation.SAME if kept.elements == new.elements else Relation.HEADER_DIFFERS
    same_encoding = not (kept.encapsulated or new.encapsulated) or kept_syntax.uid == new_syntax.uid
    return Relation.PIXELS_DIFFER if same_encoding else Relation.UNDECIDED

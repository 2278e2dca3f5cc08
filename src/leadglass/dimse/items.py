"""Items within the A-ASSOCIATE PDUs: presentation contexts (PS3.8 9.3.2.2, 9.3.3.2) and the values of user information
(PS3.8 Annex D, PS3.7 D.3.3). Every item is: type, a reserved byte, a 16-bit big-endian length, a value."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from leadglass.dimse.values import INVALID_PARAMETER, UNEXPECTED_PARAMETER, decode_uid, encode_uid
from leadglass.errors import ProtocolError, UsageError
from leadglass.model import AssociationLimits

APPLICATION_CONTEXT_ITEM = 0x10
PROPOSED_CONTEXT_ITEM = 0x20
CONTEXT_RESULT_ITEM = 0x21
_ABSTRACT_SYNTAX_ITEM = 0x30
_TRANSFER_SYNTAX_ITEM = 0x40
USER_INFORMATION_ITEM = 0x50

ACCEPTANCE = 0
USER_REJECTION = 1
NO_REASON = 2
ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED = 4

_HEADER = Struct(">BBH")


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """`id` is odd, 1 to 255 (PS3.8 9.3.2.2)."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextResult:
    """`result` as in PS3.8 Table 9-18; the transfer syntax has no meaning unless it is 0 (acceptance)."""

    id: int
    result: int
    transfer_syntax: str = ""


@dataclass(frozen=True, slots=True)
class AsyncWindow:
    """Most operations outstanding, invoked and performed by the requestor; 0 = unlimited (PS3.7 D.3.3.3)."""

    invoked: int
    performed: int


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """Which roles the requestor proposes to take, or the acceptor accepts that it takes (PS3.7 D.3.3.4)."""

    sop_class: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class ExtendedNegotiation:
    """`data` is the service class's own application information (PS3.7 D.3.3.5)."""

    sop_class: str
    data: bytes


@dataclass(frozen=True, slots=True)
class CommonExtendedNegotiation:
    """What a SOP class is a kind of (PS3.7 D.3.3.6)."""

    sop_class: str
    service_class: str
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """PS3.7 D.3.3.7. `type`: 1 user name, 2 with passcode, 3 Kerberos, 4 SAML, 5 JWT. The fields are never shown."""

    type: int
    response_requested: bool
    primary: bytes = field(repr=False)
    secondary: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class UserInformation:
    """`max_length`: bytes of a P-DATA-TF PDU after its header that its sender takes; 0 = unlimited (PS3.8 D.1)."""

    max_length: int
    implementation_class_uid: str = ""
    implementation_version: str = ""
    async_window: AsyncWindow | None = None
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[ExtendedNegotiation, ...] = ()
    common_extended: tuple[CommonExtendedNegotiation, ...] = ()
    user_identity: UserIdentity | None = None
    user_identity_response: bytes | None = field(default=None, repr=False)


def encode_item(kind: int, value: bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise UsageError(f"item {kind:02X}H would be longer than its 16-bit length can say.")
    return _HEADER.pack(kind, 0, len(value)) + value


def split_items(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Type and value of each item, in order; values are views. Raises ProtocolError if one overruns `data`."""
    position, end = 0, len(data)
    while position < end:
        if end - position < 4:
            raise ProtocolError("an item header is cut short", INVALID_PARAMETER)
        kind, _, length = _HEADER.unpack_from(data, position)
        position += 4
        if length > end - position:
            raise ProtocolError(f"item {kind:02X}H is longer than what holds it", INVALID_PARAMETER)
        yield kind, data[position : position + length]
        position += length


# Presentation contexts


def encode_proposed_context(context: ProposedContext) -> bytes:
    syntaxes = b"".join(encode_item(_TRANSFER_SYNTAX_ITEM, encode_uid(uid)) for uid in context.transfer_syntaxes)
    abstract = encode_item(_ABSTRACT_SYNTAX_ITEM, encode_uid(context.abstract_syntax))
    return encode_item(PROPOSED_CONTEXT_ITEM, bytes((context.id, 0, 0, 0)) + abstract + syntaxes)


def decode_proposed_context(value: memoryview, limits: AssociationLimits) -> ProposedContext:
    context_id = _context_id(value)
    abstract_syntax = ""
    transfer_syntaxes: list[str] = []
    for kind, content in split_items(value[4:]):
        if kind == _ABSTRACT_SYNTAX_ITEM and not abstract_syntax:
            abstract_syntax = decode_uid(bytes(content))
        elif kind == _TRANSFER_SYNTAX_ITEM and len(transfer_syntaxes) < limits.transfer_syntaxes:
            transfer_syntaxes.append(decode_uid(bytes(content)))
        elif kind in (_ABSTRACT_SYNTAX_ITEM, _TRANSFER_SYNTAX_ITEM):
            raise ProtocolError("a presentation context has too many sub-items", UNEXPECTED_PARAMETER)
    if not abstract_syntax or not transfer_syntaxes:
        raise ProtocolError("a presentation context lacks its abstract or transfer syntax", INVALID_PARAMETER)
    return ProposedContext(context_id, abstract_syntax, tuple(transfer_syntaxes))


def encode_context_result(result: ContextResult) -> bytes:
    uid = encode_uid(result.transfer_syntax) if result.transfer_syntax else b""
    content = bytes((result.id, 0, result.result, 0)) + encode_item(_TRANSFER_SYNTAX_ITEM, uid)
    return encode_item(CONTEXT_RESULT_ITEM, content)


def decode_context_result(value: memoryview) -> ContextResult:
    context_id = _context_id(value)
    if value[2] > TRANSFER_SYNTAXES_NOT_SUPPORTED:
        raise ProtocolError(f"presentation context result {value[2]} does not exist", INVALID_PARAMETER)
    if value[2] != ACCEPTANCE:
        # The sub-item is not significant then, and some peers leave it out or empty (PS3.8 9.3.3.2.1).
        return ContextResult(context_id, value[2])
    syntaxes = [content for kind, content in split_items(value[4:]) if kind == _TRANSFER_SYNTAX_ITEM]
    if len(syntaxes) != 1:
        raise ProtocolError("an accepted presentation context has other than one transfer syntax", INVALID_PARAMETER)
    return ContextResult(context_id, ACCEPTANCE, decode_uid(bytes(syntaxes[0])))


def _context_id(value: memoryview) -> int:
    if len(value) < 4 or not value[0] & 1:
        raise ProtocolError("a presentation context is cut short or has an even identifier", INVALID_PARAMETER)
    return value[0]

"""The User Information item on the wire (PS3.8 9.3.2.3 and Annex D, PS3.7 D.3.3)."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any

from leadglass.dimse.items import (
    USER_INFORMATION_ITEM,
    AsyncWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
    encode_item,
    split_items,
)
from leadglass.dimse.values import INVALID_PARAMETER, decode_uid, encode_uid
from leadglass.errors import ProtocolError, UsageError
from leadglass.model import AssociationLimits

_MAXIMUM_LENGTH = 0x51
_IMPLEMENTATION_CLASS_UID = 0x52
_ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
_ROLE_SELECTION = 0x54
_IMPLEMENTATION_VERSION_NAME = 0x55
_EXTENDED_NEGOTIATION = 0x56
_COMMON_EXTENDED_NEGOTIATION = 0x57
_USER_IDENTITY = 0x58
_USER_IDENTITY_RESPONSE = 0x59

_VERSION_NAME_BYTES = 16

_U16 = Struct(">H")
_U32 = Struct(">I")
_WINDOW = Struct(">HH")


def encode_user_information(user: UserInformation) -> bytes:
    """The 50H item. Sub-items ascend by type, since some older peers expect it (PS3.8 9.3.2.3, note)."""
    return encode_item(USER_INFORMATION_ITEM, b"".join(_sub_items(user)))


def _sub_items(user: UserInformation) -> Iterator[bytes]:
    yield encode_item(_MAXIMUM_LENGTH, _U32.pack(user.max_length))
    if user.implementation_class_uid:
        yield encode_item(_IMPLEMENTATION_CLASS_UID, encode_uid(user.implementation_class_uid))
    if user.async_window is not None:
        window = _WINDOW.pack(user.async_window.invoked, user.async_window.performed)
        yield encode_item(_ASYNCHRONOUS_OPERATIONS_WINDOW, window)
    for role in user.roles:
        yield encode_item(_ROLE_SELECTION, _counted(encode_uid(role.sop_class)) + bytes((role.scu, role.scp)))
    if user.implementation_version:
        name = user.implementation_version.encode("ascii", "replace")
        if len(name) > _VERSION_NAME_BYTES:
            raise UsageError("an implementation version name has at most 16 characters.")
        yield encode_item(_IMPLEMENTATION_VERSION_NAME, name)
    for extended in user.extended:
        yield encode_item(_EXTENDED_NEGOTIATION, _counted(encode_uid(extended.sop_class)) + extended.data)
    for common in user.common_extended:
        related = b"".join(_counted(encode_uid(uid)) for uid in common.related)
        uids = _counted(encode_uid(common.sop_class)) + _counted(encode_uid(common.service_class))
        yield encode_item(_COMMON_EXTENDED_NEGOTIATION, uids + _counted(related))
    if user.user_identity is not None:
        identity = user.user_identity
        head = bytes((identity.type, identity.response_requested))
        yield encode_item(_USER_IDENTITY, head + _counted(identity.primary) + _counted(identity.secondary))
    if user.user_identity_response is not None:
        yield encode_item(_USER_IDENTITY_RESPONSE, _counted(user.user_identity_response))


def _counted(value: bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise UsageError("a field of the user information is longer than its 16-bit length can say.")
    return _U16.pack(len(value)) + value


def decode_user_information(value: memoryview, limits: AssociationLimits) -> UserInformation:
    """Raises ProtocolError. Sub-items of unknown types are ignored (PS3.8 D.2, note 2), a missing maximum length means
    unlimited; of sub-items that may stand once, the last counts."""
    if len(value) > limits.user_information:
        raise ProtocolError(f"{len(value)} bytes of user information are more than allowed", INVALID_PARAMETER)
    fields: dict[str, Any] = {"max_length": 0}
    for kind, content in split_items(value):
        if kind in _SINGLE:
            name, decode = _SINGLE[kind]
            fields[name] = decode(content)
        elif kind in _REPEATED:
            name, decode = _REPEATED[kind]
            earlier = fields.get(name, ())
            if len(earlier) == limits.presentation_contexts:  # each names a SOP class, which needs a context
                raise ProtocolError(f"too many user information sub-items {kind:02X}H", INVALID_PARAMETER)
            fields[name] = (*earlier, decode(content))
    return UserInformation(**fields)


def _take(content: memoryview) -> tuple[bytes, memoryview]:
    """A value with its 16-bit length before it, and what follows."""
    _need(content, 2)
    end = 2 + _U16.unpack_from(content)[0]
    _need(content, end)
    return bytes(content[2:end]), content[end:]


def _need(content: memoryview, length: int) -> None:
    if len(content) < length:
        raise ProtocolError("a user information sub-item is cut short", INVALID_PARAMETER)


def _decode_max_length(content: memoryview) -> int:
    _need(content, 4)
    value: int = _U32.unpack_from(content)[0]
    return value


def _decode_uid(content: memoryview) -> str:
    return decode_uid(bytes(content))


def _decode_version(content: memoryview) -> str:
    # Informative only, so what is not of the G0 set is marked and what is too long is cut.
    return bytes(content[:_VERSION_NAME_BYTES]).decode("ascii", "replace").rstrip("\0 ").replace("\ufffd", "?")


def _decode_window(content: memoryview) -> AsyncWindow:
    _need(content, 4)
    return AsyncWindow(*_WINDOW.unpack_from(content))


def _decode_role(content: memoryview) -> RoleSelection:
    uid, rest = _take(content)
    _need(rest, 2)
    return RoleSelection(decode_uid(uid), rest[0] == 1, rest[1] == 1)


def _decode_extended(content: memoryview) -> ExtendedNegotiation:
    uid, rest = _take(content)
    return ExtendedNegotiation(decode_uid(uid), bytes(rest))


def _decode_common_extended(content: memoryview) -> CommonExtendedNegotiation:
    sop_class, rest = _take(content)
    service_class, rest = _take(rest)
    listed, _ = _take(rest)
    related: list[str] = []
    left = memoryview(listed)
    while left:
        uid, left = _take(left)
        related.append(decode_uid(uid))
    return CommonExtendedNegotiation(decode_uid(sop_class), decode_uid(service_class), tuple(related))


def _decode_identity(content: memoryview) -> UserIdentity:
    _need(content, 2)
    primary, rest = _take(content[2:])
    secondary, _ = _take(rest)
    return UserIdentity(content[0], content[1] == 1, primary, secondary)


def _decode_identity_response(content: memoryview) -> bytes:
    return _take(content)[0]


_SINGLE: dict[int, tuple[str, Callable[[memoryview], Any]]] = {
    _MAXIMUM_LENGTH: ("max_length", _decode_max_length),
    _IMPLEMENTATION_CLASS_UID: ("implementation_class_uid", _decode_uid),
    _ASYNCHRONOUS_OPERATIONS_WINDOW: ("async_window", _decode_window),
    _IMPLEMENTATION_VERSION_NAME: ("implementation_version", _decode_version),
    _USER_IDENTITY: ("user_identity", _decode_identity),
    _USER_IDENTITY_RESPONSE: ("user_identity_response", _decode_identity_response),
}
_REPEATED: dict[int, tuple[str, Callable[[memoryview], Any]]] = {
    _ROLE_SELECTION: ("roles", _decode_role),
    _EXTENDED_NEGOTIATION: ("extended", _decode_extended),
    _COMMON_EXTENDED_NEGOTIATION: ("common_extended", _decode_common_extended),
}

"""The PDUs that establish, release and abort an association (PS3.8 9.3), beside `pdata` for P-DATA-TF.

Every PDU is: type, a reserved byte, a 32-bit big-endian length, a body. Decoding takes the body only; the caller has
read the header and bounded the length before it read on.
"""

from dataclasses import dataclass
from struct import Struct

from leadglass.dimse.items import (
    APPLICATION_CONTEXT_ITEM,
    CONTEXT_RESULT_ITEM,
    PROPOSED_CONTEXT_ITEM,
    USER_INFORMATION_ITEM,
    ContextResult,
    ProposedContext,
    UserInformation,
    decode_context_result,
    decode_proposed_context,
    encode_context_result,
    encode_item,
    encode_proposed_context,
    split_items,
)
from leadglass.dimse.user_information import decode_user_information, encode_user_information
from leadglass.dimse.values import (
    AE_TITLE_BYTES,
    INVALID_PARAMETER,
    UNEXPECTED_PARAMETER,
    UNRECOGNISED_PDU,
    decode_ae_title,
    decode_uid,
    encode_ae_title,
    encode_uid,
)
from leadglass.errors import ProtocolError
from leadglass.model import AssociationLimits

ASSOCIATE_RQ = 0x01
ASSOCIATE_AC = 0x02
ASSOCIATE_RJ = 0x03
P_DATA_TF = 0x04
RELEASE_RQ = 0x05
RELEASE_RP = 0x06
ABORT = 0x07

PDU_HEADER = Struct(">BxI")
PDU_HEADER_BYTES = 6
#: Length of the body of A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP and A-ABORT.
SHORT_BODY_BYTES = 4

#: PS3.7 A.2.1, the only application context name that the standard defines.
DICOM_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
PROTOCOL_VERSION = 1

# Results, sources and reasons of A-ASSOCIATE-RJ, PS3.8 Table 9-21.
REJECTED_PERMANENT, REJECTED_TRANSIENT = 1, 2
BY_USER, BY_PROVIDER_ACSE, BY_PROVIDER_PRESENTATION = 1, 2, 3
NO_REASON_GIVEN = 1
APPLICATION_CONTEXT_NOT_SUPPORTED = 2
CALLING_AE_NOT_RECOGNISED = 3
CALLED_AE_NOT_RECOGNISED = 7
PROTOCOL_VERSION_NOT_SUPPORTED = 2
TEMPORARY_CONGESTION = 1
LOCAL_LIMIT_EXCEEDED = 2

# Sources of A-ABORT, PS3.8 Table 9-26.
SERVICE_USER, SERVICE_PROVIDER = 0, 2

_FIXED = Struct(">HH16s16s32x")


@dataclass(frozen=True, slots=True)
class AssociateRq:
    """A-ASSOCIATE-RQ, PS3.8 9.3.2. `protocol_version` is a bit field, of which the standard knows bit 0."""

    called_ae: str
    calling_ae: str
    contexts: tuple[ProposedContext, ...]
    user: UserInformation
    application_context: str = DICOM_APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class AssociateAc:
    """A-ASSOCIATE-AC, PS3.8 9.3.3. The AE titles only repeat the request and are not tested; empty if unreadable."""

    called_ae: str
    calling_ae: str
    results: tuple[ContextResult, ...]
    user: UserInformation
    application_context: str = DICOM_APPLICATION_CONTEXT


@dataclass(frozen=True, slots=True)
class AssociateRj:
    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ReleaseRq:
    pass


@dataclass(frozen=True, slots=True)
class ReleaseRp:
    pass


@dataclass(frozen=True, slots=True)
class Abort:
    source: int
    reason: int


Pdu = AssociateRq | AssociateAc | AssociateRj | ReleaseRq | ReleaseRp | Abort


def encode(pdu: Pdu) -> bytes:
    """Raises UsageError for values that no peer could read back."""
    match pdu:
        case AssociateRq():
            contexts = b"".join(map(encode_proposed_context, pdu.contexts))
            fixed = _FIXED.pack(pdu.protocol_version, 0, _title(pdu.called_ae), _title(pdu.calling_ae))
            return _associate(ASSOCIATE_RQ, fixed, pdu.application_context, contexts, pdu.user)
        case AssociateAc():
            contexts = b"".join(map(encode_context_result, pdu.results))
            titles = [_title(title) if title else b" " * AE_TITLE_BYTES for title in (pdu.called_ae, pdu.calling_ae)]
            fixed = _FIXED.pack(PROTOCOL_VERSION, 0, *titles)
            return _associate(ASSOCIATE_AC, fixed, pdu.application_context, contexts, pdu.user)
        case AssociateRj():
            return _frame(ASSOCIATE_RJ, bytes((0, pdu.result, pdu.source, pdu.reason)))
        case ReleaseRq():
            return _frame(RELEASE_RQ, bytes(SHORT_BODY_BYTES))
        case ReleaseRp():
            return _frame(RELEASE_RP, bytes(SHORT_BODY_BYTES))
        case Abort():
            return _frame(ABORT, bytes((0, 0, pdu.source, pdu.reason)))


def _frame(pdu_type: int, body: bytes) -> bytes:
    return PDU_HEADER.pack(pdu_type, len(body)) + body


def _title(title: str) -> bytes:
    return encode_ae_title(title).ljust(AE_TITLE_BYTES)


def _associate(pdu_type: int, fixed: bytes, application_context: str, contexts: bytes, user: UserInformation) -> bytes:
    name = encode_item(APPLICATION_CONTEXT_ITEM, encode_uid(application_context))
    return _frame(pdu_type, fixed + name + contexts + encode_user_information(user))


def decode(pdu_type: int, body: memoryview, limits: AssociationLimits) -> Pdu:
    """A PDU's body, any but P-DATA-TF. Reserved fields are not tested. Raises ProtocolError."""
    if pdu_type == ASSOCIATE_RQ:
        return _decode_associate_rq(body, limits)
    if pdu_type == ASSOCIATE_AC:
        return _decode_associate_ac(body, limits)
    if pdu_type in (ASSOCIATE_RJ, RELEASE_RQ, RELEASE_RP, ABORT):
        return _decode_short(pdu_type, body)
    raise ProtocolError(f"PDU type {pdu_type:02X}H is not one that this reads", UNRECOGNISED_PDU)


def _decode_short(pdu_type: int, body: memoryview) -> Pdu:
    if len(body) != SHORT_BODY_BYTES:
        raise ProtocolError(f"a PDU of type {pdu_type:02X}H has a body of {len(body)} bytes, not 4", INVALID_PARAMETER)
    _, first, source, reason = body
    if pdu_type == ASSOCIATE_RJ:
        return AssociateRj(first, source, reason)
    if pdu_type == ABORT:
        return Abort(source, reason)
    return ReleaseRq() if pdu_type == RELEASE_RQ else ReleaseRp()


def _decode_associate_rq(body: memoryview, limits: AssociationLimits) -> AssociateRq:
    version, called, calling = _fixed(body, limits)
    contexts: dict[int, ProposedContext] = {}
    single: dict[int, memoryview] = {}
    for kind, value in split_items(body[_FIXED.size :]):
        if kind == PROPOSED_CONTEXT_ITEM:
            context = decode_proposed_context(value, limits)
            if context.id in contexts or len(contexts) >= limits.presentation_contexts:
                raise ProtocolError("presentation contexts are too many or repeat an identifier", INVALID_PARAMETER)
            contexts[context.id] = context
        else:
            _keep_single(single, kind, value)
    if not contexts:
        raise ProtocolError("an A-ASSOCIATE-RQ proposes no presentation context", INVALID_PARAMETER)
    application_context, user = _common(single, limits)
    return AssociateRq(
        decode_ae_title(called),
        decode_ae_title(calling),
        tuple(contexts.values()),
        user,
        application_context,
        version,
    )


def _decode_associate_ac(body: memoryview, limits: AssociationLimits) -> AssociateAc:
    _, called, calling = _fixed(body, limits)
    results: dict[int, ContextResult] = {}
    single: dict[int, memoryview] = {}
    for kind, value in split_items(body[_FIXED.size :]):
        if kind == CONTEXT_RESULT_ITEM:
            result = decode_context_result(value)
            if result.id in results or len(results) >= limits.presentation_contexts:
                raise ProtocolError("presentation contexts are too many or repeat an identifier", INVALID_PARAMETER)
            results[result.id] = result
        else:
            _keep_single(single, kind, value)
    application_context, user = _common(single, limits)
    return AssociateAc(
        _repeated_title(called), _repeated_title(calling), tuple(results.values()), user, application_context
    )


def _fixed(body: memoryview, limits: AssociationLimits) -> tuple[int, bytes, bytes]:
    if not _FIXED.size <= len(body) <= limits.associate_pdu:
        raise ProtocolError(f"an A-ASSOCIATE PDU has a body of {len(body)} bytes", INVALID_PARAMETER)
    version, _, called, calling = _FIXED.unpack_from(body)
    return version, called, calling


def _repeated_title(raw: bytes) -> str:
    try:
        return decode_ae_title(raw)
    except ProtocolError:
        # "Not tested when received": PS3.8 9.3.3, bytes 11 to 42 of an A-ASSOCIATE-AC.
        return ""


def _keep_single(single: dict[int, memoryview], kind: int, value: memoryview) -> None:
    """Items that stand once; those of other types are ignored, as the standard grows by adding items."""
    if kind in (APPLICATION_CONTEXT_ITEM, USER_INFORMATION_ITEM):
        if kind in single:
            raise ProtocolError(f"an A-ASSOCIATE PDU holds item {kind:02X}H twice", UNEXPECTED_PARAMETER)
        single[kind] = value


def _common(single: dict[int, memoryview], limits: AssociationLimits) -> tuple[str, UserInformation]:
    if len(single) != 2:
        raise ProtocolError("an A-ASSOCIATE PDU lacks application context or user information", INVALID_PARAMETER)
    application_context = decode_uid(bytes(single[APPLICATION_CONTEXT_ITEM]))
    return application_context, decode_user_information(single[USER_INFORMATION_ITEM], limits)

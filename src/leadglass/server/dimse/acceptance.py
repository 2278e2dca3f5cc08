"""What an association of a given principal may use: presentation contexts, roles and extended negotiation."""

from collections.abc import Mapping
from dataclasses import dataclass

from leadglass.archive.authorise import may
from leadglass.archive.query import PATIENT_ROOT, STUDY_ROOT
from leadglass.dicom import uids
from leadglass.dimse.items import (
    ACCEPTANCE,
    USER_REJECTION,
    ContextResult,
    ExtendedNegotiation,
    ProposedContext,
    RoleSelection,
    UserInformation,
)
from leadglass.dimse.negotiation import choose, choose_roles
from leadglass.dimse.pdu import AssociateRq
from leadglass.model import Level, Matching, Operation, Principal

#: What identifiers and C-ECHO travel in; big endian is retired and nobody proposes it alone.
MESSAGE_SYNTAXES = (uids.EXPLICIT_LE, uids.IMPLICIT_LE)
ROOTS: dict[str, tuple[Level, ...]] = {
    uids.PATIENT_ROOT_FIND: PATIENT_ROOT,
    uids.STUDY_ROOT_FIND: STUDY_ROOT,
    uids.PATIENT_ROOT_GET: PATIENT_ROOT,
    uids.STUDY_ROOT_GET: STUDY_ROOT,
}
OPERATIONS: dict[str, Operation] = {
    uids.VERIFICATION: Operation.ECHO,
    uids.PATIENT_ROOT_FIND: Operation.QUERY,
    uids.STUDY_ROOT_FIND: Operation.QUERY,
    uids.PATIENT_ROOT_GET: Operation.RETRIEVE,
    uids.STUDY_ROOT_GET: Operation.RETRIEVE,
}
FIND_CLASSES = frozenset({uids.PATIENT_ROOT_FIND, uids.STUDY_ROOT_FIND})
GET_CLASSES = frozenset({uids.PATIENT_ROOT_GET, uids.STUDY_ROOT_GET})

#: PS3.4 B.3.1: Level 2 (full), signatures as received, no element is coerced.
STORAGE_SUPPORT = bytes((2, 0, 0, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The answer to a request. `retrieve_contexts`: (SOP class, transfer syntax) → context on which the requestor takes
    objects as SCP. `matching`: what was agreed for FIND classes. `denied`: the abstract syntaxes that the principal's
    roles do not allow."""

    results: tuple[ContextResult, ...]
    user: UserInformation
    retrieve_contexts: dict[tuple[str, str], int]
    matching: Mapping[str, Matching]
    denied: frozenset[str]


def accept(rq: AssociateRq, principal: Principal, max_pdu: int, *, verified: bool = False) -> Acceptance:
    """Pure: the same request and principal always give the same answer. `verified`: the user that the request names has
    proved who it is; only then is there a positive response, when one is asked for (PS3.7 D.3.3.7.2)."""
    roles = choose_roles(rq.user.roles, lambda uid: _is_storage(uid, principal) and may(principal, Operation.RETRIEVE))
    as_scp = frozenset(role.sop_class for role in roles if role.scp)
    results = tuple(
        _refuse_or(result, context, principal, as_scp)
        for result, context in zip(choose(rq.contexts, lambda uid: _syntaxes(uid, principal)), rq.contexts, strict=True)
    )
    agreed = tuple(_extended(item) for item in rq.user.extended if item.sop_class in ROOTS)
    stored = tuple(
        ExtendedNegotiation(item.sop_class, STORAGE_SUPPORT)
        for item in rq.user.extended
        if _is_storage(item.sop_class, principal)
    )
    user = UserInformation(
        max_length=max_pdu,
        implementation_class_uid=uids.IMPLEMENTATION_CLASS_UID,
        implementation_version=uids.IMPLEMENTATION_VERSION_NAME,
        roles=_answered(roles, principal),
        extended=agreed + stored,
        user_identity_response=b"" if verified and _asks_for_response(rq) else None,
    )
    return Acceptance(
        results=results,
        user=user,
        retrieve_contexts=_retrieve_contexts(rq.contexts, results, as_scp),
        matching={item.sop_class: _matching(item.data) for item in agreed if item.sop_class in FIND_CLASSES},
        denied=frozenset(
            context.abstract_syntax
            for context, result in zip(rq.contexts, results, strict=True)
            if result.result == USER_REJECTION
        ),
    )


def _asks_for_response(rq: AssociateRq) -> bool:
    return rq.user.user_identity is not None and rq.user.user_identity.response_requested


def _syntaxes(uid: str, principal: Principal) -> tuple[str, ...]:
    if uid in OPERATIONS:
        return MESSAGE_SYNTAXES
    return tuple(uids.TRANSFER_SYNTAXES) if _is_storage(uid, principal) else ()


def _is_storage(uid: str, principal: Principal) -> bool:
    return uid in uids.STORAGE_SOP_CLASSES or uid in principal.private_sop_classes


def _refuse_or(
    result: ContextResult, context: ProposedContext, principal: Principal, as_scp: frozenset[str]
) -> ContextResult:
    """Supported, but not for this principal: user-rejection (PS3.8 Table 9-18)."""
    uid = context.abstract_syntax
    operation = OPERATIONS.get(uid, Operation.STORE)
    if result.result != ACCEPTANCE or may(principal, operation) or uid in as_scp:
        return result
    return ContextResult(result.id, USER_REJECTION, result.transfer_syntax)


def _answered(roles: tuple[RoleSelection, ...], principal: Principal) -> tuple[RoleSelection, ...]:
    """Who may not store is told so in the role that it proposed."""
    stores = may(principal, Operation.STORE)
    return tuple(
        RoleSelection(role.sop_class, role.scu and (stores or role.sop_class in OPERATIONS), role.scp) for role in roles
    )


def _extended(item: ExtendedNegotiation) -> ExtendedNegotiation:
    """PS3.4 C.5.1.1: relational queries always; moments and fuzzy names when asked, in FIND."""
    asked = item.data
    answer = bytearray(len(asked))
    if asked[:1] == b"\1":
        answer[0] = 1
    if item.sop_class in FIND_CLASSES:
        answer[1:3] = (int(each == 1) for each in asked[1:3])
    return ExtendedNegotiation(item.sop_class, bytes(answer))


def _matching(agreed: bytes) -> Matching:
    return Matching(combined_datetime=agreed[1:2] == b"\1", fuzzy_names=agreed[2:3] == b"\1")


def _retrieve_contexts(
    proposed: tuple[ProposedContext, ...], results: tuple[ContextResult, ...], as_scp: frozenset[str]
) -> dict[tuple[str, str], int]:
    return {
        (context.abstract_syntax, result.transfer_syntax): context.id
        for context, result in zip(proposed, results, strict=True)
        if result.result == ACCEPTANCE and context.abstract_syntax in as_scp
    }

"""What a requestor proposes and an acceptor answers, as pure functions (PS3.8 7.1.1, PS3.7 D.3)."""

from collections.abc import Callable, Collection, Iterable

from leadglass.dimse.items import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTANCE,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    ContextResult,
    ProposedContext,
    RoleSelection,
)
from leadglass.dimse.pdu import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    BY_PROVIDER_ACSE,
    BY_USER,
    DICOM_APPLICATION_CONTEXT,
    PROTOCOL_VERSION,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    REJECTED_PERMANENT,
    AssociateRj,
    AssociateRq,
)
from leadglass.errors import UsageError


def propose(syntaxes: Iterable[tuple[str, Iterable[str]]]) -> tuple[ProposedContext, ...]:
    """Presentation contexts with identifiers 1, 3, 5 … for pairs of an abstract syntax and its transfer syntaxes.

    Raises UsageError beyond 128, as many as identifiers exist (PS3.8 9.3.2.2).
    """
    contexts = tuple(
        ProposedContext(2 * number + 1, abstract_syntax, tuple(transfer_syntaxes))
        for number, (abstract_syntax, transfer_syntaxes) in enumerate(syntaxes)
    )
    if len(contexts) > 128:
        raise UsageError("one association has room for 128 presentation contexts.")
    return contexts


def rejection(rq: AssociateRq) -> AssociateRj | None:
    """Why nobody could accept this request, whoever asks (PS3.8 9.2.2 AE-6 and Table 9-21), or None."""
    if not rq.protocol_version & PROTOCOL_VERSION:
        return AssociateRj(REJECTED_PERMANENT, BY_PROVIDER_ACSE, PROTOCOL_VERSION_NOT_SUPPORTED)
    if rq.application_context != DICOM_APPLICATION_CONTEXT:
        return AssociateRj(REJECTED_PERMANENT, BY_USER, APPLICATION_CONTEXT_NOT_SUPPORTED)
    return None


def choose(
    proposed: Iterable[ProposedContext], supports: Callable[[str], Collection[str]]
) -> tuple[ContextResult, ...]:
    """One result for each context. `supports` maps an abstract syntax to the transfer syntaxes accepted for it, none if
    it is not supported; the requestor's first one among them is taken, since it knows what it has at hand."""
    return tuple(_result(context, supports(context.abstract_syntax)) for context in proposed)


def _result(context: ProposedContext, accepted: Collection[str]) -> ContextResult:
    if not accepted:
        return ContextResult(context.id, ABSTRACT_SYNTAX_NOT_SUPPORTED, context.transfer_syntaxes[0])
    for uid in context.transfer_syntaxes:
        if uid in accepted:
            return ContextResult(context.id, ACCEPTANCE, uid)
    return ContextResult(context.id, TRANSFER_SYNTAXES_NOT_SUPPORTED, context.transfer_syntaxes[0])


def choose_roles(proposed: Iterable[RoleSelection], may_be_scp: Callable[[str], bool]) -> tuple[RoleSelection, ...]:
    """The answer to each role proposed: the requestor may always be SCU, and SCP where `may_be_scp` says so of the SOP
    class (storage in a C-GET, PS3.4 C.5.3). No role is granted that was not proposed (PS3.7 D.3.3.4)."""
    return tuple(RoleSelection(role.sop_class, role.scu, role.scp and may_be_scp(role.sop_class)) for role in proposed)

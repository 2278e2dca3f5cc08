"""Who may do what. One table; every verb asks it first, and every read is narrowed by `scope_of`."""

from leadglass.errors import NotAuthorised
from leadglass.model import Operation, Principal, Role, Scope

RIGHTS: dict[Role, frozenset[Operation]] = {
    Role.MODALITY: frozenset({Operation.ECHO, Operation.STORE}),
    Role.CLINICIAN: frozenset({Operation.ECHO, Operation.QUERY, Operation.RETRIEVE}),
    Role.STEWARD: frozenset(
        {
            Operation.ECHO,
            Operation.STORE,
            Operation.QUERY,
            Operation.RETRIEVE,
            Operation.IMPORT,
            Operation.REVIEW,
        }
    ),
    Role.ADMINISTRATOR: frozenset({Operation.ADMINISTER}),
    Role.AUDITOR: frozenset(),
}

#: A user of the operating system at the command line may administer, import and review, and sees no pixels.
LOCAL_RIGHTS = frozenset({Operation.ADMINISTER, Operation.IMPORT, Operation.REVIEW})


def may(principal: Principal, operation: Operation) -> bool:
    if principal.kind == "local":
        return operation in LOCAL_RIGHTS
    return any(operation in RIGHTS[role] for role in principal.roles)


def authorise(principal: Principal, operation: Operation) -> None:
    """Raises NotAuthorised."""
    if not may(principal, operation):
        raise NotAuthorised(
            f"{principal.label} may not {operation.value}.", "Its roles decide; see `leadglass device list`."
        )


def scope_of(principal: Principal) -> Scope:
    """The studies a principal may see: those of its own site."""
    return Scope(frozenset({principal.site}))

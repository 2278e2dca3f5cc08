"""Who may do what. One table; every verb asks it first, and every read is narrowed by `scope_of`."""

import time

from leadglass.errors import NotAuthorised
from leadglass.model import Operation, Principal, Role, Scope

RIGHTS: dict[Role, frozenset[Operation]] = {
    Role.MODALITY: frozenset({Operation.ECHO, Operation.STORE}),
    Role.CLINICIAN: frozenset({Operation.ECHO, Operation.QUERY, Operation.RETRIEVE, Operation.SHARE}),
    Role.STEWARD: frozenset(
        {
            Operation.ECHO,
            Operation.STORE,
            Operation.QUERY,
            Operation.RETRIEVE,
            Operation.IMPORT,
            Operation.REVIEW,
            Operation.QUARANTINE,
            Operation.SHARE,
        }
    ),
    Role.ADMINISTRATOR: frozenset({Operation.ADMINISTER, Operation.MONITOR}),
    Role.AUDITOR: frozenset({Operation.AUDIT, Operation.MONITOR}),
}

#: A user of the operating system at the command line may administer, import, review and decide about quarantine, and
#: sees no pixels.
LOCAL_RIGHTS = frozenset({Operation.ADMINISTER, Operation.IMPORT, Operation.REVIEW, Operation.QUARANTINE})

#: Operations as one who is refused reads them.
_IN_WORDS = {
    Operation.ECHO: "ask whether the archive answers",
    Operation.STORE: "store images",
    Operation.QUERY: "search for studies",
    Operation.RETRIEVE: "see images",
    Operation.IMPORT: "import files",
    Operation.REVIEW: "decide what is shown",
    Operation.QUARANTINE: "decide about quarantine",
    Operation.SHARE: "share studies",
    Operation.ADMINISTER: "manage devices and users",
    Operation.AUDIT: "read the record",
    Operation.MONITOR: "read the archive's numbers",
}

#: What a token that is bound to patients is good for at most: the other verbs do not look at whose the object is.
OF_PATIENTS = frozenset({Operation.QUERY, Operation.RETRIEVE})


def may(principal: Principal, operation: Operation) -> bool:
    if principal.kind == "local":
        return operation in LOCAL_RIGHTS
    if principal.only is not None and operation not in principal.only:
        return False
    if principal.patients is not None and operation not in OF_PATIENTS:
        return False
    return any(operation in RIGHTS[role] for role in principal.roles)


def authorise(principal: Principal, operation: Operation) -> None:
    """Raises NotAuthorised."""
    if not may(principal, operation):
        raise _refused(principal, operation)


def _refused(principal: Principal, operation: Operation) -> NotAuthorised:
    """A person has one role and cannot look its rights up; of devices and the command line an administrator reads."""
    what = _IN_WORDS[operation]
    if principal.kind == "user":
        role = " and ".join(sorted(principal.roles))
        return NotAuthorised(f"The role {role} may not {what}.", "Sign in with another role, or ask an administrator.")
    return NotAuthorised(
        f"{principal.label} may not {what}.", "Its roles decide; see `leadglass device list` and `leadglass user list`."
    )


def scope_of(principal: Principal) -> Scope:
    """The studies a principal may see: those of its own site and those that are shared with it."""
    return Scope(
        frozenset({principal.site}),
        shared_with=principal.account,
        at=time.time_ns() // 1000 if principal.account else 0,
        patients=principal.patients,
    )

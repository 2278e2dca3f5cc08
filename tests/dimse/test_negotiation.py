from dataclasses import replace

import pytest

from leadglass.dimse.items import ContextResult, ProposedContext, RoleSelection, UserInformation
from leadglass.dimse.negotiation import choose, choose_roles, propose, rejection
from leadglass.dimse.pdu import AssociateRj, AssociateRq
from leadglass.errors import UsageError

CONTEXTS = propose([("1.2.1", ["1.3.1", "1.3.2"]), ("1.2.2", ["1.3.3"]), ("1.2.3", ["1.3.1"])])
RQ = AssociateRq("CALLED", "CALLING", CONTEXTS, UserInformation(0))


def test_contexts_are_numbered_odd() -> None:
    assert [context.id for context in CONTEXTS] == [1, 3, 5]
    assert propose(("1.2", ["1.3"]) for _ in range(128))[-1] == ProposedContext(255, "1.2", ("1.3",))
    with pytest.raises(UsageError):
        propose(("1.2", ["1.3"]) for _ in range(129))


def test_the_requestors_first_accepted_syntax_is_taken() -> None:
    supported = {"1.2.1": {"1.3.2", "1.3.1"}, "1.2.2": {"1.3.1"}}
    assert choose(CONTEXTS, lambda uid: supported.get(uid, set())) == (
        ContextResult(1, 0, "1.3.1"),
        ContextResult(3, 4, "1.3.3"),
        ContextResult(5, 3, "1.3.1"),
    )


def test_roles_are_granted_only_where_they_were_proposed() -> None:
    proposed = (
        RoleSelection("1.2.1", True, True),
        RoleSelection("1.2.2", False, True),
        RoleSelection("1.2.1", True, False),
    )
    assert choose_roles(proposed, lambda uid: uid == "1.2.1") == (
        RoleSelection("1.2.1", True, True),
        RoleSelection("1.2.2", False, False),
        RoleSelection("1.2.1", True, False),
    )


def test_requests_that_nobody_could_accept() -> None:
    assert rejection(RQ) is None
    assert rejection(replace(RQ, protocol_version=3)) is None
    assert rejection(replace(RQ, protocol_version=2)) == AssociateRj(1, 2, 2)
    assert rejection(replace(RQ, application_context="1.2.3")) == AssociateRj(1, 1, 2)

"""Associations to test with: what is proposed and accepted, and a pair that is established."""

from struct import pack

from leadglass.dimse.association import Association
from leadglass.dimse.items import UserInformation
from leadglass.dimse.message import CEchoRq
from leadglass.dimse.negotiation import choose, propose
from leadglass.dimse.pdu import (
    P_DATA_TF,
    PDU_HEADER,
    AssociateAc,
    AssociateRq,
)
from leadglass.model import AssociationLimits

LIMITS = AssociationLimits()
CT, FIND = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.2.2.1"
SYNTAX = "1.2.840.10008.1.2.1"
USER = UserInformation(LIMITS.max_pdu, "1.2.3")
RQ = AssociateRq("CALLED", "CALLING", propose([(CT, [SYNTAX]), (FIND, [SYNTAX])]), USER)
RESULTS = choose(RQ.contexts, lambda _: [SYNTAX])
AC = AssociateAc("CALLED", "CALLING", RESULTS, USER)
ECHO = CEchoRq(1, "1.2.840.10008.1.1")


def value(context_id: int, control: int, data: bytes) -> bytes:
    return pack(">IBB", len(data) + 2, context_id, control) + data


def p_data(*values: bytes) -> bytes:
    body = b"".join(values)
    return PDU_HEADER.pack(P_DATA_TF, len(body)) + body


def established() -> tuple[Association, Association]:
    requestor, acceptor = Association.requestor(LIMITS), Association.acceptor(LIMITS)
    acceptor.receive(requestor.request(RQ))
    requestor.receive(acceptor.accept(RESULTS, USER))
    return requestor, acceptor

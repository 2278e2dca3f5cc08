"""What an association tells its user: the indications and confirmations of PS3.8 7, as values."""

from dataclasses import dataclass

from leadglass.dimse.message import Message
from leadglass.dimse.pdu import AssociateAc, AssociateRj, AssociateRq


@dataclass(frozen=True, slots=True)
class AssociationRequested:
    """Answer with `accept` or `reject`."""

    rq: AssociateRq


@dataclass(frozen=True, slots=True)
class AssociationAccepted:
    ac: AssociateAc


@dataclass(frozen=True, slots=True)
class AssociationRejected:
    """The association is over: close the connection."""

    rj: AssociateRj


@dataclass(frozen=True, slots=True)
class CommandReceived:
    context_id: int
    message: Message
    has_data_set: bool


@dataclass(frozen=True, slots=True)
class DataReceived:
    """A fragment of the data set of the last command. `data` is valid until the next `begin_pdu`; it may be empty."""

    context_id: int
    data: memoryview
    last: bool


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """Answer with `release_reply` (after a collision the acceptor does so only once `Released` came, PS3.8 AR-8)."""


@dataclass(frozen=True, slots=True)
class Released:
    """The peer has confirmed. Close the connection, unless a collision leaves a `release_reply` to send (Sta12)."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The association is over: close the connection. `source` and `reason` as in PS3.8 Table 9-26."""

    source: int
    reason: int


Event = (
    AssociationRequested
    | AssociationAccepted
    | AssociationRejected
    | CommandReceived
    | DataReceived
    | ReleaseRequested
    | Released
    | Aborted
)

"""One association over one connection, for both roles: the state machine of PS3.8 9.2, Table 9-10, without any input or
output. States, events and actions carry the standard's names.

A transport reads 6 bytes, asks `begin_pdu` how many follow, reads those into a buffer of its own and hands them to
`finish_pdu`; whatever the other methods return it sends. When either raises ProtocolError it sends `abort_for(error)`
and closes. Time-outs are the transport's: ARTIM runs while `artim_runs` (PS3.8 9.1.5).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from leadglass.dimse import pdata
from leadglass.dimse.assembly import MessageAssembler
from leadglass.dimse.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    Event,
    Released,
    ReleaseRequested,
)
from leadglass.dimse.items import ACCEPTANCE, ContextResult, ProposedContext, UserInformation
from leadglass.dimse.message import Message, encode_command
from leadglass.dimse.pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    P_DATA_TF,
    PDU_HEADER,
    PDU_HEADER_BYTES,
    RELEASE_RP,
    RELEASE_RQ,
    SERVICE_PROVIDER,
    SERVICE_USER,
    SHORT_BODY_BYTES,
    Abort,
    AssociateAc,
    AssociateRj,
    AssociateRq,
    Pdu,
    ReleaseRp,
    ReleaseRq,
    decode,
    encode,
)
from leadglass.dimse.values import INVALID_PARAMETER, UNEXPECTED_PDU, UNRECOGNISED_PDU
from leadglass.errors import ProtocolError, UsageError
from leadglass.model import AssociationLimits

# What we send at most in one P-DATA-TF PDU when the peer takes more or sets no limit (maximum length 0, PS3.8 D.1.1):
# with its header eight full records of TLS.
_LARGEST_SENT = 131_066
# A peer that takes less would have us send more headers than data.
_SMALLEST_SENT = 128


class State(Enum):
    """PS3.8 Tables 9-1 to 9-5."""

    STA1 = "idle"
    STA2 = "awaiting A-ASSOCIATE-RQ"
    STA3 = "awaiting our response to A-ASSOCIATE-RQ"
    STA4 = "connected, A-ASSOCIATE-RQ not yet sent"
    STA5 = "awaiting A-ASSOCIATE-AC or -RJ"
    STA6 = "established"
    STA7 = "awaiting A-RELEASE-RP"
    STA8 = "awaiting our A-RELEASE response"
    STA9 = "release collision, requestor: awaiting our A-RELEASE response"
    STA10 = "release collision, acceptor: awaiting A-RELEASE-RP"
    STA11 = "release collision, requestor: awaiting A-RELEASE-RP"
    STA12 = "release collision, acceptor: awaiting our A-RELEASE response"
    STA13 = "awaiting the connection's close"


# The PDUs that Table 9-10 provides for in each state; any other leads to A-ABORT (AA-1, AA-7 or AA-8).
_EXPECTED = {
    State.STA1: frozenset[int](),
    State.STA2: frozenset({ASSOCIATE_RQ, ABORT}),
    State.STA3: frozenset({ABORT}),
    State.STA4: frozenset[int](),
    State.STA5: frozenset({ASSOCIATE_AC, ASSOCIATE_RJ, ABORT}),
    State.STA6: frozenset({P_DATA_TF, RELEASE_RQ, ABORT}),
    State.STA7: frozenset({P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT}),
    State.STA8: frozenset({ABORT}),
    State.STA9: frozenset({ABORT}),
    State.STA10: frozenset({RELEASE_RP, ABORT}),
    State.STA11: frozenset({RELEASE_RP, ABORT}),
    State.STA12: frozenset({ABORT}),
    # All but ABORT are read and ignored (AA-6).
    State.STA13: frozenset({ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT}),
}


class AcceptedContext(NamedTuple):
    abstract_syntax: str
    transfer_syntax: str


class Association:
    """Made by `acceptor` or `requestor`. Methods that send raise UsageError in a state that does not allow them."""

    def __init__(self, limits: AssociationLimits, *, is_requestor: bool) -> None:
        self._limits = limits
        self._is_requestor = is_requestor
        self._contexts: dict[int, AcceptedContext] = {}
        self._assembler = MessageAssembler(self._contexts, limits)
        self._largest = {
            ASSOCIATE_RQ: limits.associate_pdu,
            ASSOCIATE_AC: limits.associate_pdu,
            ASSOCIATE_RJ: SHORT_BODY_BYTES,
            P_DATA_TF: limits.max_pdu,
            RELEASE_RQ: SHORT_BODY_BYTES,
            RELEASE_RP: SHORT_BODY_BYTES,
            ABORT: SHORT_BODY_BYTES,
        }
        self._rq: AssociateRq | None = None
        self._peer_max_length = 0
        self._pdu_type = 0
        self._received = bytearray()
        self._enter(State.STA4 if is_requestor else State.STA2)

    @classmethod
    def acceptor(cls, limits: AssociationLimits) -> "Association":
        """The side to which the connection was made (AE-5)."""
        return cls(limits, is_requestor=False)

    @classmethod
    def requestor(cls, limits: AssociationLimits) -> "Association":
        """The side that made the connection (AE-1)."""
        return cls(limits, is_requestor=True)

    @property
    def state(self) -> State:
        return self._state

    @property
    def contexts(self) -> Mapping[int, AcceptedContext]:
        """The accepted presentation contexts by identifier."""
        return self._contexts

    @property
    def peer_max_length(self) -> int:
        """Bytes after the header of the largest P-DATA-TF PDU that we send: the peer's maximum length, within ours."""
        return self._peer_max_length

    @property
    def artim_runs(self) -> bool:
        """Whether the peer has only ARTIM's time to do something (PS3.8 9.1.5)."""
        return self._state in (State.STA2, State.STA13)

    # Receiving

    def begin_pdu(self, header: bytes | bytearray | memoryview) -> int:
        """Takes the 6 bytes of a PDU header and returns how many follow, within the limits. Raises ProtocolError."""
        pdu_type, length = PDU_HEADER.unpack(header)
        if pdu_type not in self._expected:
            if pdu_type not in self._largest:
                raise ProtocolError(f"PDU type {pdu_type:02X}H does not exist", UNRECOGNISED_PDU)
            raise ProtocolError(f"PDU type {pdu_type:02X}H is unexpected: {self._state.value}", UNEXPECTED_PDU)
        if length > self._largest[pdu_type]:
            raise ProtocolError(f"a PDU of type {pdu_type:02X}H of {length} bytes is too long", INVALID_PARAMETER)
        self._pdu_type = pdu_type
        return int(length)

    def finish_pdu(self, body: memoryview) -> Sequence[Event]:
        """Takes the body that `begin_pdu` asked for. Fragments in the events are views of it. Raises ProtocolError."""
        if self._state is State.STA13 and self._pdu_type != ABORT:
            return ()
        if self._pdu_type == P_DATA_TF:
            add = self._assembler.add
            values = [add(context_id, control, data) for context_id, control, data in pdata.split(body)]
            return [event for event in values if event is not None]
        return (self._on_pdu(decode(self._pdu_type, body, self._limits)),)

    def receive(self, data: bytes) -> list[Event]:
        """Takes bytes as they come, any number of PDUs or part of one; never holds more than one PDU and `data`."""
        self._received += data
        events: list[Event] = []
        while len(self._received) >= PDU_HEADER_BYTES:
            end = PDU_HEADER_BYTES + self.begin_pdu(self._received[:PDU_HEADER_BYTES])
            if len(self._received) < end:
                break
            body = memoryview(bytes(self._received[PDU_HEADER_BYTES:end]))
            del self._received[:end]
            events += self.finish_pdu(body)
        return events

    def connection_closed(self) -> Sequence[Event]:
        """The transport's connection has closed or failed (event 17: AA-4, AA-5, AR-5)."""
        silent = self._state in (State.STA1, State.STA2, State.STA13)
        self._enter(State.STA1)
        return () if silent else (Aborted(SERVICE_PROVIDER, 0),)

    def _on_pdu(self, pdu: Pdu) -> Event:
        match pdu:
            case AssociateRq():
                self._set_peer_max_length(pdu.user)
                self._rq = pdu
                self._enter(State.STA3)  # AE-6
                return AssociationRequested(pdu)
            case AssociateAc():
                self._set_peer_max_length(pdu.user)
                self._take_results(pdu.results)
                self._enter(State.STA6)  # AE-3
                return AssociationAccepted(pdu)
            case AssociateRj():
                self._enter(State.STA1)  # AE-4
                return AssociationRejected(pdu)
            case Abort():
                self._enter(State.STA1)  # AA-2, AA-3
                return Aborted(pdu.source, pdu.reason)
            case ReleaseRq():
                return self._on_release_rq()
            case ReleaseRp():
                # AR-3; after a collision the acceptor still owes its own reply (AR-10).
                self._enter(State.STA12 if self._state is State.STA10 else State.STA1)
                return Released()

    def _on_release_rq(self) -> Event:
        if self._state is State.STA6:
            self._enter(State.STA8)  # AR-2
        else:
            self._enter(State.STA9 if self._is_requestor else State.STA10)  # AR-8, collision
        return ReleaseRequested()

    def _set_peer_max_length(self, user: UserInformation) -> None:
        declared = user.max_length or _LARGEST_SENT
        if declared < _SMALLEST_SENT:
            raise ProtocolError(f"a maximum length of {declared} is too small to use", INVALID_PARAMETER)
        self._peer_max_length = min(declared, _LARGEST_SENT)

    def _take_results(self, results: Iterable[ContextResult]) -> None:
        proposed: dict[int, ProposedContext] = {context.id: context for context in self._request().contexts}
        for result in results:
            context = proposed.get(result.id)
            if context is None:
                raise ProtocolError("the result of a presentation context never proposed", INVALID_PARAMETER)
            if result.result != ACCEPTANCE:
                continue
            if result.transfer_syntax not in context.transfer_syntaxes:
                raise ProtocolError("a transfer syntax accepted that was never proposed", INVALID_PARAMETER)
            self._contexts[result.id] = AcceptedContext(context.abstract_syntax, result.transfer_syntax)

    # Sending

    def request(self, rq: AssociateRq) -> bytes:
        """A-ASSOCIATE-RQ. `rq.user.max_length` must be the `max_pdu` of the limits."""
        self._require(State.STA4)
        self._require_own_max_length(rq.user)
        encoded = encode(rq)
        self._rq = rq
        self._enter(State.STA5)  # AE-2
        return encoded

    def accept(self, results: Sequence[ContextResult], user: UserInformation) -> bytes:
        """A-ASSOCIATE-AC. `user.max_length` must be the `max_pdu` of the limits."""
        self._require(State.STA3)
        self._require_own_max_length(user)
        rq = self._request()
        encoded = encode(AssociateAc(rq.called_ae, rq.calling_ae, tuple(results), user, rq.application_context))
        self._take_results(results)
        self._enter(State.STA6)  # AE-7
        return encoded

    def reject(self, result: int, source: int, reason: int) -> bytes:
        """A-ASSOCIATE-RJ, values as in PS3.8 Table 9-21."""
        self._require(State.STA3)
        self._enter(State.STA13)  # AE-8
        return encode(AssociateRj(result, source, reason))

    def command(self, context_id: int, message: Message, has_data_set: bool) -> bytes:
        """The command as one P-DATA-TF PDU, or several if the peer takes only small ones."""
        self._require_context(context_id)
        return pdata.fragment(context_id, pdata.COMMAND, encode_command(message, has_data_set), self._peer_max_length)

    def data(
        self, context_id: int, chunks: Iterable[bytes | bytearray | memoryview]
    ) -> Iterator[bytearray | memoryview]:
        """The data set as full P-DATA-TF PDUs. All share one buffer: send each before asking for the next."""
        self._require_context(context_id)
        return pdata.fragments(context_id, 0, chunks, self._peer_max_length)

    def reply(self, context_id: int, message: Message, data: bytes | None = None) -> bytes:
        """A command and its small data set, if any, to be sent in one write."""
        encoded = self.command(context_id, message, data is not None)
        if data is not None:
            encoded += pdata.fragment(context_id, 0, data, self._peer_max_length)
        return encoded

    def release(self) -> bytes:
        """A-RELEASE-RQ. Await `Released`; data may still come before it (AR-6)."""
        self._require(State.STA6)
        self._enter(State.STA7)  # AR-1
        return encode(ReleaseRq())

    def release_reply(self) -> bytes:
        """A-RELEASE-RP."""
        self._require(State.STA8, State.STA9, State.STA12)
        self._enter(State.STA11 if self._state is State.STA9 else State.STA13)  # AR-9, AR-4
        return encode(ReleaseRp())

    def abort(self, source: int = SERVICE_USER, reason: int = 0) -> bytes:
        """A-ABORT for a cause of our own (AA-1); empty when there is no association (AA-2). Send it and close."""
        if self._state in (State.STA1, State.STA4):
            return b""
        self._enter(State.STA13)
        return encode(Abort(source, reason))

    def abort_for(self, error: ProtocolError) -> bytes:
        """A-ABORT for what the peer sent: source service-provider and the error's reason (AA-7, AA-8), but
        service-user before an association was requested (AA-1)."""
        if self._state is State.STA2:
            return self.abort()
        return self.abort(SERVICE_PROVIDER, error.reason)

    def _enter(self, state: State) -> None:
        self._state = state
        self._expected = _EXPECTED[state]

    def _require(self, *states: State) -> None:
        if self._state not in states:
            raise UsageError(f"The association does not allow that now: {self._state.value}.")

    def _require_context(self, context_id: int) -> None:
        # DT-1, and AR-7 while a release waits for our response.
        self._require(State.STA6, State.STA8)
        if context_id not in self._contexts:
            raise UsageError(f"Presentation context {context_id} was not accepted.")

    def _require_own_max_length(self, user: UserInformation) -> None:
        if user.max_length != self._limits.max_pdu:
            raise UsageError("The maximum length to declare is the limit that is kept, max_pdu.")

    def _request(self) -> AssociateRq:
        if self._rq is None:
            raise UsageError("No association was requested.")
        return self._rq

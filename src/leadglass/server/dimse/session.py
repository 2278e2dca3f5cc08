"""One association from its first byte to its last, in a thread of its own."""

import ssl
import time
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from leadglass.archive.admission import AssociationRefused, Refusal, admit, narrowed, principal_of
from leadglass.archive.devices import Device
from leadglass.archive.holdings import Holdings
from leadglass.archive.refusals import RefusedPeer
from leadglass.archive.users import User
from leadglass.crypto.certificates import peer_fingerprint
from leadglass.dimse.association import Association
from leadglass.dimse.events import (
    Aborted,
    AssociationRequested,
    CommandReceived,
    DataReceived,
    Event,
    Released,
    ReleaseRequested,
)
from leadglass.dimse.message import CCancelRq, CEchoRq, CEchoRsp, CFindRq, CGetRq, CStoreRq
from leadglass.dimse.negotiation import rejection
from leadglass.dimse.pdu import AssociateRq
from leadglass.dimse.status import SUCCESS
from leadglass.errors import LeadglassError, ProtocolError
from leadglass.model import AccessEvent, AssociationLimits, Operation, Outcome, Principal
from leadglass.server.dimse.acceptance import OPERATIONS, Acceptance, accept
from leadglass.server.dimse.connection import Connection, ConnectionLost
from leadglass.server.dimse.exchange import Desk, Exchange
from leadglass.server.dimse.find import FindExchange
from leadglass.server.dimse.get import GetExchange
from leadglass.server.dimse.identity import Verified, claimed, people_of, verified
from leadglass.server.dimse.store import StoreExchange

log = structlog.get_logger("dimse")

#: A-ASSOCIATE-RJ for each refusal: result, source, reason (PS3.8 Table 9-21).
REJECTIONS = {
    Refusal.UNKNOWN_KEY: (1, 1, 1),
    Refusal.DISABLED: (1, 1, 1),
    Refusal.SUSPENDED: (2, 1, 1),
    Refusal.KEY_RETIRED: (1, 1, 1),
    Refusal.CERTIFICATE_EXPIRED: (1, 1, 1),
    Refusal.APPLICATION_CONTEXT: (1, 1, 2),
    Refusal.CALLING_AE: (1, 1, 3),
    Refusal.CALLED_AE: (1, 1, 7),
    Refusal.TOO_MANY: (2, 3, 2),
    Refusal.USER: (1, 1, 1),
    Refusal.PERSON: (1, 1, 1),
}


@dataclass(frozen=True, slots=True)
class DoorConfig:
    """Our AE title and the bounds on time (seconds) and number of associations. ARTIM: PS3.8 9.1.5."""

    ae_title: str = "LEADGLASS"
    artim_seconds: float = 20.0
    idle_seconds: float = 120.0
    send_seconds: float = 120.0
    drain_seconds: float = 10.0
    #: Receiving processes; 0 for one a processor, within reason.
    processes: int = 0
    associations: int = 512
    associations_per_device: int = 256
    strangers: int = 512
    strangers_per_source: int = 256
    limits: AssociationLimits = field(default_factory=AssociationLimits)


class House(Protocol):
    """What a session asks of those it belongs to."""

    def seat(self, session: "Session", device: str) -> None:
        """Count the session in. Raises AssociationRefused when there are too many."""

    @property
    def draining(self) -> bool: ...


class Session:
    """`device` is empty until the peer is admitted; `between_messages` is when it may be ended without harm. It ends
    when one of the users that it `rests_on` no longer stands (UserBook.stands)."""

    def __init__(self, archive: Holdings, config: DoorConfig, connection: Connection, house: House) -> None:
        self.connection = connection
        self.device = ""
        self.fingerprint = ""
        self.rests_on: tuple[User, ...] = ()
        self.between_messages = True
        self._archive = archive
        self._config = config
        self._house = house
        self._association = Association.acceptor(config.limits)
        self._calling = ""
        self._called = ""

    def run(self, context: ssl.SSLContext) -> None:
        """Handshake, admit, serve until the peer leaves. Whatever goes wrong is recorded and ends this session only."""
        try:
            self._handshake(context)
            self._converse()
        except ConnectionLost:
            if not self.device:
                self._refused(Refusal.TIMEOUT if self.connection.timed_out else Refusal.PROTOCOL)
        except AssociationRefused as refused:
            self._refused(refused.refusal, device=refused.device)
        except ProtocolError as error:
            self._refused(Refusal.PROTOCOL, device=self.device)
            log.warning("protocol error", peer=self.connection.peer, device=self.device, error=error.message)
            self._part(self._association.abort_for(error))
        except LeadglassError as error:
            log.error("association ended by an error", peer=self.connection.peer, error=error.message)
            self._part(self._association.abort())
        except Exception as error:  # noqa: BLE001 - it ends this association only, and its text may hold data
            log.error("association ended by a defect", peer=self.connection.peer, kind=type(error).__name__)
            self._part(self._association.abort())

    def _handshake(self, context: ssl.SSLContext) -> None:
        connection = self.connection
        connection.deadline = time.monotonic() + self._config.artim_seconds
        try:
            certificate = connection.handshake(context)
        except ssl.SSLError as error:
            # Cut by the watchdog, the handshake ends as if the peer had closed.
            raise AssociationRefused(Refusal.TIMEOUT if connection.timed_out else _tls_refusal(error)) from None
        self.fingerprint = peer_fingerprint(certificate)

    def _converse(self) -> None:
        # The whole negotiation has the time of one ARTIM, however the bytes drip in.
        left = self.connection.deadline - time.monotonic()
        event = self.connection.read_pdu(self._association, left)[0]
        if not isinstance(event, AssociationRequested):
            return
        try:
            acceptance, principal = self._admit(event.rq)
        except AssociationRefused as refused:
            self._reject(event.rq, refused)
            return
        self.connection.allow(self._config.limits.max_pdu)
        self._send(self._association.accept(acceptance.results, acceptance.user))
        desk = Desk(
            self._archive,
            principal,
            self._association,
            self.connection,
            acceptance,
            self._config.ae_title,
            self._config.idle_seconds,
            self._config.send_seconds,
        )
        self._serve(desk)

    def _admit(self, rq: AssociateRq) -> tuple[Acceptance, Principal]:
        """Raises AssociationRefused."""
        try:
            if rejection(rq) is not None:
                raise AssociationRefused(Refusal.APPLICATION_CONTEXT)
            device = admit(
                self._archive.devices,
                self.fingerprint,
                rq.calling_ae,
                rq.called_ae,
                self._config.ae_title,
                time.time_ns() // 1000,
            )
            self.device = device.name
            self._house.seat(self, device.name)
        except AssociationRefused:
            self.device = ""
            raise
        user = verified(self._archive, rq.user.user_identity, self.connection.peer, device.name)
        principal = principal_of(device, self.fingerprint, claimed(rq.user.user_identity))
        if user is not None:
            principal = narrowed(principal, user.principal)
        self._rest_on(device, user)
        acceptance = accept(rq, principal, self._config.limits.max_pdu, verified=user is not None)
        self._record(rq, principal, acceptance)
        return acceptance, principal

    def _rest_on(self, device: Device, user: Verified | None) -> None:
        """Raises AssociationRefused when somebody was disabled or reset since. A change after this cuts the session."""
        accounts = people_of(device, self._archive.people)
        self.rests_on = accounts if user is None or user.account is None else (*accounts, user.account)
        if not all(map(self._archive.people.stands, self.rests_on)):
            raise AssociationRefused(Refusal.USER, device.name)

    def _reject(self, rq: AssociateRq, refused: AssociationRefused) -> None:
        answer = rejection(rq)
        codes = REJECTIONS[refused.refusal] if answer is None else (answer.result, answer.source, answer.reason)
        self._calling, self._called = rq.calling_ae, rq.called_ae
        # First on record, since the peer may leave without the answer, or stay and not close for long.
        self._refused(refused.refusal, refused.device)
        self._part(self._association.reject(*codes))

    def _serve(self, desk: Desk) -> None:
        exchange: Exchange | None = None
        try:
            while True:
                self.between_messages = exchange is None
                if exchange is None and self._house.draining:
                    self._send(self._association.abort())
                    return
                for event in desk.read():
                    self.between_messages = False
                    exchange, over = self._on(desk, exchange, event)
                    if over:
                        return
        finally:
            if exchange is not None:
                exchange.give_up()

    def _on(self, desk: Desk, exchange: Exchange | None, event: Event) -> tuple[Exchange | None, bool]:
        """What one event leads to: the message under way now, and whether the association is over."""
        match event:
            case DataReceived():
                if exchange is None:
                    raise ProtocolError("a data set for a message that takes none", 6)
                return (None if exchange.take(event.data, event.last) else exchange), False
            case CommandReceived():
                return self._begin(desk, event), False
            case ReleaseRequested():
                self._part(self._association.release_reply())
                return exchange, True
            case Released() | Aborted():
                return exchange, True
            case _:
                raise ProtocolError("an event out of place", 2)

    def _begin(self, desk: Desk, event: CommandReceived) -> Exchange | None:
        message, context_id = event.message, event.context_id
        # A context stands for one SOP class, and so for one kind of message (PS3.8 7.1.1.13, PS3.4).
        agreed = OPERATIONS.get(self._association.contexts[context_id].abstract_syntax, Operation.STORE)
        match message:
            case CStoreRq() if event.has_data_set and agreed is Operation.STORE:
                return StoreExchange(desk, context_id, message)
            case CFindRq() if event.has_data_set and agreed is Operation.QUERY:
                return FindExchange(desk, context_id, message)
            case CGetRq() if event.has_data_set and agreed is Operation.RETRIEVE:
                return GetExchange(desk, context_id, message)
            case CEchoRq() if not event.has_data_set and agreed is Operation.ECHO:
                self._send(
                    self._association.reply(context_id, CEchoRsp(message.message_id, SUCCESS, message.sop_class))
                )
                return None
            case CCancelRq():
                return None  # of an operation that is over already (PS3.7 9.3.2.3)
            case _:
                raise ProtocolError("a message that this service does not take", 6)

    def _send(self, data: bytes) -> None:
        self.connection.send(data, self._config.send_seconds)

    def _part(self, last: bytes) -> None:
        """Send our last PDU; then the peer closes, within ARTIM (Sta13, PS3.8 9.2.3): our closing could overtake it."""
        try:
            self._send(last)
        except ConnectionLost:
            return  # it has left without waiting for the answer
        self.connection.drain(self._config.artim_seconds)

    def _refused(self, refusal: Refusal, device: str = "") -> None:
        log.warning("association refused", peer=self.connection.peer, reason=refusal.value, device=device)
        self._archive.refuse(
            RefusedPeer(refusal, self.connection.peer, self._calling, self._called, self.fingerprint, device)
        )

    def _record(self, rq: AssociateRq, principal: Principal, acceptance: Acceptance) -> None:
        identity = rq.user.user_identity
        detail = {
            "calling": rq.calling_ae,
            "implementation": rq.user.implementation_class_uid,
            "user_identity": identity.type if identity else 0,
            "claimed": "" if principal.only is not None else claimed(identity),
            "denied": sorted(acceptance.denied),
        }
        self._archive.committer.note(
            AccessEvent(
                action="association",
                outcome=Outcome.DONE,
                principal=principal.label,
                credential=principal.credential,
                person=principal.person,
                peer=self.connection.peer,
                detail={key: value for key, value in detail.items() if value not in ("", [])},
            )
        )


def _tls_refusal(error: ssl.SSLError) -> Refusal:
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return Refusal.NO_CERTIFICATE
    if isinstance(error, ssl.SSLCertVerificationError) or error.reason == "CERTIFICATE_VERIFY_FAILED":
        return Refusal.CERTIFICATE_EXPIRED if "expired" in str(error) else Refusal.UNTRUSTED
    return Refusal.TLS

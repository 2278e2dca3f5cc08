"""Knocking at a DICOM door: as whom, for what, and what the answers tell (PS3.8 9.3, PS3.7 D.3.3)."""

import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from leadglass.assess.observation import Endpoint, Exchange, Fact, Observation, ObservationKind
from leadglass.assess.probes.dimse_line import LIMITS, Line
from leadglass.assess.probes.dimse_product import DEFAULT_TITLES
from leadglass.assess.probes.tokens import implementation_class, implementation_version
from leadglass.assess.reach import Reach
from leadglass.dicom.uids import (
    EXPLICIT_LE,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_LE,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STORAGE_SOP_CLASSES,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
)
from leadglass.dimse.connection import AssociationAborted, AssociationRefused
from leadglass.dimse.items import ProposedContext, RoleSelection, UserIdentity, UserInformation
from leadglass.dimse.negotiation import propose
from leadglass.dimse.pdu import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    BY_PROVIDER_ACSE,
    BY_PROVIDER_PRESENTATION,
    BY_USER,
    CALLED_AE_NOT_RECOGNISED,
    CALLING_AE_NOT_RECOGNISED,
    NO_REASON_GIVEN,
    AssociateAc,
    AssociateRj,
    AssociateRq,
)
from leadglass.errors import NotAvailable, ProtocolError

#: Nobody's titles: whoever accepts them checks none.
NOBODY: Final = "LG-NOBODY-HERE"
STRANGER: Final = "LG-STRANGER"
#: A SOP class under our own root that does not exist.
NO_SUCH_CLASS: Final = f"{IMPLEMENTATION_CLASS_UID}.0.1"
SYNTAXES: Final = (EXPLICIT_LE, IMPLICIT_LE)

#: Asked for to see whether a stranger may store: what most archives of images take.
PROBED_STORAGE: Final = tuple(
    uid
    for uid in (
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
        "1.2.840.10008.5.1.4.1.1.2",  # CT
        "1.2.840.10008.5.1.4.1.1.4",  # MR
        "1.2.840.10008.5.1.4.1.1.1",  # CR
        "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
        "1.2.840.10008.5.1.4.1.1.1.2",  # Mammography, for presentation
        "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound
        "1.2.840.10008.5.1.4.1.1.12.1",  # X-Ray Angiography
        "1.2.840.10008.5.1.4.1.1.20",  # Nuclear Medicine
        "1.2.840.10008.5.1.4.1.1.128",  # PET
        "1.2.840.10008.5.1.4.1.1.481.3",  # RT Structure Set
        "1.2.840.10008.5.1.4.1.1.88.11",  # Basic Text SR
        "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
    )
    if uid in STORAGE_SOP_CLASSES
)
QUERIES: Final = (STUDY_ROOT_FIND, PATIENT_ROOT_FIND)
RETRIEVALS: Final = (STUDY_ROOT_GET, PATIENT_ROOT_GET)
MOVES: Final = (STUDY_ROOT_MOVE, PATIENT_ROOT_MOVE)
EVERYTHING: Final = propose(
    (uid, SYNTAXES) for uid in (VERIFICATION, *QUERIES, *RETRIEVALS, *MOVES, *PROBED_STORAGE, NO_SUCH_CLASS)
)


@dataclass(frozen=True, slots=True)
class Way:
    """How to go up to a door. `tls` as in the observations: `none`, `anonymous`, `stranger`."""

    reach: Reach
    endpoint: Endpoint
    tls: str = "none"
    context: ssl.SSLContext | None = None
    called: str = NOBODY
    calling: str = STRANGER
    patience: float = 6.0
    #: Seconds that an archive may take for the first answer to a query.
    query_patience: float = 60.0

    def open(self) -> Line:
        return Line.open(self.reach, self.endpoint, self.patience, self.context)

    def facts(self, **more: Fact) -> dict[str, Fact]:
        return {"tls": self.tls, **more}

    def request(
        self,
        contexts: tuple[ProposedContext, ...] = EVERYTHING,
        roles: tuple[RoleSelection, ...] = (),
        identity: UserIdentity | None = None,
    ) -> AssociateRq:
        user = UserInformation(
            LIMITS.max_pdu,
            IMPLEMENTATION_CLASS_UID,
            IMPLEMENTATION_VERSION_NAME,
            roles=roles,
            user_identity=identity,
        )
        return AssociateRq(self.called, self.calling, contexts, user)

    def titled(self, called: str, calling: str) -> "Way":
        return replace(self, called=called, calling=calling)


@dataclass(frozen=True, slots=True)
class Refusal:
    way: Way
    rj: AssociateRj
    exchange: Exchange

    def observation(self) -> Observation:
        rj = self.rj
        facts = self.way.facts(
            called_ae=self.way.called,
            calling_ae=self.way.calling,
            result=rj.result,
            source=rj.source,
            reason=rj.reason,
            meaning=meaning_of(rj),
        )
        return Observation(ObservationKind.DIMSE_REJECTED, facts, (self.exchange,))


@dataclass(frozen=True, slots=True)
class Admission:
    """An association that was accepted; `line` is open. `refusals` came before, under other titles."""

    way: Way
    line: Line
    ac: AssociateAc
    exchange: Exchange
    refusals: tuple[Refusal, ...]

    def observation(self) -> Observation:
        reasons = {(refusal.rj.source, refusal.rj.reason) for refusal in self.refusals}
        facts = self.way.facts(
            called_ae=self.way.called,
            calling_ae=self.way.calling,
            called_ae_checked=self.way.called != NOBODY,
            calling_ae_checked=(BY_USER, CALLING_AE_NOT_RECOGNISED) in reasons,
            implementation_class_uid=implementation_class(self.ac.user.implementation_class_uid),
            implementation_version=implementation_version(self.ac.user.implementation_version),
        )
        return Observation(ObservationKind.DIMSE_ACCEPTED, facts, (self.exchange,))


class NotDicom(NotAvailable):
    """What answers is no DICOM. `first`: what it said first, up to 16 bytes."""

    def __init__(self, first: bytes) -> None:
        super().__init__("What answers does not speak DICOM.")
        self.first = first


def knock(way: Way) -> Admission | tuple[Refusal, ...]:
    """Tries titles until one is let in, or none is left.

    NotDicom if the first knock is not answered by one of DICOM's PDUs, NotAvailable if nobody is there. Later knocks
    that come to nothing only end the trying.
    """
    refusals: list[Refusal] = []
    for tried in _titles(way, refusals):
        try:
            line = tried.open()
        except NotAvailable:
            if not refusals:
                raise
            break
        outcome = _associate(tried, line, refusals)
        if outcome is not None:
            return outcome
        if refusals and refusals[-1].way is not tried:
            break
    return tuple(refusals)


def _associate(way: Way, line: Line, refusals: list[Refusal]) -> Admission | None:
    try:
        ac = line.associate(way.request())
    except AssociationRefused as error:
        refusals.append(Refusal(way, error.rj, line.exchange("A-ASSOCIATE-RQ, rejected")))
        line.close()
    except (NotAvailable, ProtocolError) as error:
        if not refusals:
            raise NotDicom(line.first_bytes) from error
    else:
        return Admission(way, line, ac, line.exchange("A-ASSOCIATE-RQ, accepted"), tuple(refusals))
    return None


def _titles(way: Way, refusals: list[Refusal]) -> Iterator[Way]:
    """What the last refusal makes worth trying: another called title, or a calling one. Titles that products come with
    and that peers expect are all that is tried: they are on leaflets, and no secret is guessed."""
    yield way
    if not _is_about_titles(refusals[-1].rj):
        return
    for called in DEFAULT_TITLES:
        if _is_calling(refusals[-1].rj):
            break
        yield way.titled(called, way.calling)
    if _is_calling(refusals[-1].rj):
        called = refusals[-1].way.called
        for calling in dict.fromkeys((called if called != NOBODY else "PACS", *_CALLING)):
            yield way.titled(called, calling)


_CALLING: Final = ("ECHOSCU", "FINDSCU", "ORTHANC", "WORKSTATION")


def _is_calling(rj: AssociateRj) -> bool:
    return (rj.source, rj.reason) == (BY_USER, CALLING_AE_NOT_RECOGNISED)


def _is_about_titles(rj: AssociateRj) -> bool:
    return rj.source == BY_USER and rj.reason in (
        NO_REASON_GIVEN,
        CALLED_AE_NOT_RECOGNISED,
        CALLING_AE_NOT_RECOGNISED,
    )


def meaning_of(rj: AssociateRj) -> str:
    """A rejection's reason in words (PS3.8 Table 9-21)."""
    words = {
        (BY_USER, NO_REASON_GIVEN): "no reason given",
        (BY_USER, APPLICATION_CONTEXT_NOT_SUPPORTED): "application context name not supported",
        (BY_USER, CALLING_AE_NOT_RECOGNISED): "calling AE title not recognised",
        (BY_USER, CALLED_AE_NOT_RECOGNISED): "called AE title not recognised",
        (BY_PROVIDER_ACSE, 1): "no reason given by the service provider",
        (BY_PROVIDER_ACSE, 2): "protocol version not supported",
        (BY_PROVIDER_PRESENTATION, 1): "temporary congestion",
        (BY_PROVIDER_PRESENTATION, 2): "local limit exceeded",
    }
    return words.get((rj.source, rj.reason), "a reason that PS3.8 does not have")


def user_identity(way: Way) -> Observation | None:
    """A user who does not exist, with a passcode, where nobody was let in already (PS3.7 D.3.3.7): whether the peer
    looks at it. None when the peer does not get as far as to tell."""
    stranger = UserIdentity(2, True, b"lg-nobody", b"lg-no-passcode")
    with way.open() as line:
        try:
            ac = line.associate(way.request(contexts=EVERYTHING[:1], identity=stranger))
        except AssociationRefused:
            outcome = "refused"
        except AssociationAborted:
            return None
        else:
            outcome = "ignored" if ac.user.user_identity_response is None else "confirmed"
        exchange = line.exchange("A-ASSOCIATE-RQ with a user who does not exist")
        if outcome != "refused":
            line.release()
    return Observation(ObservationKind.USER_IDENTITY, way.facts(outcome=outcome), (exchange,))


def storage_names(sop_classes: Iterable[str]) -> tuple[str, ...]:
    return tuple(STORAGE_SOP_CLASSES[uid] for uid in sop_classes if uid in STORAGE_SOP_CLASSES)

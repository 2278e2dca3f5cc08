"""One DICOM door, from the first knock to the last sample: what a stranger gets there."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from leadglass.assess.counting.census import Census
from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.observation import Observation, ObservationKind, ServiceResult
from leadglass.assess.probes.dimse_asking import Asking
from leadglass.assess.probes.dimse_count import Listing, count_studies
from leadglass.assess.probes.dimse_images import count_below, prove, retrieval_of
from leadglass.assess.probes.dimse_knock import (
    MOVES,
    NO_SUCH_CLASS,
    PROBED_STORAGE,
    QUERIES,
    RETRIEVALS,
    Admission,
    Refusal,
    Way,
    knock,
    storage_names,
    user_identity,
)
from leadglass.assess.probes.dimse_product import TAKES_ANYTHING, decoy_signs, product_of
from leadglass.assess.probes.dimse_write import SECONDARY_CAPTURE, no_such_study, write_test
from leadglass.assess.probes.failure import why
from leadglass.assess.probes.tokens import HIDDEN, implementation_version
from leadglass.dicom.uids import VERIFICATION
from leadglass.dimse.connection import AssociationRefused
from leadglass.dimse.status import describe, is_pending
from leadglass.errors import DataSetError, NotAvailable, ProtocolError

_T = TypeVar("_T")


class DimseProbe:
    """`census`: what was counted at this door, once `run` is through. `allow_writing`: as the scope says."""

    def __init__(self, way: Way, fingerprints: Fingerprints, *, allow_writing: bool) -> None:
        self._way = way
        self._fingerprints = fingerprints
        self._allow_writing = allow_writing
        self._observations: list[Observation] = []
        self._unknowns: list[str] = []
        self._product = ""
        self.census = Census(fingerprints)

    def run(self) -> ServiceResult:
        """NotDicom if what answers is no DICOM, NotAvailable if nobody does. Whatever goes wrong once the door has
        spoken DICOM is told among the unknowns."""
        outcome = knock(self._way)
        if isinstance(outcome, Admission):
            self._on_admission(outcome)
        else:
            self._observations += (refusal.observation() for refusal in _telling(outcome))
        return ServiceResult(
            self._way.endpoint,
            "dicom" if self._way.context is None else "dicom-tls",
            self._product,
            self.census.counters(),
            self.census.oldest,
            self.census.newest,
            self.census.identifiers,
            tuple(self._observations),
            tuple(dict.fromkeys(self._unknowns)),
        )

    def _on_admission(self, admission: Admission) -> None:
        user = admission.ac.user
        self._way = admission.way
        version = implementation_version(user.implementation_version)
        self._product = product_of(user.implementation_class_uid, version if version != HIDDEN else "")
        self._observations += (refusal.observation() for refusal in _telling(admission.refusals))
        self._observations.append(admission.observation())
        accepted = {context.abstract_syntax for context in admission.line.contexts.values()}
        self._note_offers(admission, accepted)
        self._attempt("C-ECHO", lambda: self._echo(admission))
        retrievable = bool(accepted & set(RETRIEVALS))
        self.census = Census(self._fingerprints, retrievable=retrievable)
        answers_nonsense = self._query(admission, accepted)
        self._attempt("user identity", self._user_identity)
        if self._allow_writing and SECONDARY_CAPTURE in accepted:
            self._attempt("the write test", self._write)
        signs = tuple(
            decoy_signs(
                user.implementation_class_uid,
                takes_anything=NO_SUCH_CLASS in accepted,
                answers_nonsense=answers_nonsense,
            )
        )
        if set(signs) - {TAKES_ANYTHING}:
            self.census.doubt()
        if signs:
            self._see(ObservationKind.HONEYPOT, admission, signs=signs)

    def _note_offers(self, admission: Admission, accepted: set[str]) -> None:
        storage = storage_names(uid for uid in PROBED_STORAGE if uid in accepted)
        if storage:
            self._see(ObservationKind.DIMSE_STORE_INDICATED, admission, sop_classes=storage)
        if accepted & set(MOVES):
            self._see(ObservationKind.DIMSE_MOVE_INDICATED, admission)

    def _see(self, kind: ObservationKind, admission: Admission, **facts: tuple[str, ...]) -> None:
        """Something that the negotiation showed."""
        self._observations.append(Observation(kind, self._way.facts(**facts), (admission.exchange,)))

    def _echo(self, admission: Admission) -> None:
        context_id = admission.line.accepts(VERIFICATION)
        if context_id is not None:
            status = describe(admission.line.echo(context_id))
            exchange = admission.line.exchange("C-ECHO")
            self._observations.append(
                Observation(ObservationKind.DIMSE_ECHO, self._way.facts(status=status), (exchange,))
            )

    def _query(self, admission: Admission, accepted: set[str]) -> bool:
        """Whether it has matches for what cannot exist."""
        model = next((uid for uid in QUERIES if uid in accepted), None)
        if model is None:
            admission.line.release()
            return False
        asking = Asking(self._way, admission.line, model, self.census)
        listing = count_studies(asking)
        self._unknowns += listing.unknowns
        self._note_listing(asking, listing)
        if not listing.answered:
            asking.release()
            return False
        cap = listing.answers if listing.capped and listing.answers else None
        self._attempt("counting below the studies", lambda: count_below(asking, cap))
        nonsense = self._attempt("a query for what does not exist", lambda: _answers_nonsense(asking)) or False
        retrieval = retrieval_of(model)
        if retrieval in accepted:
            self._attempt("retrieval", lambda: self._prove(asking, retrieval, cap))
        asking.release()
        return nonsense

    def _note_listing(self, asking: Asking, listing: Listing) -> None:
        exchanges = (asking.exchange,) if asking.exchange is not None else ()
        if listing.answered:
            facts = self._way.facts(
                model=asking.sop_class,
                answers=max(listing.answers, asking.census.studies),
                capped=listing.capped,
                split=listing.split,
            )
            self._observations.append(Observation(ObservationKind.DIMSE_QUERY, facts, exchanges))
        elif listing.status is None and not listing.ended:
            self._unknowns.append("a query was not answered in time, or by nothing that can be read")
        else:
            # Orthanc refuses by ending the association.
            status = "association ended" if listing.status is None else describe(listing.status)
            facts = self._way.facts(status=status)
            self._observations.append(Observation(ObservationKind.DIMSE_QUERY_REFUSED, facts, exchanges))

    def _prove(self, asking: Asking, retrieval: str, cap: int | None) -> None:
        observation, unknowns = prove(asking, retrieval, cap)
        self._unknowns += unknowns
        if observation.exchanges:
            self._observations.append(observation)

    def _user_identity(self) -> None:
        observation = user_identity(self._way)
        if observation is not None:
            self._observations.append(observation)

    def _write(self) -> None:
        observation = write_test(self._way)
        if observation is not None:
            self._observations.append(observation)

    def _attempt(self, what: str, act: Callable[[], _T]) -> _T | None:
        """A step after which the others still make sense, however it ends."""
        try:
            return act()
        except (NotAvailable, AssociationRefused, ProtocolError, DataSetError) as error:
            self._unknowns.append(f"{what} came to nothing: {why(error)}")
            return None


def _telling(refusals: tuple[Refusal, ...]) -> Iterator[Refusal]:
    """One for each reason: twenty titles that are refused alike say it once."""
    seen = set()
    for refusal in refusals:
        if refusal.rj not in seen:
            seen.add(refusal.rj)
            yield refusal


def _answers_nonsense(asking: Asking) -> bool:
    for status, _ in asking.below("STUDY", no_such_study()):
        if is_pending(status):
            asking.drop()
            return True
    return False

"""Queries over one association after the other: as many as it takes, and none of them for ever."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from leadglass.assess.counting.census import Census, StudyAnswer, parse_date
from leadglass.assess.counting.reservoir import Reservoir
from leadglass.assess.observation import Exchange
from leadglass.assess.probes.dimse_answer import MANY, StudyReader, encode_keys
from leadglass.assess.probes.dimse_knock import SYNTAXES, Way
from leadglass.assess.probes.dimse_line import HungUp, Line
from leadglass.assess.probes.dimse_write import is_ours
from leadglass.dicom import tags
from leadglass.dicom.uids import TRANSFER_SYNTAXES, TransferSyntax
from leadglass.dimse.connection import AssociationAborted
from leadglass.dimse.items import ProposedContext
from leadglass.dimse.negotiation import propose
from leadglass.dimse.status import SUCCESS, is_pending
from leadglass.errors import DataSetError, NotAuthorised, NotAvailable, ProtocolError
from leadglass.model import Attributes

SAMPLE: Final = 5
#: Studies without counts whose series and images are counted one by one.
MOST_BELOW: Final = 500
#: An answer that says again what was said, or that nobody can read, is passed over so often and no more.
_MOST_USELESS: Final = 20_000
#: Some archives answer once for each image of a study.
_USELESS_FOR_EACH: Final = 20
#: How much may still come after a C-CANCEL before the association is aborted.
_AFTER_CANCEL: Final = 10_000
_AFTER_CANCEL_SECONDS: Final = 10.0

Answer = tuple[int, bytes]


@dataclass(slots=True)
class Asked:
    """One query at study level. `status`: None when the association broke off, by the peer's own doing if `ended`.
    `fresh`: studies not seen before."""

    status: int | None = None
    ended: bool = False
    answers: int = 0
    fresh: int = 0
    useless: int = 0
    outside: int = 0
    stopped: bool = False

    @property
    def complete(self) -> bool:
        return self.status == SUCCESS and not self.stopped


class Sampled(NamedTuple):
    """A study that was drawn, and how many images were advertised for it. In memory only, and only for this run."""

    study: str
    images: int | None

    def __repr__(self) -> str:
        return "Sampled(***)"


class Asking:
    """`census` takes in every study; `sample` holds some, drawn at random as they go by, for a closer look."""

    def __init__(self, way: Way, line: Line, sop_class: str, census: Census) -> None:
        self.census = census
        self.way = way
        self.sop_class = sop_class
        self.keys = MANY
        self.days: Counter[str] = Counter()
        self.undated = 0
        self.malformed = 0
        self.sample: Reservoir[Sampled] = Reservoir(SAMPLE)
        self.without_counts: list[str] = []
        self.exchange: Exchange | None = None
        self._line: Line | None = line

    def studies(self, restriction: Attributes, within: Callable[[str], bool] | None = None) -> Asked:
        """Asks for the studies that `restriction` matches; `within` tells whether a study date should be among them."""
        asked = Asked()
        keys = {**self.keys, **restriction}
        try:
            line, context_id, syntax = self.line()
            line.exchange("")
            reader = StudyReader(syntax)
            for status, data in line.find(context_id, encode_keys("STUDY", keys, syntax)):
                if not is_pending(status):
                    asked.status = status
                elif not asked.stopped:
                    self._take(asked, data, reader, within)
                    if asked.useless > _MOST_USELESS + _USELESS_FOR_EACH * asked.fresh:
                        asked.stopped = True
                        self.cancel(line, context_id)
                        break
            if self.exchange is None:
                self.exchange = line.exchange("C-FIND at study level")
        except (NotAvailable, NotAuthorised, ProtocolError) as error:
            asked.ended = isinstance(error, AssociationAborted | HungUp)
            if self._line is not None and not asked.answers:
                self.exchange = self._line.exchange("C-FIND at study level, not answered")
            self.drop()
        return asked

    def below(self, level: str, keys: Attributes) -> Iterator[Answer]:
        """Answers at series or image level, the final status last. Raises what `Line` raises."""
        line, context_id, syntax = self.line()
        yield from line.find(context_id, encode_keys(level, keys, syntax))

    def line(self) -> tuple[Line, int, TransferSyntax]:
        """The association under way, or a new one, with what was accepted for the query."""
        if self._line is None or self._line.over:
            self._line = self.way.open()
            self._line.associate(self.way.request(self._contexts()))
        self._line.patience = self.way.query_patience
        context_id = self._line.accepts(self.sop_class)
        if context_id is None:
            raise NotAvailable("The peer accepts queries no more.")
        return self._line, context_id, TRANSFER_SYNTAXES[self._line.contexts[context_id].transfer_syntax]

    def cancel(self, line: Line, context_id: int) -> None:
        """C-CANCEL; what is on its way still comes (PS3.4 C.4.1.2.1). A peer that goes on is hung up on."""
        line.cancel(context_id)
        until = time.monotonic() + _AFTER_CANCEL_SECONDS
        for number, status in enumerate(line.rest()):
            if not is_pending(status):
                return
            if number >= _AFTER_CANCEL or time.monotonic() > until:
                break
        self.drop()

    def drop(self) -> None:
        if self._line is not None:
            self._line.abort()
            self._line = None

    def release(self) -> None:
        if self._line is not None:
            self._line.release()
            self._line = None

    def _contexts(self) -> tuple[ProposedContext, ...]:
        return propose(((self.sop_class, SYNTAXES),))

    def _take(self, asked: Asked, data: bytes, reader: StudyReader, within: Callable[[str], bool] | None) -> None:
        asked.answers += 1
        try:
            answer = reader.read(data)
        except DataSetError:
            self.malformed += 1
            asked.useless += 1
            return
        if is_ours(answer.study):
            return
        if within is not None and not within(answer.study_date):
            asked.outside += 1
        if not self.census.add(answer):
            asked.useless += 1
            return
        asked.fresh += 1
        self._note(answer)

    def _note(self, answer: StudyAnswer) -> None:
        if parse_date(answer.study_date) is None:
            self.undated += 1
        else:
            self.days[answer.study_date] += 1
        if answer.images is None and len(self.without_counts) < MOST_BELOW:
            self.without_counts.append(answer.study)
        self.sample.offer(Sampled(answer.study, answer.images))


def study_key(study: str) -> Attributes:
    return {tags.STUDY_INSTANCE_UID: study}

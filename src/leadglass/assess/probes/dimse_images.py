"""Below the study level: counting where a study does not say how many images it has, and proving that some can be had.

Proof is the C-STORE request that a C-GET brings: the data set after it is not read, and the association is aborted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from secrets import SystemRandom
from typing import Final

from leadglass.assess.observation import Exchange, Observation, ObservationKind
from leadglass.assess.probes.dimse_answer import encode_keys, read_below
from leadglass.assess.probes.dimse_asking import Asking, Sampled, study_key
from leadglass.assess.probes.dimse_knock import SYNTAXES, Way
from leadglass.assess.probes.failure import why
from leadglass.dicom import tags
from leadglass.dicom.uids import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    STORAGE_SOP_CLASSES,
    STUDY_ROOT_GET,
    TRANSFER_SYNTAXES,
)
from leadglass.dimse.connection import AssociationRefused
from leadglass.dimse.items import RoleSelection
from leadglass.dimse.message import CStoreRq
from leadglass.dimse.negotiation import propose
from leadglass.dimse.status import SUCCESS, is_pending
from leadglass.errors import DataSetError, NotAvailable, ProtocolError
from leadglass.model import Attributes

OTHER_NUMBERS: Final = "studies were found to hold other numbers of images than advertised"
_MOST_SERIES: Final = 1000
_MOST_IMAGES: Final = 20_000
#: Some archives answer once for each image, at whatever level they are asked.
_MOST_USELESS: Final = 5_000
#: In which an archive may send: the uncompressed ones, and what is usually stored.
_SENT_SYNTAXES: Final = (
    EXPLICIT_LE,
    IMPLICIT_LE,
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
)
#: Proposed when it is not known what a study holds: identifiers have room for 127 beside the query's.
_ANY_CLASSES: Final = tuple(sorted(STORAGE_SOP_CLASSES, key=len))[:120]


@dataclass(frozen=True, slots=True)
class _Image:
    series: str
    instance: str
    sop_class: str


@dataclass(slots=True)
class _Contents:
    """What a study was found to hold. `drawn`: one of its images at random; `whole`: nothing was left out."""

    series: int = 0
    images: int = 0
    drawn: _Image | None = None
    whole: bool = True


def count_below(asking: Asking, cap: int | None) -> None:
    """Series and images of the studies that did not say. `cap`: answers at which a query must be taken as capped."""
    for study in asking.without_counts:
        contents = _look_into(asking, study, cap)
        if contents is None or not contents.whole:
            asking.census.miss_images()
        if contents is None:
            return
        asking.census.count_more(study, contents.series, contents.images)


def prove(asking: Asking, model: str, cap: int | None) -> tuple[Observation, tuple[str, ...]]:
    """Tries to retrieve one image of each study that was drawn; `model` is the SOP class of the C-GET accepted."""
    proven = 0
    exchanges: tuple[Exchange, ...] = ()
    unknowns: list[str] = []
    for sampled in asking.sample.drawn:
        contents = _look_into(asking, sampled.study, cap)
        if contents is not None and _is_lie(sampled, contents):
            asking.census.doubt_images()
            unknowns.append(OTHER_NUMBERS)
        asking.release()
        try:
            arrived, exchange = _retrieve(asking.way, model, sampled.study, contents.drawn if contents else None)
        except (NotAvailable, AssociationRefused, ProtocolError) as error:
            unknowns.append(f"a retrieval came to nothing: {why(error)}")
            continue
        exchanges = exchanges or (exchange,)
        if arrived is not None:
            exchanges = exchanges if proven else (exchange,)
            proven += 1
            asking.census.prove(arrived.sop_instance)
    facts = asking.way.facts(proposed=model, proven=proven, tried=len(asking.sample.drawn))
    return Observation(ObservationKind.DIMSE_RETRIEVE, facts, exchanges), tuple(dict.fromkeys(unknowns))


def _is_lie(sampled: Sampled, contents: _Contents) -> bool:
    return contents.whole and sampled.images is not None and sampled.images != contents.images


def _look_into(asking: Asking, study: str, cap: int | None) -> _Contents | None:
    """None when the peer does not answer below the study level."""
    contents = _Contents()
    seen = 0
    try:
        series = list(_series_of(asking, study))
        contents.series = len(series)
        contents.whole = not _may_be_capped(len(series), cap, _MOST_SERIES)
        for uid in series:
            images = 0
            for image in _images_of(asking, study, uid):
                images += 1
                seen += 1
                if SystemRandom().randrange(seen) == 0:
                    contents.drawn = image
            contents.images += images
            contents.whole &= not _may_be_capped(images, cap, _MOST_IMAGES)
    except (NotAvailable, AssociationRefused, ProtocolError, DataSetError):
        asking.drop()
        return None
    return contents


def _may_be_capped(answers: int, cap: int | None, most: int) -> bool:
    return answers >= most or (cap is not None and answers >= cap)


def _series_of(asking: Asking, study: str) -> Iterator[str]:
    keys = {**study_key(study), tags.SERIES_INSTANCE_UID: ""}
    for texts in _answers(asking, "SERIES", keys, tags.SERIES_INSTANCE_UID, _MOST_SERIES):
        yield texts[tags.SERIES_INSTANCE_UID]


def _images_of(asking: Asking, study: str, series: str) -> Iterator[_Image]:
    keys = {
        **study_key(study),
        tags.SERIES_INSTANCE_UID: series,
        tags.SOP_INSTANCE_UID: "",
        tags.SOP_CLASS_UID: "",
    }
    for texts in _answers(asking, "IMAGE", keys, tags.SOP_INSTANCE_UID, _MOST_IMAGES):
        yield _Image(series, texts[tags.SOP_INSTANCE_UID], texts.get(tags.SOP_CLASS_UID, ""))


def _answers(asking: Asking, level: str, keys: Attributes, unique: int, most: int) -> Iterator[Mapping[int, str]]:
    """At most so many, each with another value of `unique`; the rest is cancelled. NotAvailable when the peer refuses
    or repeats itself without end."""
    line, context_id, syntax = asking.line()
    seen: set[str] = set()
    useless = 0
    for status, data in line.find(context_id, encode_keys(level, keys, syntax)):
        if not is_pending(status):
            if status != SUCCESS:
                raise NotAvailable("The peer does not answer at this level.")
            return
        texts = read_below(data, syntax)
        uid = texts.get(unique, "")
        if not uid or uid in seen:
            useless += 1
            if useless > _MOST_USELESS:
                raise NotAvailable("The peer repeats itself.")
            continue
        seen.add(uid)
        yield texts
        if len(seen) == most:
            asking.cancel(line, context_id)
            return


def _retrieve(way: Way, model: str, study: str, image: _Image | None) -> tuple[CStoreRq | None, Exchange]:
    classes = (image.sop_class,) if image is not None and image.sop_class else _ANY_CLASSES
    syntaxes = _SENT_SYNTAXES if len(classes) == 1 else ()
    stored: list[tuple[str, tuple[str, ...]]] = [(uid, (syntax,)) for uid in classes for syntax in syntaxes]
    stored = stored or [(uid, SYNTAXES) for uid in classes]
    roles = tuple(RoleSelection(uid, scu=False, scp=True) for uid in classes)
    keys = study_key(study)
    level = "STUDY"
    if image is not None:
        keys = {**keys, tags.SERIES_INSTANCE_UID: image.series, tags.SOP_INSTANCE_UID: image.instance}
        level = "IMAGE"
    with way.open() as line:
        line.associate(way.request(propose([(model, SYNTAXES), *stored]), roles))
        line.patience = way.query_patience
        context_id = line.accepts(model)
        if context_id is None:
            raise NotAvailable("The peer accepts retrievals no more.")
        syntax = TRANSFER_SYNTAXES[line.contexts[context_id].transfer_syntax]
        answer = line.get(context_id, encode_keys(level, keys, syntax))
        exchange = line.exchange("C-GET of one image, up to the C-STORE request; then A-ABORT")
        line.abort()
    return answer if isinstance(answer, CStoreRq) else None, exchange


def retrieval_of(query: str) -> str:
    """The C-GET of the information model that a query belongs to."""
    return PATIENT_ROOT_GET if query == PATIENT_ROOT_FIND else STUDY_ROOT_GET

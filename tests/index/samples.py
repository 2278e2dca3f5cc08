"""An index filled with made-up studies, for tests."""

import hashlib
from collections.abc import Mapping

from leadglass.dicom import tags
from leadglass.index.attributes import instance_from, series_from, study_from
from leadglass.index.index import Index
from leadglass.index.rows import InstanceState, NewInstance
from leadglass.index.transaction import Transaction
from leadglass.model import LITERAL, Attributes, Level, Matching, Scope

KEY = bytes(range(32))
ARCHIVE_ID = b"sixteen bytes id"
EVERYWHERE = Scope(None)
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"


def add_study(tx: Transaction, uid: str, attributes: Mapping[int, str], *, site: str = "default") -> int:
    patient = tx.patient(attributes.get(tags.PATIENT_ID, ""), attributes.get(tags.ISSUER_OF_PATIENT_ID, ""))
    return tx.add_study(
        study_from(attributes),
        uid=uid,
        owner=tx.owner_study(uid) is None,
        patient_key=patient,
        site=site,
        wrapped_key=b"wrapped",
        log_salt=b"salt",
    )


def add_series(
    tx: Transaction,
    study: int,
    uid: str,
    attributes: Mapping[int, str],
    requests: tuple[Mapping[int, str], ...] = (),
) -> int:
    return tx.add_series(study, series_from(attributes), uid=uid, requests=requests)


def new_instance(
    series: int,
    uid: str,
    attributes: Mapping[int, str] | None = None,
    state: InstanceState = InstanceState.VISIBLE,
    sop_class: str = CT,
) -> NewInstance:
    digest = hashlib.sha256(uid.encode()).digest()
    return NewInstance(
        uid=uid,
        series_id=series,
        state=state,
        pack=1,
        offset=40,
        length=1000,
        object_id=digest[:16],
        plain_length=900,
        digest=digest,
        sop_class=sop_class,
        transfer_syntax=EXPLICIT_LE,
        **instance_from(attributes or {}),
    )


def add_simple(tx: Transaction, number: int, attributes: Mapping[int, str], *, site: str = "default") -> int:
    """A study `1.2.NUMBER` with one CT series and one image; its id."""
    study = add_study(tx, f"1.2.{number}", attributes, site=site)
    series = add_series(tx, study, f"1.2.{number}.1", {tags.MODALITY: "CT", **attributes})
    tx.add_instance(new_instance(series, f"1.2.{number}.1.1", attributes))
    return study


def found(
    index: Index, keys: Attributes, level: Level = Level.STUDY, scope: Scope = EVERYWHERE, matching: Matching = LITERAL
) -> list[str]:
    """The unique keys of what matches, sorted."""
    unique = {
        Level.PATIENT: tags.PATIENT_ID,
        Level.STUDY: tags.STUDY_INSTANCE_UID,
        Level.SERIES: tags.SERIES_INSTANCE_UID,
        Level.IMAGE: tags.SOP_INSTANCE_UID,
    }[level]
    answers = index.find(level, keys, scope, limit=None, matching=matching)
    return sorted(str(answer[unique]) for answer in answers)

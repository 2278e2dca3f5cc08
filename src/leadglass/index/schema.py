"""The tables, as docs/formats/index.md describes them. Migrations make them; a test holds the two equal."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    column,
    table,
    text,
)

#: 64 bits everywhere; SQLite's INTEGER is as wide as the value needs.
Wide = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()


def _table(name: str, *parts: Any, **options: Any) -> Table:
    return Table(name, metadata, *parts, sqlite_strict=True, **options)


def _texts(*names: str) -> list[Column[Any]]:
    return [Column(name, Text) for name in names]


archive = _table(
    "archive",
    Column("id", Integer, primary_key=True),
    Column("archive_id", LargeBinary, nullable=False),
    CheckConstraint("id = 1"),
)

term = _table(
    "term",
    Column("id", Integer, primary_key=True),
    Column("text", Text, nullable=False, unique=True),
)

patient = _table(
    "patient",
    Column("id", Wide, primary_key=True),
    Column("patient_id", Text, nullable=False),
    Column("issuer", Text, nullable=False),
)
Index("patient_identity", patient.c.patient_id, patient.c.issuer, unique=True, sqlite_where=text("patient_id <> ''"))

study = _table(
    "study",
    Column("id", Wide, primary_key=True),
    Column("uid", Text, nullable=False),
    Column("owner", Integer, nullable=False),
    Column("patient_key", Wide, ForeignKey("patient.id"), nullable=False),
    Column("site", Text, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("instances", Integer, nullable=False, server_default=text("0")),
    #: Counted and gathered from its series when one of them becomes visible or invisible.
    Column("series_shown", Integer, nullable=False, server_default=text("0")),
    Column("modalities", Text),
    Column("created", Wide, nullable=False),
    *_texts("patient_name", "birth_date", "sex", "date", "time", "accession_number", "study_id", "description"),
    *_texts("description_folded", "referring_physician", "extra"),
    sqlite_autoincrement=True,
)
Index("study_uid", study.c.uid)
Index("study_owner", study.c.uid, unique=True, sqlite_where=text("owner = 1"))
Index("study_patient", study.c.patient_key)
#: With what a search by date and modality decides by, so that only the rows that match are read.
Index("study_date", study.c.date, study.c.id, study.c.modalities, sqlite_where=text("date IS NOT NULL"))
Index("study_accession", study.c.accession_number, sqlite_where=text("accession_number IS NOT NULL"))
Index("study_study_id", study.c.study_id, sqlite_where=text("study_id IS NOT NULL"))
Index("study_birth_date", study.c.birth_date, sqlite_where=text("birth_date IS NOT NULL"))

log_salt = _table(
    "log_salt",
    Column("study_id", Wide, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
)

person_name = _table(
    "person_name",
    Column("tag", Integer, nullable=False),
    Column("folded", Text, nullable=False),
    Column("study_id", Wide, ForeignKey("study.id"), nullable=False),
    PrimaryKeyConstraint("tag", "folded", "study_id"),
    sqlite_with_rowid=False,
)
Index("person_name_study", person_name.c.study_id)

series = _table(
    "series",
    Column("id", Wide, primary_key=True),
    Column("study_id", Wide, ForeignKey("study.id"), nullable=False),
    Column("uid", Text, nullable=False),
    Column("instances", Integer, nullable=False, server_default=text("0")),
    #: Raised by whatever changes which instances are visible in it, or what it is described by.
    Column("generation", Wide, nullable=False, server_default=text("0")),
    Column("modality", Text),
    Column("number", Wide),
    *_texts("description", "description_folded", "date", "time", "body_part", "protocol_name", "laterality"),
    *_texts("station_name", "manufacturer", "institution_name", "step_date", "step_time", "extra"),
    UniqueConstraint("uid", "study_id"),
)
Index("series_study", series.c.study_id)

#: What is prepared of a series, sealed under its study's key; worth nothing at another generation.
series_document = _table(
    "series_document",
    Column("series_id", Wide, ForeignKey("series.id"), primary_key=True, autoincrement=False),
    Column("generation", Wide, nullable=False),
    Column("form", Integer, nullable=False),
    Column("prepared", Wide, nullable=False),
    Column("size", Wide, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

Index("series_document_age", series_document.c.prepared, series_document.c.series_id, series_document.c.size)

request_attributes = _table(
    "request_attributes",
    Column("id", Wide, primary_key=True),
    Column("series_id", Wide, ForeignKey("series.id"), nullable=False),
    *_texts("step_id", "step_description", "procedure_id", "procedure_description", "accession_number"),
)
Index("request_attributes_series", request_attributes.c.series_id)
Index("request_attributes_step", request_attributes.c.step_id)
Index("request_attributes_procedure", request_attributes.c.procedure_id)

pack = _table(
    "pack",
    Column("number", Wide, primary_key=True, autoincrement=False),
    Column("committed_end", Wide, nullable=False),
)

instance = _table(
    "instance",
    Column("id", Wide, primary_key=True),
    Column("uid_hash", Wide, nullable=False),
    Column("uid", LargeBinary, nullable=False),
    Column("series_id", Wide, ForeignKey("series.id"), nullable=False),
    Column("state", Integer, nullable=False),
    Column("pack", Wide, ForeignKey("pack.number"), nullable=False),
    Column("start", Wide, nullable=False),
    Column("length", Wide, nullable=False),
    Column("object_id", LargeBinary, nullable=False),
    Column("plain_length", Wide, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("sop_class", Integer, ForeignKey("term.id"), nullable=False),
    Column("transfer_syntax", Integer, ForeignKey("term.id"), nullable=False),
    Column("number", Wide),
    Column("rows", Wide),
    Column("columns", Wide),
    Column("bits_allocated", Wide),
    Column("frames", Wide),
    Column("extra", Text),
    #: The study that it arrived with, once a steward moved it into another.
    Column("claim", Wide),
)
Index("instance_uid", instance.c.uid_hash)
Index("instance_series", instance.c.series_id)

review = _table(
    "review",
    Column("id", Wide, primary_key=True),
    Column("instance_id", Wide, ForeignKey("instance.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created", Wide, nullable=False),
    Column("decided", Wide),
    Column("decided_by", Text),
)
Index("review_state", review.c.state)

quarantine = _table(
    "quarantine",
    Column("id", Wide, primary_key=True),
    #: Of the data set as received: what a retry is known by.
    Column("digest", LargeBinary, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("site", "issuer", "sop_class", "sop_instance", "study")),
    *(Column(name, Text, nullable=False) for name in ("transfer_syntax", "principal", "peer", "findings", "state")),
    Column("pack", Wide, ForeignKey("pack.number"), nullable=False),
    Column("start", Wide, nullable=False),
    Column("length", Wide, nullable=False),
    Column("object_id", LargeBinary, nullable=False),
    Column("plain_length", Wide, nullable=False),
    #: NULL once the object was destroyed: nothing opens it any more.
    Column("wrapped_key", LargeBinary),
    Column("attempts", Integer, nullable=False),
    Column("created", Wide, nullable=False),
    Column("decided", Wide),
    Column("decided_by", Text),
    UniqueConstraint("digest", "site"),
)
Index("quarantine_sender", quarantine.c.principal, quarantine.c.created)


def _beside_instance(name: str, column: Column[Any]) -> Table:
    key = Column("instance_id", Wide, ForeignKey("instance.id"), primary_key=True, autoincrement=False)
    return _table(name, key, Column("quarantine_id", Wide, ForeignKey("quarantine.id"), nullable=False), column)


#: What was cut away of an instance, whose original lies in quarantine; the state of one that was taken back later.
disarmed = _beside_instance("disarmed", Column("removed", Text, nullable=False))
withdrawn = _beside_instance("withdrawn", Column("state", Integer, nullable=False))

#: How far the last inspection of everything has come.
reinspection = _table(
    "reinspection",
    Column("id", Integer, primary_key=True),
    Column("after_id", Wide, nullable=False),
    CheckConstraint("id = 1"),
)

writer = _table(
    "writer",
    Column("id", Integer, primary_key=True),
    Column("closed_n", Wide),
    sqlite_autoincrement=True,
)

event = _table(
    "event",
    #: writer · 2^40 + n. One B-tree for all: each further one would cost every commit a page.
    Column("id", Wide, primary_key=True, autoincrement=False),
    Column("time", Wide, nullable=False),
    Column("study_id", Wide, ForeignKey("log_salt.study_id")),
    Column("action", Integer, ForeignKey("term.id"), nullable=False),
    Column("principal", Integer, ForeignKey("term.id"), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("leaf_index", Wide),
)

#: Which events tell who has seen what of a study. A table of its own: stores, of which there are most, are not in it.
disclosure = _table(
    "disclosure",
    Column("study_id", Wide, ForeignKey("log_salt.study_id"), nullable=False),
    Column("event_id", Wide, ForeignKey("event.id"), nullable=False),
    PrimaryKeyConstraint("study_id", "event_id"),
    sqlite_with_rowid=False,
)

device = _table(
    "device",
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("site", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("may_revise", Integer, nullable=False),
    Column("private_sop_classes", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("disabled", Integer, nullable=False),
    Column("created", Wide, nullable=False),
    #: Since when it is shut out for what it sent, and when that was last lifted.
    Column("suspended", Wide),
    Column("resumed", Wide),
)

device_aet = _table(
    "device_aet",
    Column("device_id", Integer, ForeignKey("device.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("title", Text, nullable=False),
    PrimaryKeyConstraint("device_id", "position"),
    sqlite_with_rowid=False,
)

device_key = _table(
    "device_key",
    Column("id", Integer, primary_key=True),
    Column("device_id", Integer, ForeignKey("device.id"), nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("anchor", LargeBinary),
    Column("not_before", Wide, nullable=False),
    Column("not_after", Wide, nullable=False),
    Column("retired_at", Wide),
)
Index("device_key_active", device_key.c.fingerprint, unique=True, sqlite_where=text("retired_at IS NULL"))

account = _table(
    "account",
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("person", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("roles", Text, nullable=False),
    #: What authenticators know the user by (WebAuthn 14.6.1): random, so that it tells nothing.
    Column("handle", LargeBinary, nullable=False),
    Column("password", Text),
    Column("totp", LargeBinary),
    Column("totp_step", Wide),
    Column("subject", Text),
    Column("disabled", Integer, nullable=False),
    Column("created", Wide, nullable=False),
)
Index("account_handle", account.c.handle, unique=True)
Index("account_subject", account.c.subject, unique=True, sqlite_where=text("subject IS NOT NULL"))

passkey = _table(
    "passkey",
    Column("id", Integer, primary_key=True),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("credential", LargeBinary, nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", Wide, nullable=False),
    Column("host", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("created", Wide, nullable=False),
)
Index("passkey_account", passkey.c.account_id)

session = _table(
    "session",
    Column("id", Integer, primary_key=True),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("created", Wide, nullable=False),
    Column("seen", Wide, nullable=False),
    Column("proved", Wide, nullable=False),
)

token = _table(
    "token",
    Column("id", Integer, primary_key=True),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("operations", Text),
    Column("patients", Text),
    Column("created", Wide, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires", Wide, nullable=False),
    Column("revoked", Wide),
)

enrolment = _table(
    "enrolment",
    Column("id", Integer, primary_key=True),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("created", Wide, nullable=False),
    #: NULL until the first `serve`, for the link that `init` prints.
    Column("expires", Wide),
    Column("used", Wide),
)

lockout = _table(
    "lockout",
    Column("subject", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last", Wide, nullable=False),
    Column("until", Wide, nullable=False),
    sqlite_with_rowid=False,
)

share = _table(
    "share",
    Column("id", Integer, primary_key=True),
    Column("account_id", Integer, ForeignKey("account.id"), nullable=False),
    Column("study_id", Wide, ForeignKey("study.id"), nullable=False),
    Column("sharer", Integer, ForeignKey("account.id"), nullable=False),
    Column("created", Wide, nullable=False),
    Column("until", Wide, nullable=False),
    Column("revoked", Wide),
)
Index("share_account", share.c.account_id)
Index("share_study", share.c.study_id)

#: FTS5 with trigrams, for infix wildcards: a virtual table, made by the migration and unknown to `metadata`.
study_text = table(
    "study_text",
    *(
        column(name)
        for name in ("rowid", "patient_name", "patient_id", "accession_number", "description", "referring_physician")
    ),
    column("study_text"),
)

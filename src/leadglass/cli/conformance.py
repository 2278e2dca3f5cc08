"""The DICOM conformance statement (PS3.2), written from the tables that the code uses, so that it cannot drift.

`make docs` writes it to docs/conformance-statement.md; a test compares the two.
"""

import sys
import textwrap
from collections.abc import Iterable, Iterator

from leadglass import __version__
from leadglass.archive.admission import Refusal
from leadglass.archive.authorise import RIGHTS
from leadglass.config import ArchiveTable
from leadglass.dicom import uids
from leadglass.dicom.dictionary import keyword_of
from leadglass.index.answers import supported
from leadglass.model import AssociationLimits, DataSetLimits, Level, Operation
from leadglass.pixels.syntaxes import DECODED, ENCODED
from leadglass.server.dimse.acceptance import MESSAGE_SYNTAXES, OPERATIONS, ROOTS
from leadglass.server.dimse.session import REJECTIONS, DoorConfig
from leadglass.server.web.dicomweb.intake import (
    CANNOT_UNDERSTAND,
    PROCESSING_FAILURE,
    SOP_CLASS_NOT_SUPPORTED,
    TRANSFER_SYNTAX_NOT_SUPPORTED,
)
from leadglass.server.web.dicomweb.metadata_intake import MOST_HELD
from leadglass.server.web.dicomweb.multipart import MultipartLimits
from leadglass.server.web.dicomweb.qido import IF_KNOWN, MOST_BYTES, REQUIRED
from leadglass.server.web.openapi.dicomweb import OPERATIONS as WEB_OPERATIONS

NAMES = {
    uids.VERIFICATION: "Verification",
    uids.PATIENT_ROOT_FIND: "Patient Root Query/Retrieve Information Model – FIND",
    uids.STUDY_ROOT_FIND: "Study Root Query/Retrieve Information Model – FIND",
    uids.PATIENT_ROOT_GET: "Patient Root Query/Retrieve Information Model – GET",
    uids.STUDY_ROOT_GET: "Study Root Query/Retrieve Information Model – GET",
}

STATUSES = (
    (
        "C-STORE",
        "0000",
        "Success",
        "durable: bytes, index row and event are on the disk; also for the same again",
    ),
    (
        "C-STORE",
        "B006",
        "Warning: elements discarded",
        "durable, without private elements that carried an archive or document (docs/inspection.md)",
    ),
    (
        "C-STORE",
        "0110",
        "Processing failure",
        "the index or the disk failed, or a sealed object that should be compared cannot be opened",
    ),
    ("C-STORE", "0124", "Refused: not authorised", "the device's roles or enrolment do not allow it"),
    (
        "C-STORE",
        "A700",
        "Refused: out of resources",
        "less disk is free than the reserve, or a virus scanner that is configured does not answer",
    ),
    ("C-STORE", "A900", "Data set does not match SOP Class", "the data set has another SOP Class UID than announced"),
    ("C-STORE", "C000", "Cannot understand", "not a whole data set after PS3.5, beyond a bound, or without its UIDs"),
    ("C-STORE", "C110", "Quarantined", "inspection holds it back until a steward decides; the Error Comment says why"),
    ("C-STORE", "C311", "Refused: other pixels", "other pixels are stored under this SOP Instance UID"),
    ("C-FIND", "FF00", "Pending", "all keys were supported"),
    ("C-FIND", "FF01", "Pending", "some optional keys were not supported"),
    ("C-FIND", "0000", "Success", "all matches were sent"),
    ("C-FIND", "A700", "Refused: out of resources", "more matches than allowed; those sent are not all"),
    ("C-FIND", "A900", "Identifier does not match SOP Class", "the level is missing or not of this model"),
    ("C-FIND", "C000", "Unable to process", "the identifier is not a data set"),
    ("C-FIND", "FE00", "Cancel", "after C-CANCEL"),
    ("C-GET", "FF00", "Pending", "sub-operations continue"),
    ("C-GET", "0000", "Success", "all sub-operations succeeded"),
    ("C-GET", "B000", "Warning", "some sub-operations failed; their UIDs are listed"),
    ("C-GET", "A702", "Unable to perform sub-operations", "every sub-operation failed; their UIDs are listed"),
    (
        "C-GET",
        "A900",
        "Identifier does not match SOP Class",
        "the level or its unique key is missing, or several patients have the Patient ID and no issuer is named",
    ),
    ("C-GET", "FE00", "Cancel", "after C-CANCEL"),
)


def statement() -> str:
    """The whole document in Markdown."""
    return (
        "\n".join((*_overview(), *_networking(), *_negotiation(), *_services(), *_security(), *_tables(), *_web()))
        + "\n"
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _prose(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 130))


def _overview() -> Iterator[str]:
    yield "# DICOM conformance statement"
    yield ""
    yield f"Leadglass {__version__}. Written by `make docs` from the program's own tables; layout after PS3.2."
    yield ""
    yield "## 1 Overview"
    yield ""
    yield _prose(
        "Leadglass is an archive: it stores composite objects, answers queries and hands objects out, over TLS only."
    )
    yield ""
    services = ((NAMES[uid], "no", "yes") for uid in OPERATIONS)
    yield from _table(
        ("service class", "SCU", "SCP"), (*services, ("Storage (all classes of section 6)", "yes", "yes"))
    )
    yield _prose(
        "Storage as SCU happens in C-GET sub-operations only. A connection without TLS and an enrolled client "
        "certificate is not answered; there is no setting that changes this."
    )
    yield ""


def _networking() -> Iterator[str]:
    config, limits = DoorConfig(), AssociationLimits()
    yield "## 2 Application entity"
    yield ""
    yield _prose("One application entity, `" + config.ae_title + "` unless configured.")
    yield ""
    rows = (
        ("application context", uids.APPLICATION_CONTEXT),
        ("implementation class UID", uids.IMPLEMENTATION_CLASS_UID),
        ("implementation version name", uids.IMPLEMENTATION_VERSION_NAME),
        ("maximum PDU length received", str(limits.max_pdu)),
        ("associations at once", f"{config.associations}, of one device {config.associations_per_device}"),
        ("connections not yet authenticated", f"{config.strangers}, of one address {config.strangers_per_source}"),
        ("presentation contexts proposed", f"at most {limits.presentation_contexts}"),
        ("asynchronous operations", "not supported: one at a time"),
        ("ARTIM, handshake included", f"{config.artim_seconds:.0f} s"),
        ("time for one PDU", f"{config.idle_seconds:.0f} s to receive, {config.send_seconds:.0f} s to send"),
    )
    yield from _table(("parameter", "value"), rows)


def _negotiation() -> Iterator[str]:
    yield "## 3 Association negotiation"
    yield ""
    yield _prose(
        "The device is the one whose key the client certificate proves. A request is rejected for the first "
        "reason that holds:"
    )
    yield ""
    rows = ((refusal.value, *map(str, REJECTIONS[refusal])) for refusal in Refusal if refusal in REJECTIONS)
    yield from _table(("because", "result", "source", "reason"), rows)
    yield _prose(
        "Of the transfer syntaxes of a context the requestor's first acceptable one is taken. A SOP class that is "
        "supported but not allowed to the device is answered with user-rejection."
    )
    yield ""
    yield _prose(
        "Role selection: the requestor may be SCP of storage classes when it may retrieve. Extended negotiation "
        "of FIND and GET: relational queries yes, combined date-time matching and fuzzy matching of person names "
        "(FIND) yes, time zone adjustment no. Of storage: level 2 (full), no coercion of elements."
    )
    yield ""
    yield _prose(
        "User Identity: type 2 (name and passcode) of a user of this archive, and type 5 (JSON Web Token) of the "
        "OpenID issuer that is configured, are verified. A proof that does not hold, or a user of another site than "
        "the device's, is rejected; one that holds narrows what the device may query and retrieve to what the user "
        "may, and a positive response is sent when it was asked for (PS3.7 D.3.3.7.2), its field empty. The name of "
        "type 1, and of type 2 when no user has it here, is recorded as a claim and proves nothing: there is no "
        "positive response. Types 3 and 4 are neither checked nor kept."
    )
    yield ""


def _services() -> Iterator[str]:
    yield "## 4 Services"
    yield ""
    syntaxes = ", ".join(uids.TRANSFER_SYNTAXES[uid].name for uid in MESSAGE_SYNTAXES)
    rows = (
        (NAMES[uid], uid, operation.value, ", ".join(level.value for level in ROOTS.get(uid, ())))
        for uid, operation in OPERATIONS.items()
    )
    yield f"Verification and Query/Retrieve in {syntaxes}:"
    yield ""
    yield from _table(("SOP class", "UID", "operation", "levels"), rows)
    yield _prose(
        "The data set of a stored object is kept byte for byte and sent in the transfer syntax in which it came. "
        "One that the requestor did not accept is a failed sub-operation. Person names and descriptions match "
        "without regard to case and accents. With fuzzy matching each word of a name in the key begins a word of the "
        "name (of the same component group), in whichever order; wildcards within words keep their meaning, and no "
        "sound is compared. Answers come in ASCII, else in the character set of the query, else "
        "in ISO_IR 192."
    )
    yield ""
    yield _prose("Keys that are matched and returned; those of upper levels also at lower ones:")
    yield ""
    above: frozenset[int] = frozenset()
    keyed = []
    for level in Level:
        keys = supported(level)
        keyed.append((level.value, ", ".join(sorted(keyword_of(tag) for tag in keys - above))))
        above = keys
    yield from _table(("level", "keys"), keyed)
    yield from _table(("service", "status", "meaning", "when"), STATUSES)


def _security() -> Iterator[str]:
    yield "## 5 Security"
    yield ""
    yield _prose(
        "Secure transport: the Non-Downgrading BCP 195 TLS profile (PS3.15 B.12), TLS 1.2 and 1.3, mutual "
        "authentication; server certificates with P-256 and RSA-3072 keys side by side. Before anything is stored "
        "the data set is parsed within these bounds (PS3.10 7.5); preambles and group 2 of imported files are not "
        "kept."
    )
    yield ""
    limits, archive = DataSetLimits(), ArchiveTable()
    rows = (
        ("nesting of sequences", str(limits.depth)),
        ("elements in a data set", str(limits.elements)),
        ("bytes of a data set", str(limits.total_bytes)),
        (
            "inflated bytes",
            f"{limits.inflated_bytes}; ratio {limits.inflate_ratio} beyond the first {limits.inflated_freely}",
        ),
        ("answers to one query", str(archive.max_answers)),
        ("free disk below which stores are refused", f"{archive.reserve_mib} MiB"),
    )
    yield from _table(("bound", "value"), rows)
    operations = [operation for operation in Operation if any(operation in rights for rights in RIGHTS.values())]
    roles = (
        (role.value, *("yes" if operation in rights else "" for operation in operations))
        for role, rights in RIGHTS.items()
    )
    yield from _table(("role", *(operation.value for operation in operations)), roles)


def _tables() -> Iterator[str]:
    yield "## 6 Storage SOP classes and transfer syntaxes"
    yield ""
    yield _prose(
        "Every storage SOP class in every transfer syntax below; private classes when a device is enrolled for them. "
        "What is read can be rendered, made into thumbnails, and transcoded to what is written, without further loss. "
        "Nothing here reads the others: video above all goes out as it is stored. Samples of 32 and 64 bits are "
        "written in Explicit VR Little Endian and RLE only, floating point and single bits in the former only."
    )
    yield ""
    yield from _table(
        ("transfer syntax", "UID", "read", "written"),
        (
            (
                syntax.name + (" (retired)" if syntax.retired else ""),
                uid,
                "yes" if uid in DECODED else "",
                "yes" if uid in ENCODED else "",
            )
            for uid, syntax in uids.TRANSFER_SYNTAXES.items()
        ),
    )
    yield from _table(("storage SOP class", "UID"), ((name, uid) for uid, name in uids.STORAGE_SOP_CLASSES.items()))


def _web() -> Iterator[str]:
    yield "## 7 Web services"
    yield ""
    yield _prose(
        "PS3.18 below `/dicom-web`, over HTTPS only (TLS 1.2 and 1.3), for a session of the console or a bearer token: "
        "one of this archive, or a JSON Web Token of the OpenID issuer that is configured (RFC 9068). `OPTIONS` "
        "describes each resource, `HEAD` goes with `GET`. What is not there and what the caller may not see have one "
        "answer."
    )
    yield ""
    rows = (
        (
            *(f"`{each}`" for each in key.split(" ")),
            operation.summary,
            ", ".join(dict.fromkeys(name for names in operation.answers.values() for name in names)),
            ", ".join(map(str, operation.refusals)),
        )
        for key, operation in WEB_OPERATIONS.items()
    )
    yield from _table(("method", "resource", "what", "answers", "refusals beside 401 and 403"), rows)
    yield _prose(
        "Transfer syntax (8.7.3): none asked for means Explicit VR Little Endian, unless only a lossy form is there; "
        "`*` means as it is stored. Implicit VR Little Endian and Explicit VR Big Endian never go out: they are "
        "converted, frames with their words swapped. Any other is transcoded where section 6 has a codec, else the "
        "answer is 406. `accept` as a query parameter goes before the header where both agree. A ZIP holds Part 10 "
        "files under names of the archive (8.6.1.3). Single parts are for single instances, frames and values."
    )
    yield ""
    yield _prose(
        "Search: keys and attributes of section 4, by keyword, by tag, and within Request Attributes Sequence by path; "
        "`includefield` with `all`, `limit`, `offset`. Values of CS and UI may be lists. A Warning 299 says when there "
        "are more matches, and that `emptyvaluematching` and `multiplevaluematching` are not done. "
        f"An answer has at most {MOST_BYTES // 2**20} MiB (413)."
    )
    yield ""
    levels = (
        (level.value, ", ".join(map(keyword_of, REQUIRED[level])), ", ".join(map(keyword_of, IF_KNOWN[level])))
        for level in REQUIRED
    )
    yield from _table(("level", "always returned", "returned when known"), levels)
    yield _prose(
        f"Store: a body has at most {MultipartLimits().parts} parts; metadata in JSON with their bulk data at most "
        f"{MOST_HELD // 2**20} MiB. 200 when all is stored, 202 when some is, 409 when nothing is, 503 when there is "
        "no room. Each instance that is not stored has its reason, as C-STORE has in section 4; those that only the "
        "web has:"
    )
    yield ""
    reasons = (
        (PROCESSING_FAILURE, "the archive could not store it"),
        (SOP_CLASS_NOT_SUPPORTED, "a SOP class that is not stored here"),
        (TRANSFER_SYNTAX_NOT_SUPPORTED, "a transfer syntax that is not known, or never used on the web"),
        (CANNOT_UNDERSTAND, "it is no DICOM file, or breaks PS3.5"),
    )
    yield from _table(("reason", "when"), ((f"{reason:04X}", when) for reason, when in reasons))
    yield _prose(
        "Rendered: JPEG and PNG, with `window`, `viewport` and `quality` (8.3.5.1); annotations and ICC profiles are "
        "refused. Without a sandbox for decoders, what has to be decoded is answered with 503. Work items, deletion "
        "and bulk data of whole studies are not offered."
    )


def main() -> None:
    sys.stdout.write(statement())


if __name__ == "__main__":
    main()

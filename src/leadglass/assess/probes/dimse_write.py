"""Whether a stranger may write: one small object that says what it is, under our own UID root, stored where the scope
allows it and looked for afterwards."""

import secrets
import time
from typing import Final

from leadglass.assess.observation import Observation, ObservationKind
from leadglass.assess.probes.dimse_answer import encode_keys
from leadglass.assess.probes.dimse_knock import QUERIES, SYNTAXES, Way
from leadglass.dicom import tags
from leadglass.dicom.attributes import encode_attributes
from leadglass.dicom.encoding import LITTLE
from leadglass.dicom.uids import EXPLICIT_LE, IMPLEMENTATION_CLASS_UID, TRANSFER_SYNTAXES
from leadglass.dimse.negotiation import propose
from leadglass.dimse.status import SUCCESS, is_pending, is_warning
from leadglass.errors import NotAvailable, ProtocolError
from leadglass.model import Attributes

SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
LABEL: Final = "LEADGLASS^WRITE TEST^DELETE ME"
PATIENT_ID: Final = "LEADGLASS-WRITE-TEST"
_ROOT: Final = f"{IMPLEMENTATION_CLASS_UID}.0.2"
_NOWHERE: Final = f"{IMPLEMENTATION_CLASS_UID}.0.3"
#: Thirteen digits are what 64 characters of a UID leave room for (PS3.5 9.1).
_FIRST: Final = 10**12
_SIDE: Final = 8
_CONVERSION_TYPE: Final = 0x00080064


def is_ours(study: str) -> bool:
    """Whether a study is what a write test left behind; it is nobody's, and not counted."""
    return study.startswith(_ROOT + ".")


def new_study() -> str:
    """The UID of a test study, drawn at random: whatever has it is what this test stored."""
    return f"{_ROOT}.{_FIRST + secrets.randbelow(9 * _FIRST)}"


def series_of(study: str) -> str:
    """The one series of a test study."""
    return f"{study}.1"


def no_such_study() -> Attributes:
    """Matches nothing in an archive that looks at what is asked."""
    return {tags.STUDY_INSTANCE_UID: _NOWHERE}


def synthetic_object(study: str) -> tuple[str, bytes]:
    """SOP Instance UID and data set (Explicit VR Little Endian) of a black square that is labelled as a test."""
    instance = f"{study}.2"
    today = time.strftime("%Y%m%d", time.gmtime())
    head: Attributes = {
        tags.SOP_CLASS_UID: SECONDARY_CAPTURE,
        tags.SOP_INSTANCE_UID: instance,
        tags.STUDY_DATE: today,
        tags.STUDY_TIME: "000000",
        tags.ACCESSION_NUMBER: "",
        tags.MODALITY: "OT",
        _CONVERSION_TYPE: "SYN",
        tags.REFERRING_PHYSICIAN_NAME: "",
        tags.STUDY_DESCRIPTION: "Leadglass exposure write test: synthetic, delete me",
        tags.PATIENT_NAME: LABEL,
        tags.PATIENT_ID: PATIENT_ID,
        tags.PATIENT_BIRTH_DATE: "",
        tags.PATIENT_SEX: "",
        tags.STUDY_INSTANCE_UID: study,
        tags.SERIES_INSTANCE_UID: series_of(study),
        tags.STUDY_ID: "",
        tags.SERIES_NUMBER: "1",
        tags.INSTANCE_NUMBER: "1",
        tags.SAMPLES_PER_PIXEL: "1",
        tags.PHOTOMETRIC_INTERPRETATION: "MONOCHROME2",
        tags.ROWS: str(_SIDE),
        tags.COLUMNS: str(_SIDE),
        tags.BITS_ALLOCATED: "8",
        tags.BITS_STORED: "8",
        0x00280102: "7",
        tags.PIXEL_REPRESENTATION: "0",
    }
    pixels = bytes(_SIDE * _SIDE)
    element = LITTLE.explicit.pack(0x7FE0, 0x0010, b"OB", 0) + LITTLE.length.pack(len(pixels)) + pixels
    return instance, encode_attributes(head, TRANSFER_SYNTAXES[EXPLICIT_LE], ()) + element


def write_test(way: Way) -> Observation | None:
    """None when the peer does not take it, or takes no Secondary Capture any more. The study's UID is among the facts:
    it is ours, and somebody has to find and delete it."""
    study = new_study()
    instance, data_set = synthetic_object(study)
    proposals = [(SECONDARY_CAPTURE, (EXPLICIT_LE,)), *((uid, SYNTAXES) for uid in QUERIES)]
    with way.open() as line:
        line.associate(way.request(propose(proposals)))
        context_id = line.accepts(SECONDARY_CAPTURE)
        if context_id is None:
            line.release()
            return None
        status = line.store(context_id, instance, data_set)
        exchange = line.exchange("C-STORE of a labelled synthetic object")
        if status != SUCCESS and not is_warning(status):
            line.release()
            return None
        found = "unknown"
        query = next((number for uid in QUERIES if (number := line.accepts(uid)) is not None), None)
        if query is not None:
            syntax = TRANSFER_SYNTAXES[line.contexts[query].transfer_syntax]
            keys = encode_keys("STUDY", {tags.STUDY_INSTANCE_UID: study}, syntax)
            try:
                answers = [status for status, _ in line.find(query, keys)]
                found = "yes" if any(map(is_pending, answers)) else "no"
            except (NotAvailable, ProtocolError):
                found = "unknown"
        line.release()
    facts = way.facts(status=f"{status:04X}H", found=found, deleted="no", study=study, sop_instance=instance)
    return Observation(ObservationKind.DIMSE_STORE_CONFIRMED, facts, (exchange,))

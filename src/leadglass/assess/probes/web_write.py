"""Whether a stranger may write over the web: the labelled synthetic object of the write test, stored where the scope
allows it, looked for afterwards, and deleted where that is possible."""

import hashlib
from typing import Final

from leadglass.assess.observation import Exchange, Fact, Observation, ObservationKind
from leadglass.assess.probes.dimse_write import PATIENT_ID, SECONDARY_CAPTURE, new_study, series_of, synthetic_object
from leadglass.assess.probes.web_client import WebWay
from leadglass.dicom.part10 import encode_file_meta
from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.errors import FormatError, NotAvailable

_JSON: Final = "application/dicom+json"
_BOUNDARY: Final = "leadglass-write-test"
_STORED: Final = (200, 202)
_DELETED: Final = (200, 202, 204)


def store_over_dicomweb(way: WebWay, root: str) -> Observation | None:
    """STOW-RS (PS3.18 10.5); None if it is refused. Raises as `WebWay.ask`."""
    study, _, file = _file()
    part = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + file
    body = part + f"\r\n--{_BOUNDARY}--\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
    with way.ask(f"{root}/studies", method="POST", accept=_JSON, headers={"Content-Type": kind}, body=body) as answer:
        exchange = answer.exchange("a labelled synthetic object")
        if answer.status not in _STORED:
            return None
    found = _is_found(way, f"{root}/studies/{study}/instances")
    deleted = _is_deleted(way, f"{root}/studies/{study}")
    return _observation("dicomweb", way.shown(root), exchange, found, deleted, study)


def store_over_orthanc(way: WebWay) -> Observation | None:
    """Orthanc's REST interface; None if it is refused. Raises as `WebWay.ask`."""
    study, instance, file = _file()
    headers = {"Content-Type": "application/dicom"}
    with way.ask("/instances", method="POST", accept="application/json", headers=headers, body=file) as answer:
        exchange = answer.exchange("a labelled synthetic object")
        if answer.status != 200:
            return None
    # Orthanc's answer names an object too, but what it names might be another one than ours.
    path = f"/instances/{orthanc_identifier(study, instance)}"
    return _observation("orthanc", "/", exchange, _is_found(way, path), _is_deleted(way, path), study)


def orthanc_identifier(study: str, instance: str) -> str:
    """How Orthanc names the image that a write test stored: the SHA-1 of its Patient ID and UIDs, in five groups."""
    named = "|".join((PATIENT_ID, study, series_of(study), instance))
    digest = hashlib.sha1(named.encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def _file() -> tuple[str, str, bytes]:
    """Study and SOP Instance UID of a new test object, and its file."""
    study = new_study()
    instance, data_set = synthetic_object(study)
    return study, instance, encode_file_meta(SECONDARY_CAPTURE, instance, EXPLICIT_LE) + data_set


def _is_found(way: WebWay, path: str) -> bool:
    try:
        with way.ask(path, accept=f"{_JSON}, application/json") as answer:
            return answer.status == 200
    except (NotAvailable, FormatError):
        return False


def _is_deleted(way: WebWay, path: str) -> bool:
    """`path` is made of UIDs of this test's own: nothing else is ever asked to be deleted."""
    try:
        with way.ask(path, method="DELETE") as answer:
            return answer.status in _DELETED
    except (NotAvailable, FormatError):
        return False


def _observation(interface: str, root: str, exchange: Exchange, found: bool, deleted: bool, study: str) -> Observation:
    facts: dict[str, Fact] = {"interface": interface, "root": root, "found": found, "deleted": deleted, "study": study}
    return Observation(ObservationKind.WEB_STORE_CONFIRMED, facts, (exchange,))

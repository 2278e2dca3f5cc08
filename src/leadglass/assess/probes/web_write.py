"""Whether a stranger may write over the web: the labelled synthetic object of the write test, stored where the scope
allows it, looked for afterwards, and deleted where that is possible."""

import re
import time
from typing import Final

from leadglass.assess.observation import Exchange, Fact, Observation, ObservationKind
from leadglass.assess.probes.dimse_write import SECONDARY_CAPTURE, new_study, synthetic_object
from leadglass.assess.probes.web_client import WebWay
from leadglass.assess.probes.web_json import decoded
from leadglass.dicom.part10 import encode_file_meta
from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.errors import FormatError, NotAvailable

_JSON: Final = "application/dicom+json"
_BOUNDARY: Final = "leadglass-write-test"
_SMALL: Final = 65_536
_IDENTIFIER: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")
_STORED: Final = (200, 202)
_DELETED: Final = (200, 202, 204)


def store_over_dicomweb(way: WebWay, root: str) -> Observation | None:
    """STOW-RS (PS3.18 10.5); None if it is refused. Raises as `WebWay.ask`."""
    study, file = _file()
    part = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + file
    body = part + f"\r\n--{_BOUNDARY}--\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
    with way.ask(f"{root}/studies", method="POST", accept=_JSON, headers={"Content-Type": kind}, body=body) as answer:
        exchange = answer.exchange("a labelled synthetic object")
        if answer.status not in _STORED:
            return None
    found = _is_found(way, f"{root}/studies/{study}/instances")
    return _observation("dicomweb", root, exchange, found, _is_deleted(way, f"{root}/studies/{study}"), study)


def store_over_orthanc(way: WebWay) -> Observation | None:
    """Orthanc's REST interface; None if it is refused. Raises as `WebWay.ask`."""
    study, file = _file()
    headers = {"Content-Type": "application/dicom"}
    with way.ask("/instances", method="POST", accept="application/json", headers=headers, body=file) as answer:
        exchange = answer.exchange("a labelled synthetic object")
        if answer.status != 200:
            return None
        told = decoded(answer.body(_SMALL))
    identifier = told.get("ID") if isinstance(told, dict) else None
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        return _observation("orthanc", "/", exchange, False, False, study)
    path = f"/instances/{identifier}"
    return _observation("orthanc", "/", exchange, _is_found(way, path), _is_deleted(way, path), study)


def _file() -> tuple[str, bytes]:
    study = new_study(int(time.time()))
    instance, data_set = synthetic_object(study)
    return study, encode_file_meta(SECONDARY_CAPTURE, instance, EXPLICIT_LE) + data_set


def _is_found(way: WebWay, path: str) -> bool:
    try:
        with way.ask(path, accept=f"{_JSON}, application/json") as answer:
            return answer.status == 200
    except (NotAvailable, FormatError):
        return False


def _is_deleted(way: WebWay, path: str) -> bool:
    """Only what this test stored is ever asked to be deleted."""
    try:
        with way.ask(path, method="DELETE") as answer:
            return answer.status in _DELETED
    except (NotAvailable, FormatError):
        return False


def _observation(interface: str, root: str, exchange: Exchange, found: bool, deleted: bool, study: str) -> Observation:
    facts: dict[str, Fact] = {"interface": interface, "root": root, "found": found, "deleted": deleted, "study": study}
    return Observation(ObservationKind.WEB_STORE_CONFIRMED, facts, (exchange,))

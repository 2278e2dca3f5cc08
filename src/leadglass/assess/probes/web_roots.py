"""Where DICOMweb and WADO-URI may be found at a web door: known roots, and what the door itself tells of its own."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import quote, urlsplit

from leadglass.assess.observation import Exchange
from leadglass.assess.probes.tokens import HIDDEN
from leadglass.assess.probes.web_client import WebWay
from leadglass.assess.probes.web_json import decoded
from leadglass.errors import FormatError, NotAvailable

KNOWN: Final = ("/dicom-web", "/dicomweb", "/dicomWeb", "/api", "/rs", "/qido-rs", "/orthanc/dicom-web")
WADO_URI: Final = ("/wado", "/dicom-web/wado", "/dcm4chee-arc/aets/DCM4CHEE/wado")
_AETS: Final = "/dcm4chee-arc/aets"
#: Titles that dcm4chee comes with; others are words of whoever set it up.
_TITLES: Final = frozenset({"DCM4CHEE", "DCM4CHEE_ADMIN", "DCM4CHEE_TRASH", "AS_RECEIVED", "IOCM_QUALITY", "WORKLIST"})
_SMALL: Final = 65_536
_MOST_AETS: Final = 8
_QIDO_ROOT: Final = re.compile(rb"""["']?qidoRoot["']?\s*:\s*["']([^"'\s]{1,300})["']""")
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~%-]+)+")


def shown_root(root: str) -> str:
    """A root as a report shows it: what a door named in words of its own is hidden."""
    if root in KNOWN:
        return root
    title = root.removeprefix(f"{_AETS}/").removesuffix("/rs")
    if root != f"{_AETS}/{title}/rs":
        return f"/{HIDDEN}"
    return root if title in _TITLES else f"{_AETS}/{HIDDEN}/rs"


def told(way: WebWay) -> Iterator[tuple[str, str, Exchange]]:
    """Roots that the door names itself, with the product that does so: dcm4chee's AE titles, a viewer's data source.
    A data source on another host is left alone."""
    for source in (_of_dcm4chee, _of_viewer):
        # Most doors have neither; that one has none says nothing of the other.
        with suppress(NotAvailable, FormatError):
            yield from source(way)


def _of_dcm4chee(way: WebWay) -> Iterator[tuple[str, str, Exchange]]:
    with way.ask(_AETS, accept="application/json") as answer:
        exchange = answer.exchange()
        listed = decoded(answer.body(_SMALL)) if answer.status == 200 else None
    if isinstance(listed, list):
        titles = (each.get("dicomAETitle") for each in listed if isinstance(each, dict))
        for title in [each for each in titles if isinstance(each, str) and 0 < len(each) <= 16][:_MOST_AETS]:
            yield f"{_AETS}/{quote(title, safe='')}/rs", "dcm4chee-arc", exchange


def _of_viewer(way: WebWay) -> Iterator[tuple[str, str, Exchange]]:
    with way.ask("/app-config.js") as answer:
        exchange = answer.exchange()
        found = _QIDO_ROOT.search(answer.body(_SMALL)) if answer.status == 200 else None
    if found is not None:
        try:
            there = urlsplit(found[1].decode("ascii"))
        except ValueError:
            return
        same = there.netloc in ("", f"{way.host}:{way.endpoint.port}", way.host)
        path = there.path.rstrip("/")
        if same and _PATH.fullmatch(path):
            yield path, "OHIF", exchange


def wado_uri(way: WebWay, nowhere: int, known: tuple[str, str, str] | None) -> Iterator[tuple[str, str, Exchange]]:
    """Paths that answer WADO-URI (PS3.18 9) with whether they are `open` or `closed`. `nowhere`: the status of a path
    that does not exist; `known`: study, series and instance of an image, if one is. Without its UIDs a request is wrong
    for a WADO server only."""
    query = "?requestType=WADO"
    shown = query
    if known is not None:
        names = ("studyUID", "seriesUID", "objectUID")
        query += "".join(f"&{name}={uid}" for name, uid in zip(names, known, strict=True))
        query += "&contentType=application/dicom"
        shown += "&studyUID=***&seriesUID=***&objectUID=***"
    for path in WADO_URI:
        with suppress(NotAvailable, FormatError), way.ask(path + query, shown=path + shown) as answer:
            if answer.status in (401, 403) and answer.status != nowhere:
                yield path, "closed", answer.exchange()
            elif answer.status == 200 and answer.media_type == "application/dicom":
                yield path, "open", answer.exchange("closed after the headers")
            elif answer.status == 400 and nowhere != 400:
                yield path, "open", answer.exchange("a request without UIDs is told to be wrong")

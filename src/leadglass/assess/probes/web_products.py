"""Which medical product serves a page, told by what only its pages say; and whether it asks for a login first."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from leadglass.assess.observation import Exchange
from leadglass.assess.probes.tokens import server
from leadglass.assess.probes.web_client import Answer, WebWay
from leadglass.assess.probes.web_json import decoded
from leadglass.errors import FormatError, NotAvailable

#: As much of a page as is looked at: titles and scripts stand at its head.
_HEAD: Final = 65_536
_PASSWORD: Final = re.compile(rb"""type\s*=\s*["']?password""", re.IGNORECASE)
_TITLE: Final = re.compile(rb"<title[^>]{0,80}>(.{0,200}?)</title>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Signature:
    """A product's page. `marks`: one of them stands in the page. `interface`: what it serves there."""

    path: str
    product: str
    marks: re.Pattern[bytes]
    interface: str = "viewer"


def _signature(path: str, product: str, marks: str, interface: str = "viewer") -> Signature:
    return Signature(path, product, re.compile(marks.encode(), re.IGNORECASE), interface)


SIGNATURES: Final = (
    _signature("/app/explorer.html", "Orthanc", r"<title>\s*Orthanc Explorer", "administration"),
    _signature("/ui/app/", "Orthanc", r"<title>\s*Orthanc Explorer 2", "administration"),
    _signature("/dcm4chee-arc/ui2/", "dcm4chee-arc", r"dcm4chee|dcm4che", "administration"),
    _signature("/", "Dicoogle", r"<title>\s*Dicoogle"),
    _signature("/Dicoogle/", "Dicoogle", r"<title>\s*Dicoogle"),
    _signature("/", "Kheops", r"<title>\s*KHEOPS"),
    _signature("/", "OHIF", r"<title>\s*OHIF|window\.PUBLIC_URL.{0,2000}app-config\.js"),
    _signature("/ohif/", "OHIF", r"<title>\s*OHIF|window\.PUBLIC_URL.{0,2000}app-config\.js"),
    _signature("/viewer/", "OHIF", r"<title>\s*OHIF|window\.PUBLIC_URL.{0,2000}app-config\.js"),
    _signature("/pacs/login.php", "MedDream", r"MedDream"),
    _signature("/Pacs/login.php", "MedDream", r"MedDream"),
    _signature("/", "MedDream", r"<title>[^<]{0,80}MedDream"),
    _signature("/cgi-bin/dgate.exe?mode=top", "Conquest", r"Conquest", "administration"),
    _signature("/cgi-bin/dgate?mode=top", "Conquest", r"Conquest", "administration"),
    _signature("/scripts/dgate.exe?mode=top", "Conquest", r"Conquest", "administration"),
    _signature("/ImageServer/", "ClearCanvas", r"ClearCanvas", "administration"),
    _signature("/", "ClearCanvas", r"<title>[^<]{0,80}ClearCanvas", "administration"),
    _signature("/", "dwv", r"<title>[^<]{0,40}\bDWV\b"),
    _signature("/weasis-pacs-connector/", "Weasis", r"weasis"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """A product's page. `access`: `open`, or `closed` where it asks for a password first."""

    signature: Signature
    access: str
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Front:
    """What stands at a path: enough to tell products, listings and pages that are served for every path apart."""

    status: int
    head: bytes
    exchange: Exchange
    redirects: bool
    server: str

    @property
    def title(self) -> bytes:
        found = _TITLE.search(self.head)
        return found[1].strip() if found else b""


def front(way: WebWay, path: str) -> Front:
    """The head of the page at a path. Raises as `WebWay.ask`."""
    with way.ask(path, accept="text/html, */*;q=0.1") as answer:
        head = answer.body(_HEAD) if answer.status == 200 and _is_text(answer) else b""
        return Front(
            answer.status, head, answer.exchange(), 300 <= answer.status < 400, server(answer.header("server"))
        )


def _is_text(answer: Answer) -> bool:
    return answer.media_type in ("", "text/html", "application/xhtml+xml", "text/plain") and not answer.is_encoded


def pages(way: WebWay, root: Front) -> Iterator[Page]:
    """The products that show at their known paths, each once; `root` is what stands at `/`."""
    seen: dict[str, Front | None] = {"/": root}
    found: set[str] = set()
    for signature in SIGNATURES:
        if signature.product in found:
            continue
        if signature.path not in seen:
            seen[signature.path] = _tried(way, signature.path)
        page = seen[signature.path]
        if page is not None and signature.marks.search(page.head):
            found.add(signature.product)
            access = "closed" if _PASSWORD.search(page.head) else "open"
            yield Page(signature, access, page.exchange)


def dicoogle_search(way: WebWay) -> Exchange | None:
    """Evidence that Dicoogle's search answers without a login: it is asked for what does not exist.

    Raises as `WebWay.ask`.
    """
    with way.ask("/search?keyword=true&query=StudyInstanceUID:2.25.0", accept="application/json") as answer:
        told = decoded(answer.body(_HEAD)) if answer.status == 200 and answer.media_type == "application/json" else None
        return answer.exchange() if isinstance(told, dict) and isinstance(told.get("results"), list) else None


def _tried(way: WebWay, path: str) -> Front | None:
    try:
        return front(way, path)
    except (NotAvailable, FormatError):
        return None

"""Directory listings of web servers, walked as a browser could: beneath where they begin, and no further."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final
from urllib.parse import quote, unquote, urljoin, urlsplit

from leadglass.assess.observation import Exchange, Fact, Observation, ObservationKind
from leadglass.assess.probes.files import HEAD, MOST_FILES, FileCount, chosen, is_named_dicom
from leadglass.assess.probes.web_client import WebWay
from leadglass.assess.probes.web_products import Front
from leadglass.errors import FormatError, NotAvailable

#: Where listings of images have been found, besides the root.
FOLDERS: Final = ("/dicom/", "/DICOM/", "/images/", "/pacs/", "/PACS/", "/data/", "/export/", "/dcm/")
_MOST_FOLDERS: Final = 300
_MOST_LINKS: Final = 50_000
_DEPTH: Final = 8
_LISTING_BYTES: Final = 4 * 1024 * 1024
_TITLE: Final = re.compile(rb"^\s*(Index of|Directory listing for|Directory of|Listing of)\b", re.IGNORECASE)
_HREF: Final = re.compile(rb"""<a\s[^<>]{0,200}?href\s{0,9}=\s{0,9}["']([^"'<>\s]{1,1000})["']""", re.IGNORECASE)
_SAFE: Final = "/~!$&'()*+,;=:@-._"


def is_listing(page: Front) -> bool:
    return _TITLE.match(page.title) is not None or b"[To Parent Directory]" in page.head


@dataclass(slots=True)
class Walk:
    """What a walk came upon. Names are for the walk only: files of images are often called after patients."""

    root: str
    count: FileCount = field(default_factory=FileCount)
    files: list[str] = field(default_factory=list, repr=False)
    dicom_files: int = 0
    complete: bool = True
    exchanges: list[Exchange] = field(default_factory=list)

    def observation(self) -> Observation:
        facts: dict[str, Fact] = {
            "root": self.root,
            "files": len(self.files),
            "dicom_files": self.dicom_files,
            "tried": self.count.tried,
            "proven": len(self.count.proven),
            "capped": not self.complete,
        }
        return Observation(ObservationKind.WEB_LISTING, facts, tuple(self.exchanges))


def walk(way: WebWay, root: str) -> Walk:
    """All files below a listing, then the heads of those that may be DICOM."""
    walked = Walk(root)
    _list(way, walked)
    candidates = chosen(walked.files)
    for path in candidates[:MOST_FILES]:
        _look(way, walked, path)
    walked.complete &= len(candidates) <= MOST_FILES
    unseen = candidates[MOST_FILES:]
    walked.dicom_files = len(walked.count.proven) + sum(map(is_named_dicom, unseen))
    return walked


def _list(way: WebWay, walked: Walk) -> None:
    folders, seen = [(walked.root, 0)], {walked.root}
    for _ in range(_MOST_FOLDERS):
        if not folders:
            return
        folder, depth = folders.pop()
        for link in _links(way, walked, folder):
            if link in seen:
                continue
            seen.add(link)
            if len(seen) > _MOST_LINKS:
                walked.complete = False
                return
            if not link.endswith("/"):
                walked.files.append(link)
            elif depth < _DEPTH:
                folders.append((link, depth + 1))
            else:
                walked.complete = False
    walked.complete = False


def _links(way: WebWay, walked: Walk, folder: str) -> Iterator[str]:
    """Paths beneath `folder` that its listing names; a folder that cannot be read makes the walk incomplete."""
    shown = walked.root if folder == walked.root else f"{walked.root}***/"
    try:
        with way.ask(folder, shown=shown, accept="text/html") as answer:
            if not walked.exchanges:
                walked.exchanges.append(answer.exchange("a listing"))
            body = answer.body(_LISTING_BYTES) if answer.status == 200 else b""
    except (NotAvailable, FormatError):
        body = b""
    if not body or len(body) == _LISTING_BYTES:
        walked.complete = False
    for href in dict.fromkeys(match[1] for match in islice(_HREF.finditer(body), _MOST_LINKS)):
        link = _beneath(way, folder, href.decode("utf-8", "replace"))
        if link:
            yield link


def _beneath(way: WebWay, folder: str, href: str) -> str:
    """The path a link leads to, encoded; "" for one that leads out of `folder`, to another server, or sorts a table."""
    try:
        base = f"{way.protocol}://{way.host}:{way.endpoint.port}"
        there = urlsplit(urljoin(f"{base}{folder}", html.unescape(href)))
        if f"{there.scheme}://{there.netloc}" != base or there.query or there.fragment:
            return ""
    except ValueError:
        return ""
    path = quote(unquote(there.path, errors="surrogateescape"), safe=_SAFE, errors="surrogateescape")
    return path if path.startswith(folder) and path != folder else ""


def _look(way: WebWay, walked: Walk, path: str) -> None:
    """The head of one file; the connection is closed on the rest."""
    try:
        headers = {"Range": f"bytes=0-{HEAD - 1}"}
        with way.ask(path, shown=f"{walked.root}***", headers=headers) as answer:
            exchange = answer.exchange("closed after the header")
            head = answer.body(HEAD) if answer.status in (200, 206) else b""
    except (NotAvailable, FormatError):
        walked.complete = False
        return
    if walked.count.add(f"{way.endpoint}{path}", head) and len(walked.exchanges) < 4:
        walked.exchanges.append(exchange)

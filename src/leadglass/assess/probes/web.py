"""One web door, from its front page to the last sample: what a stranger gets there over HTTP or HTTPS."""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from leadglass.assess.counting.census import Census
from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.observation import Exchange, Fact, Observation, ObservationKind, ServiceResult
from leadglass.assess.probes import web_dicomweb as dicomweb
from leadglass.assess.probes import web_images as images
from leadglass.assess.probes import web_listing as listing
from leadglass.assess.probes import web_orthanc as orthanc
from leadglass.assess.probes import web_roots as roots
from leadglass.assess.probes.credentials import try_delivered
from leadglass.assess.probes.dimse_images import OTHER_NUMBERS
from leadglass.assess.probes.failure import why
from leadglass.assess.probes.web_client import WebWay
from leadglass.assess.probes.web_products import Front, dicoogle_search, front, pages
from leadglass.assess.probes.web_write import store_over_dicomweb, store_over_orthanc
from leadglass.errors import FormatError, NotAvailable

_T = TypeVar("_T")
_MOST_COUNTED: Final = 4
#: Products that are told by their pages, and whose lists are not DICOMweb.
_UNCOUNTED: Final = frozenset({"Dicoogle", "Conquest", "ClearCanvas", "MedDream"})


class WebProbe:
    """`census`: what was counted at this door, once `run` is through. `allow_credentials` (those that products are
    delivered with), `allow_writing`: as the scope says."""

    def __init__(
        self, way: WebWay, fingerprints: Fingerprints, *, allow_credentials: bool, allow_writing: bool
    ) -> None:
        self._way = way
        self._fingerprints = fingerprints
        self._allow_credentials = allow_credentials
        self._allow_writing = allow_writing
        self._observations: list[Observation] = []
        self._unknowns: list[str] = []
        self._product = ""
        self._nowhere = 404
        self._medical: Exchange | None = None
        self._known: tuple[str, str, str] | None = None
        self._stores: list[Callable[[], Observation | None]] = []
        self.census = Census(fingerprints)

    def run(self) -> ServiceResult:
        """NotHttp if what answers is no HTTP, NotAvailable if nobody does. Whatever goes wrong once the door has spoken
        HTTP is told among the unknowns."""
        root = front(self._way, "/")
        self._see(
            ObservationKind.OTHER_SERVICE,
            root.exchange,
            protocol=self._way.protocol,
            server=root.server,
            redirects=root.redirects,
        )
        self._look_around(root)
        if self._way.strikes.spent:
            self._unknowns.append("the time or the bytes that one address may have are spent")
        elif self._way.strikes.out:
            self._unknowns.append("it stopped answering before everything was looked at")
        if self._medical is not None and self._way.protocol == "http":
            self._see(ObservationKind.WEB_PLAINTEXT, self._medical)
        return ServiceResult(
            self._way.endpoint,
            self._way.protocol,
            self._product,
            self.census.counters(),
            self.census.oldest,
            self.census.newest,
            self.census.identifiers,
            tuple(self._observations),
            tuple(dict.fromkeys(self._unknowns)),
        )

    def _look_around(self, root: Front) -> None:
        nowhere = self._attempt("a path that does not exist", partial(front, self._way, f"/{secrets.token_hex(8)}"))
        if nowhere is not None:
            self._nowhere = nowhere.status
            if nowhere.status in (401, 403):
                self._see(ObservationKind.WEB_LOGIN, nowhere.exchange, interface="everything", root="/")
        system = self._attempt("Orthanc's interface", partial(orthanc.look, self._way))
        if system is not None and system.access != "absent":
            self._on_orthanc(system)
        counted = self._dicomweb()
        if system is not None and system.access == "open" and not counted:
            self._attempt("counting over Orthanc's interface", self._count_orthanc)
        self._pages(root)
        self._wado_uri()
        self._listings(root)
        if self._allow_writing:
            self._attempt("the write test", self._write)
        if self._allow_credentials and (system is None or system.access != "open"):
            self._attempt("delivered passwords", self._credentials)

    def _on_orthanc(self, system: orthanc.System) -> None:
        self._name(system.product, system.exchange)
        if system.access == "closed":
            self._see(ObservationKind.WEB_LOGIN, system.exchange, interface="orthanc", root="/")
            return
        self._see(
            ObservationKind.WEB_SERVICE,
            system.exchange,
            interface="orthanc",
            root="/",
            access="open",
            administration=True,
            dicom_port=system.dicom_port,
        )
        self._see(ObservationKind.WEB_STORE_INDICATED, system.exchange, interface="orthanc", root="/")
        self._stores.append(partial(store_over_orthanc, self._way))

    def _dicomweb(self) -> bool:
        """Whether studies were counted."""
        known = dict.fromkeys(roots.KNOWN, "")
        for root, product, exchange in roots.told(self._way):
            self._name(product, exchange)
            known[root] = product
        opened = 0
        for root in known:
            shown = roots.shown_root(root)
            way = self._way.aliased(root, shown)
            room = self._attempt(f"DICOMweb at {shown}", partial(dicomweb.look, way, root, self._nowhere))
            if room is None or room.access == "absent":
                continue
            self._medical = room.exchange
            if room.access == "closed":
                self._see(ObservationKind.WEB_LOGIN, room.exchange, interface="dicomweb", root=shown)
            elif opened < _MOST_COUNTED:
                opened += 1
                self._stores.append(partial(store_over_dicomweb, way, root))
                self._count_dicomweb(way, room)
        return opened > 0

    def _count_dicomweb(self, way: WebWay, room: dicomweb.Room) -> None:
        root, shown = room.root, way.shown(room.root)
        sample = images.Sample()
        if room.first:
            images.prove(way, root, (room.first,), sample)
        census = Census(self._fingerprints, retrievable=bool(sample.proven))
        found = dicomweb.StudyList(way, root, census).count()
        images.count_below(way, root, census, found.without_counts)
        if images.is_caught(way, root, found.sample.drawn):
            census.doubt_images()
            self._unknowns.append(OTHER_NUMBERS)
        drawn = (each.study for each in found.sample.drawn)
        images.prove(way, root, (study for study in drawn if study != room.first), sample)
        for instance in sample.proven:
            census.prove(instance)
        self._see(
            ObservationKind.WEB_QUERY,
            found.exchange or room.exchange,
            interface="dicomweb",
            root=shown,
            answers=found.answers,
            capped=found.capped,
            split=found.split,
        )
        if sample.exchanges:
            self._observations.append(sample.observation("dicomweb", shown))
        self._known = self._known or sample.known
        self._unknowns += found.unknowns
        self.census.absorb(census)

    def _count_orthanc(self) -> None:
        sample = images.Sample()
        orthanc.prove(self._way, sample)
        census = Census(self._fingerprints, retrievable=bool(sample.proven))
        found = orthanc.StudyList(self._way, census)
        found.count()
        for instance in sample.proven:
            census.prove(instance)
        if found.exchange is not None:
            self._see(ObservationKind.WEB_QUERY, found.exchange, interface="orthanc", root="/", answers=found.answers)
        if sample.exchanges:
            self._observations.append(sample.observation("orthanc", "/"))
        self._unknowns += found.unknowns
        self.census.absorb(census)

    def _pages(self, root: Front) -> None:
        for page in pages(self._way, root):
            signature = page.signature
            self._name(signature.product, page.exchange)
            if signature.product == "Orthanc" and self._product != "Orthanc":
                continue  # its version is known: the interface behind that page has been looked at
            kind = ObservationKind.WEB_SERVICE if page.access == "open" else ObservationKind.WEB_LOGIN
            self._see(
                kind,
                page.exchange,
                interface=signature.interface,
                root=signature.path.split("?")[0],
                access=page.access,
                viewer=signature.interface == "viewer",
            )
        if self._product == "Dicoogle":
            self._attempt("Dicoogle's search", self._dicoogle)
        if self._medical is not None and self._product in _UNCOUNTED and not self.census.studies:
            self._unknowns.append(f"what {self._product} holds was not counted: its own interface is not known to us")

    def _dicoogle(self) -> None:
        exchange = dicoogle_search(self._way)
        if exchange is not None:
            self._see(ObservationKind.WEB_SERVICE, exchange, interface="search", root="/search", access="open")

    def _wado_uri(self) -> None:
        for path, access, exchange in roots.wado_uri(self._way, self._nowhere, self._known):
            self._medical = exchange
            kind = ObservationKind.WEB_SERVICE if access == "open" else ObservationKind.WEB_LOGIN
            self._see(kind, exchange, interface="wado-uri", root=path, access=access)

    def _listings(self, root: Front) -> None:
        found = ["/"] if listing.is_listing(root) else []
        for folder in () if found else listing.FOLDERS:
            page = self._attempt(f"the folder {folder}", partial(front, self._way, folder))
            if page is not None and listing.is_listing(page):
                found.append(folder)
        for folder in found:
            walked = listing.walk(self._way, folder)
            self._observations.append(walked.observation())
            if walked.dicom_files and walked.exchanges:
                self._medical = walked.exchanges[0]
                census = Census(self._fingerprints, retrievable=True)
                walked.count.count_into(census, complete=walked.complete)
                self.census.absorb(census)

    def _write(self) -> None:
        """At one open interface: whoever may write through one may write."""
        for store in self._stores:
            written = store()
            if written is not None:
                self._observations.append(written)
                return

    def _credentials(self) -> None:
        trial = try_delivered(self._way, self._product)
        if trial is None:
            return
        self._observations.append(trial.observation)
        if trial.way is not None:
            # Whoever has read the manual goes on from here; so do the numbers.
            self._way = trial.way
            if not self._dicomweb() and self._product.startswith("Orthanc"):
                self._count_orthanc()

    def _name(self, product: str, exchange: Exchange) -> None:
        """The first product that shows, or the same with its version."""
        self._medical = self._medical or exchange
        if not self._product or product.startswith(f"{self._product} "):
            self._product = product

    def _see(self, kind: ObservationKind, exchange: Exchange, **facts: Fact) -> None:
        self._observations.append(Observation(kind, facts, (exchange,)))

    def _attempt(self, what: str, act: Callable[[], _T]) -> _T | None:
        """A step after which the others still make sense, however it ends; what fails in the peer's time is told."""
        try:
            return act()
        except (NotAvailable, FormatError) as error:
            self._unknowns.append(f"{what} came to nothing: {why(error)}")
            return None

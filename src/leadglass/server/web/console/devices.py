"""Devices: what is enrolled, when its key runs out, why it does not connect; enrolment by a device's own certificate.

Keys and certificates of our authority are made at the command line: `serve` never reads the authority's key.
"""

import time
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive
from leadglass.archive.authorise import authorise, may
from leadglass.archive.devices import DEVICE_ROLES, Credential, Device, Enrolment
from leadglass.archive.diagnosis import diagnose
from leadglass.crypto.certificates import parse_certificate, require_client_use
from leadglass.errors import FormatError, ProofTooOld, UsageError
from leadglass.model import DEFAULT_SITE, Operation
from leadglass.server.web.authentication import principal_of
from leadglass.server.web.console import present
from leadglass.server.web.console.forms import Form, form_of
from leadglass.server.web.console.proving import prove_again, typed_before
from leadglass.server.web.console.waiting import waiting
from leadglass.server.web.pages import Pages

_SOON_US = 30 * 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """`standing` is one of good, soon, expired, suspended, disabled; `until` the last day of its newest key."""

    name: str
    aets: tuple[str, ...]
    roles: tuple[str, ...]
    site: str
    person: str
    until: str
    standing: str

    @classmethod
    def of(cls, device: Device, now: int) -> "DeviceLine":
        lasting = max((key.not_after for key in device.keys if key.retired_at is None), default=0)
        standing = "good" if lasting > now + _SOON_US else "soon" if lasting > now else "expired"
        return cls(
            name=device.name,
            aets=device.aets,
            roles=device.roles,
            site=device.site,
            person=device.person,
            until=present.day(lasting) if lasting else "",
            standing="disabled" if device.disabled else "suspended" if device.suspended is not None else standing,
        )


class DevicesPage:
    def __init__(self, archive: Archive, pages: Pages) -> None:
        self._archive = archive
        self._pages = pages

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/devices", self._list, methods=["GET"]),
            Route("/devices", self._add, methods=["POST"]),
            Route("/devices/{name}", self._show, methods=["GET"]),
            Route("/devices/{name}/disable", self._disable, methods=["POST"]),
            Route("/devices/{name}/enable", self._enable, methods=["POST"]),
        ]

    def _list(self, request: Request) -> Response:
        return self._page(request)

    def _page(self, request: Request, problem: str = "", asked: Form | None = None, status: int = 200) -> Response:
        principal = principal_of(request)
        authorise(principal, Operation.ADMINISTER)
        now = time.time_ns() // 1000
        devices = self._archive.registry.book.devices.values()
        return self._pages.page(
            request,
            "devices.html",
            status,
            waiting=waiting(self._archive, principal),
            devices=[DeviceLine.of(device, now) for device in devices],
            roles=[role.value for role in DEVICE_ROLES],
            problem=problem,
            asked=asked or typed_before(request, {"site": DEFAULT_SITE}),
        )

    async def _add(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._added, request, form)

    def _added(self, request: Request, form: Form) -> Response:
        principal = principal_of(request)
        try:
            self._archive.registry.add(principal, _enrolment(form), _pinned(form.get("certificate", "")))
        except ProofTooOld:
            return prove_again("/devices", form)
        except (UsageError, FormatError) as error:
            return self._page(request, problem=str(error), asked=form, status=error.http_status)
        return RedirectResponse(f"/devices/{form['name']}", 303)

    def _show(self, request: Request) -> Response:
        principal, name = principal_of(request), request.path_params["name"]
        diagnosis = diagnose(self._archive, principal, name)
        device = self._archive.registry.device(name)
        return self._pages.page(
            request,
            "device.html",
            device=device,
            line=DeviceLine.of(device, time.time_ns() // 1000),
            diagnosis=diagnosis,
            day=present.day,
        )

    def _disable(self, request: Request) -> Response:
        name = request.path_params["name"]
        self._archive.registry.disable(principal_of(request), name)
        return RedirectResponse(f"/devices/{name}", 303)

    def _enable(self, request: Request) -> Response:
        """Lifts a suspension. Stewards may, who see no devices here."""
        principal, name = principal_of(request), request.path_params["name"]
        back = f"/devices/{name}" if may(principal, Operation.ADMINISTER) else "/"
        try:
            self._archive.registry.enable(principal, name)
        except ProofTooOld:
            return prove_again(back)
        return RedirectResponse(back, 303)


def _enrolment(form: Form) -> Enrolment:
    name = form.get("name", "")
    # It becomes part of an address here, and of file names at the command line.
    if not 0 < len(name) <= 64 or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise UsageError("A device's name is 1 to 64 letters, digits, dots, dashes and underscores.")
    return Enrolment(
        name=name,
        site=form.get("site") or DEFAULT_SITE,
        roles=form.all("role"),
        aets=tuple(form.get("aets", "").replace(",", " ").split()),
        issuer=form.get("issuer", ""),
        person=form.get("person", ""),
        may_revise=False,
        private_sop_classes=(),
        destination=form.get("destination", ""),
    )


def _pinned(pem: str) -> Credential:
    """The device's own certificate, which is its own trust anchor. Raises UsageError, FormatError."""
    try:
        certificate = parse_certificate(pem.encode("ascii"))
    except UnicodeEncodeError:
        raise UsageError("That is not a certificate in PEM.") from None
    require_client_use(certificate)
    return Credential(certificate, certificate.der)

"""Pages for people: Jinja2 templates with everything escaped, in one frame (`console/templates/base.html`).

A page of somebody who has signed in goes away with an idle session (45 CFR 164.312(a)(2)(iii)): what is on it is seen
by whoever passes.
"""

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from leadglass.model import Principal, Role
from leadglass.server.web.assets import Assets

_ROOM = Path(__file__).parent
TEMPLATES = (_ROOM / "console" / "templates", _ROOM / "signin" / "templates")
#: Pages show patients: no cache keeps one.
_HEADERS = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    href: str
    current: bool = False


#: What leads where, and for which roles it shows; the verbs behind decide again.
_NAVIGATION: tuple[tuple[str, str, frozenset[Role]], ...] = (
    ("Studies", "/studies", frozenset({Role.CLINICIAN, Role.STEWARD})),
    ("Upload", "/upload", frozenset({Role.STEWARD})),
    ("Quarantine", "/quarantine", frozenset({Role.STEWARD})),
    ("Reconcile", "/reviews", frozenset({Role.STEWARD})),
    ("Access", "/access", frozenset({Role.AUDITOR, Role.STEWARD})),
    ("Devices", "/devices", frozenset({Role.ADMINISTRATOR})),
    ("Users", "/users", frozenset({Role.ADMINISTRATOR})),
    ("Tokens", "/tokens", frozenset({Role.ADMINISTRATOR})),
)


class Pages:
    """`page` renders one. Every template knows `principal` (None before sign-in), `navigation`, `asset(name)`."""

    def __init__(self, assets: Assets, idle_seconds: int) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(asset=assets.url, has_asset=assets.__contains__, idle_seconds=idle_seconds)

    def page(self, request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
        principal: Principal | None = request.scope.get("leadglass.principal")
        shown = self._environment.get_template(template).render(
            principal=principal, navigation=navigation_of(principal, request.url.path), **values
        )
        return HTMLResponse(shown, status, headers=_HEADERS)


def navigation_of(principal: Principal | None, path: str) -> tuple[Link, ...]:
    if principal is None:
        return ()
    return tuple(
        Link(label, href, path == href or path.startswith(f"{href}/"))
        for label, href, roles in _NAVIGATION
        if principal.roles & roles
    )

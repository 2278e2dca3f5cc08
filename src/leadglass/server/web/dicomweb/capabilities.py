"""OPTIONS: the capabilities of the service as a WADL document (PS3.18 8.9, Annex H), made of the routes themselves."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from leadglass.dicom.dictionary import keyword_of
from leadglass.errors import NotFound
from leadglass.server.web.dicomweb.accept import DICOM, OCTETS, ZIP
from leadglass.server.web.dicomweb.dispatch import accepted
from leadglass.server.web.dicomweb.errors import NotAcceptable
from leadglass.server.web.dicomweb.qido import IF_KNOWN, REQUIRED
from leadglass.server.web.dicomweb.representations import JSON, XML
from leadglass.server.web.dicomweb.requests import ROOT, service_of

WADL: Final = "application/vnd.sun.wadl+xml"
_NAMESPACE: Final = "http://wadl.dev.java.net/2009/02"
_ATTRIBUTES: Final = (JSON, f'multipart/related; type="{XML}"')
_STORED: Final = (f'multipart/related; type="{DICOM}"',)
_INSTANCES: Final = (*_STORED, ZIP)
_IMAGES: Final = ("image/jpeg", "image/png")
#: What the last step of a path answers with.
_REPRESENTATIONS: Final = {
    **dict.fromkeys(("studies", "series", "instances", "metadata"), _ATTRIBUTES),
    **dict.fromkeys(("{study}", "{series}", "{instance}"), _INSTANCES),
    **dict.fromkeys(("frames", "{frames}", "bulkdata", "{path}"), (f'multipart/related; type="{OCTETS}"', OCTETS)),
    **dict.fromkeys(("rendered", "thumbnail"), _IMAGES),
}
_SEARCHES: Final = frozenset({"studies", "series", "instances"})
_OPTIONS: Final = ("limit", "offset", "includefield", "fuzzymatching", "emptyvaluematching", "multiplevaluematching")
#: What searches match.
KEYS: Final = tuple(dict.fromkeys(tag for table in (REQUIRED, IF_KNOWN) for tags in table.values() for tag in tags))
_STEP: Final = re.compile(r"\{(\w+):\w+\}")


class Capabilities:
    """`described`: the other routes of the service."""

    def __init__(self, described: Sequence[BaseRoute]) -> None:
        self._routes = [route for route in described if isinstance(route, Route)]

    def routes(self, root: str) -> list[BaseRoute]:
        below = _OptionsRoute(f"{root}/{{path:path}}", self.options, methods=["OPTIONS"])
        return [_OptionsRoute(root, self.options, methods=["OPTIONS"]), below]

    def options(self, request: Request) -> Response:
        """Of the whole service at its base URI, else of the resource and what is below. Raises NotFound,
        NotAcceptable."""
        if not any(wanted.covers(WADL) or wanted.covers("application/xml") for wanted in accepted(request)):
            raise NotAcceptable("The capabilities are a WADL document.", f"Accept {WADL}.")
        methods = self._methods(request)
        is_base = request.url.path.rstrip("/") == ROOT
        if not methods and not is_base:
            raise NotFound("There is no such resource.", "Ask the base URI for all there are.")
        headers = {"allow": ", ".join(sorted({*methods, "OPTIONS"}))}
        chosen = self._routes if is_base else [route for route in self._routes if _is_under(request, route)]
        return Response(_document(service_of(request), chosen), media_type=WADL, headers=headers)

    def _methods(self, request: Request) -> set[str]:
        found = (route for route in self._routes if route.matches(request.scope)[0] is not Match.NONE)
        return {method for route in found for method in route.methods or ()}


class _OptionsRoute(Route):
    """Nothing at all for other methods: what is not there is not found, whatever OPTIONS says of it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (match, child) if match is Match.FULL else (Match.NONE, {})


def _is_under(request: Request, route: Route) -> bool:
    """Whether the route is that of the resource asked for, or of one below it."""
    asked, steps = request.url.path.rstrip("/").split("/"), route.path.split("/")
    return len(steps) >= len(asked) and all(
        step == wanted or step.startswith("{") for step, wanted in zip(steps, asked, strict=False)
    )


@dataclass(slots=True)
class _Resource:
    methods: set[str] = field(default_factory=set)
    below: "dict[str, _Resource]" = field(default_factory=dict)

    def describe(self, step: str) -> str:
        methods = "".join(_method(step, method) for method in sorted(self.methods))
        inner = "".join(each.describe(name) for name, each in self.below.items())
        return f'<resource path="{escape(step)}">{methods}{inner}</resource>'


def _document(service: str, routes: Sequence[Route]) -> str:
    tree = _Resource()
    for route in routes:
        resource = tree
        for step in _STEP.sub(r"{\1}", route.path.removeprefix(ROOT)).strip("/").split("/"):
            resource = resource.below.setdefault(step, _Resource())
        resource.methods |= route.methods or set()
    inner = "".join(each.describe(step) for step, each in tree.below.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<application xmlns="{_NAMESPACE}">'
        f'<resources base="{escape(service)}">{inner}</resources></application>'
    )


def _method(step: str, method: str) -> str:
    if method == "POST":
        taken = "".join(f'<representation mediaType="{escape(each)}"/>' for each in _STORED)
        return f'<method name="POST" id="StoreInstances"><request>{taken}</request></method>'
    answers = _REPRESENTATIONS.get(step, ())
    given = "".join(f'<representation mediaType="{escape(each)}"/>' for each in answers)
    options = "".join(f'<option value="{escape(each)}"/>' for each in answers)
    query = "".join(_parameter(name) for name in _OPTIONS) if step in _SEARCHES else ""
    query += "".join(_parameter(keyword_of(tag)) for tag in KEYS) if step in _SEARCHES else ""
    accept = f'<param name="Accept" style="header">{options}</param>'
    return (
        f'<method name="{method}"><request>{accept}{query}</request><response status="200">{given}</response></method>'
    )


def _parameter(name: str) -> str:
    return f'<param name="{name}" style="query"/>'

"""The OpenAPI document (3.1.0), made of the routes themselves: one that no table describes keeps the door shut."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from leadglass import __version__
from leadglass.server.web.openapi import console, dicomweb
from leadglass.server.web.openapi.operation import HTML, JSON, OBJECT, Operation, Schema
from leadglass.server.web.signin.cookies import SESSION

OPERATIONS: Final[Mapping[str, Operation]] = {**console.OPERATIONS, **dicomweb.OPERATIONS}
PATH: Final = "/openapi.json"

_UID: Final[Schema] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)*$", "maxLength": 64}
_NUMBER: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
#: What stands in paths, by name.
_PATH_PARAMETERS: Final[Mapping[str, Schema]] = {
    **dict.fromkeys(("study", "series", "instance"), _UID),
    **dict.fromkeys(("share", "number", "frame"), _NUMBER),
    "frames": {"type": "string", "pattern": r"^[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*$"},
    "side": {"type": "string"},
    "name": {"type": "string", "minLength": 1},
    "path": {"type": "string", "minLength": 1},
}
_CONVERTED: Final = re.compile(r"\{(\w+):\w+\}")
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_WORDS: Final = {
    200: "What was asked for.",
    202: "Some of it is stored; the answer says why the rest is not.",
    204: "There is none.",
    303: "On to another page.",
    304: "As it was.",
    400: "That cannot be meant.",
    401: "Sign in first.",
    403: "Not for this role, or not from a page of this archive.",
    404: "Not there, or not for this caller.",
    406: "Nothing that the request accepts can be made of what is stored.",
    409: "It contradicts what is here.",
    413: "Larger than the limit.",
    415: "Of a kind that is not taken.",
    429: "Too many sign-ins have failed.",
    503: "Not available now.",
}


def routes(described: Sequence[BaseRoute]) -> list[BaseRoute]:
    """The route of the document about `described` and itself. Raises LookupError for a route that nothing describes."""
    own = Route(PATH, lambda _: JSONResponse(shown), methods=["GET"])
    shown = document([*described, own])
    return [own]


def document(described: Sequence[BaseRoute]) -> Mapping[str, Any]:
    """Raises LookupError."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path in _operations_of(described):
        paths.setdefault(path, {})[method.lower()] = _operation(path, method, OPERATIONS[f"{method} {path}"])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Leadglass", "version": __version__, "license": {"name": "Apache-2.0"}},
        "security": [{"session": []}, {"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION},
                "token": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {"Problem": console.PROBLEM},
        },
    }


def _operations_of(described: Sequence[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Method and path of each; HEAD goes with GET."""
    for route in described:
        if isinstance(route, Route):
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield method, _CONVERTED.sub(r"{\1}", route.path)


def _operation(path: str, method: str, operation: Operation) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS[name]}
        for name in _PARAMETER.findall(path)
    ]
    in_query = [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()]
    made: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [*in_path, *in_query],
        "responses": _responses(method, operation),
    }
    if operation.bodies:
        content = {media_type: {"schema": schema} for media_type, schema in operation.bodies.items()}
        made["requestBody"] = {"required": True, "content": content}
    if operation.public:
        made["security"] = []
    return made


def _responses(method: str, operation: Operation) -> dict[str, Any]:
    """A token that is no good is refused everywhere, and an act of another site's page wherever there are acts."""
    refusals = {401, *operation.refusals}
    if not operation.public or method == "POST":
        refusals.add(403)
    made: dict[str, Any] = {}
    for status in sorted({*operation.answers, *refusals}):
        content = {name: {"schema": _answered(name, operation)} for name in operation.answers.get(status, ())}
        if status in refusals:
            # A page where a person asked, and a form that is shown once more with what is wrong with it.
            content |= {JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}, HTML: {"schema": {}}}
        made[str(status)] = {"description": _WORDS[status], **({"content": content} if content else {})}
    return made


def _answered(media_type: str, operation: Operation) -> Schema:
    """Our own JSON is an object. That of DICOMweb is a model of data sets (PS3.18 F), whatever it is called."""
    return OBJECT if media_type == JSON and operation.tag != dicomweb.TAG else {}

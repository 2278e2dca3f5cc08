"""What there is to say of one method of one path, and how the kinds of it that we have are said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

Schema = Mapping[str, Any]

HTML: Final = "text/html"
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

TEXT: Final[Schema] = {"type": "string", "maxLength": 64}
DAY: Final[Schema] = {"type": "string", "format": "date"}
SECRET: Final[Schema] = {"type": "string", "format": "password", "maxLength": 256}
OBJECT: Final[Schema] = {"type": "object"}
ANY_TEXT: Final[Schema] = {"type": "string"}
BYTES: Final[Schema] = {"type": "string", "format": "binary"}
NOTHING: Final[Mapping[str, Schema]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Operation:
    """`answers`: by status, the media types of what was asked for, none where there is no body. `refusals`: statuses
    that say why not. `bodies` and `query` are schemas by media type and by name. `public`: nobody needs to sign in."""

    tag: str
    summary: str
    answers: Mapping[int, tuple[str, ...]]
    refusals: tuple[int, ...] = ()
    bodies: Mapping[str, Schema] = field(default_factory=lambda: NOTHING)
    query: Mapping[str, Schema] = field(default_factory=lambda: NOTHING)
    public: bool = False


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def many(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def fields(**schemas: Schema) -> Schema:
    """Of a form or an object. Those whose name begins with an underscore, which is not part of it, may be missing."""
    return {
        "type": "object",
        "properties": {name.removeprefix("_"): schema for name, schema in schemas.items()},
        "required": [name for name in schemas if not name.startswith("_")],
    }


def page(
    tag: str, summary: str, *refusals: int, query: Mapping[str, Schema] = NOTHING, public: bool = False
) -> Operation:
    return Operation(tag, summary, {200: (HTML,)}, refusals, query=query, public=public)


def form(tag: str, summary: str, *refusals: int, public: bool = False, then: int = 303, **given: Schema) -> Operation:
    """What a form sends; `then` is the status of success. Grants may be answered with a redirect, too: to the page that
    asks for a fresh proof."""
    answers = {303: ()} if then == 303 else {then: (HTML,), 303: ()}
    return Operation(tag, summary, answers, (400, *refusals), {FORM: fields(**given)}, public=public)


def press(tag: str, summary: str, *refusals: int) -> Operation:
    """A button: no field says more than the path."""
    return Operation(tag, summary, {303: ()}, refusals)

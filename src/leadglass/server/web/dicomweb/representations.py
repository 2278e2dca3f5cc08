"""The two models in which attributes go out, JSON and XML (PS3.18 8.7.4), and which of them a request wants."""

import re
from collections.abc import Iterable, Sequence
from enum import Enum

from starlette.requests import Request

from leadglass.server.web.dicomweb.accept import MediaRange
from leadglass.server.web.dicomweb.dispatch import accepted
from leadglass.server.web.dicomweb.errors import NotAcceptable

JSON = "application/dicom+json"
XML = "application/dicom+xml"
#: What clients that know no DICOM ask for; they are answered in its name.
PLAIN_JSON = "application/json"


_IS_NONE = re.compile(r"q=0(\.0{0,3})?", re.IGNORECASE)


class Model(Enum):
    """By the media type of its answers."""

    JSON = JSON
    PLAIN_JSON = PLAIN_JSON
    XML = XML

    @property
    def is_json(self) -> bool:
        return self is not Model.XML


def wanted_model(request: Request) -> Model:
    """Raises UsageError for a malformed Accept, NotAcceptable."""
    return _chosen(accepted(request))


def accepts_gzip(request: Request) -> bool:
    """Whether an answer may be compressed (RFC 9110 12.5.3)."""
    for field in request.headers.getlist("accept-encoding"):
        for each in field.split(","):
            coding, _, weight = each.replace(" ", "").partition(";")
            if coding.lower() in ("gzip", "x-gzip") and _IS_NONE.fullmatch(weight) is None:
                return True
    return False


def _chosen(ranges: Iterable[MediaRange]) -> Model:
    for wanted in ranges:
        for model in _offered(wanted):
            if wanted.covers(model.value):
                return model
    raise NotAcceptable(
        "Attributes are answered in JSON or XML.",
        f'Accept {JSON}, or multipart/related; type="{XML}".',
    )


def _offered(wanted: MediaRange) -> Sequence[Model]:
    """XML comes in parts, JSON as a whole (PS3.18 8.7.4)."""
    if wanted.multipart:
        return (Model.XML,)
    return (Model.JSON, Model.PLAIN_JSON) if wanted.multipart is False else (Model.JSON,)

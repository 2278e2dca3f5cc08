"""DICOMweb (PS3.18), as far as OpenAPI can say it; `OPTIONS /dicom-web` says it in the standard's own way."""

from collections.abc import Mapping
from typing import Final

from leadglass.dicom.dictionary import keyword_of
from leadglass.server.web.dicomweb.accept import DICOM, OCTETS, ZIP
from leadglass.server.web.dicomweb.capabilities import KEYS, WADL
from leadglass.server.web.dicomweb.representations import JSON, PLAIN_JSON, XML
from leadglass.server.web.dicomweb.requests import ROOT
from leadglass.server.web.openapi.operation import ANY_TEXT, BYTES, NOTHING, Operation, Schema, many, one_of

TAG: Final = "DICOMweb"
_RELATED: Final = "multipart/related"
_IMAGES: Final = ("image/jpeg", "image/png")
_ATTRIBUTES: Final = (JSON, PLAIN_JSON, _RELATED)

_WHOLE: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_FLAG: Final = one_of("true", "false")
_SEARCH: Final[Mapping[str, Schema]] = {
    "limit": _WHOLE,
    "offset": _WHOLE,
    "includefield": many(ANY_TEXT),
    **dict.fromkeys(("fuzzymatching", "emptyvaluematching", "multiplevaluematching"), _FLAG),
    **{keyword_of(tag): ANY_TEXT for tag in KEYS},
}
_RENDERING: Final[Mapping[str, Schema]] = {
    "window": {"type": "string", "description": "center,width,function (PS3.18 8.3.5.1.4)"},
    "viewport": {"type": "string", "description": "vw,vh or vw,vh,sx,sy,sw,sh (PS3.18 8.3.5.1.3)"},
    "quality": {"type": "integer", "minimum": 1, "maximum": 100},
}
_URI: Final[Mapping[str, Schema]] = {
    "requestType": one_of("WADO"),
    **dict.fromkeys(("studyUID", "seriesUID", "objectUID", "contentType", "transferSyntax", "frameNumber"), ANY_TEXT),
    **dict.fromkeys(("rows", "columns", "region", "windowCenter", "windowWidth", "imageQuality"), ANY_TEXT),
}
_STORED: Final[Mapping[str, Schema]] = {_RELATED: BYTES, DICOM: BYTES}


def _search(what: str) -> Operation:
    answers: dict[int, tuple[str, ...]] = {200: _ATTRIBUTES, 204: ()}
    return Operation(TAG, f"Search for {what} (QIDO-RS).", answers, (400, 406, 413), query=_SEARCH)


def _retrieve(what: str, media_types: tuple[str, ...], query: Mapping[str, Schema] = NOTHING) -> Operation:
    return Operation(TAG, f"Retrieve {what} (WADO-RS).", {200: media_types}, (400, 404, 406, 413, 503), query=query)


def _store(where: str) -> Operation:
    attributes = (JSON, PLAIN_JSON, XML)
    answers = dict.fromkeys((200, 202, 409, 503), attributes)
    return Operation(TAG, f"Store instances {where} (STOW-RS).", answers, (400, 406, 413, 415, 503), _STORED)


def _options(what: str) -> Operation:
    return Operation(TAG, f"The capabilities of {what}.", {200: (WADL,)}, (400, 404, 406))


_STUDY: Final = f"{ROOT}/studies/{{study}}"
_SERIES: Final = f"{_STUDY}/series/{{series}}"
_INSTANCE: Final = f"{_SERIES}/instances/{{instance}}"
_FRAMES: Final = f"{_INSTANCE}/frames/{{frames}}"
_LEVELS: Final = {_STUDY: "a study", _SERIES: "a series", _INSTANCE: "an instance"}

OPERATIONS: Final[Mapping[str, Operation]] = {
    f"GET {ROOT}/studies": _search("studies"),
    f"GET {ROOT}/series": _search("series"),
    f"GET {ROOT}/instances": _search("instances"),
    f"GET {_STUDY}/series": _search("series of a study"),
    f"GET {_STUDY}/instances": _search("instances of a study"),
    f"GET {_SERIES}/instances": _search("instances of a series"),
    f"POST {ROOT}/studies": _store("of any study"),
    f"POST {_STUDY}": _store("of one study"),
    **{f"GET {path}": _retrieve(what, (_RELATED, DICOM, ZIP)) for path, what in _LEVELS.items()},
    **{f"GET {path}/metadata": _retrieve(f"metadata of {what}", _ATTRIBUTES) for path, what in _LEVELS.items()},
    f"GET {_FRAMES}": _retrieve("frames", (_RELATED, OCTETS, "image/*", "video/*")),
    f"GET {_INSTANCE}/bulkdata/{{path}}": _retrieve("a value", (_RELATED, OCTETS, "application/pdf")),
    **{
        f"GET {path}/{kind}": _retrieve(f"{what}, {kind}", (*_IMAGES, _RELATED), _RENDERING)
        for path, what in {**_LEVELS, _FRAMES: "frames"}.items()
        for kind in ("rendered", "thumbnail")
    },
    f"GET {ROOT}/wado": Operation(
        TAG, "Retrieve an instance (WADO-URI).", {200: (DICOM, *_IMAGES)}, (400, 404, 406, 503), query=_URI
    ),
    f"OPTIONS {ROOT}": _options("the service"),
    f"OPTIONS {ROOT}/{{path}}": _options("a resource and what is below"),
}

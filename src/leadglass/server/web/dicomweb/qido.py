"""QIDO-RS: searching for studies, series and instances, PS3.18 10.6."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive
from leadglass.archive.query import STUDY_ROOT, Page, QueryRequest, query_page, supported_keys
from leadglass.dicom import tags
from leadglass.dicom.json_model import JsonForm, KnownFragments, json_of
from leadglass.dicom.uids import parse_uid
from leadglass.dicom.xml_model import XmlForm, document, xml_of
from leadglass.errors import UsageError
from leadglass.model import Attributes, Level
from leadglass.server.web.authentication import peer_of, principal_of
from leadglass.server.web.dicomweb.errors import ContentTooLarge
from leadglass.server.web.dicomweb.multipart import MultipartWriter
from leadglass.server.web.dicomweb.parameters import SearchParameters, parse_search
from leadglass.server.web.dicomweb.representations import XML, wanted_model
from leadglass.server.web.dicomweb.requests import service_of

#: Bytes of one answer; searches for more are to be made in pages.
MOST_BYTES: Final = 16 * 1024 * 1024
RETRIEVE_URL: Final = 0x00081190

#: PS3.18 Tables 10.6.3-3, -4 and -5, by level: attributes that are always there, if only empty …
REQUIRED: Final[Mapping[Level, tuple[int, ...]]] = {
    Level.STUDY: (
        tags.STUDY_DATE,
        tags.STUDY_TIME,
        tags.ACCESSION_NUMBER,
        tags.MODALITIES_IN_STUDY,
        tags.REFERRING_PHYSICIAN_NAME,
        tags.PATIENT_NAME,
        tags.PATIENT_ID,
        tags.PATIENT_BIRTH_DATE,
        tags.PATIENT_SEX,
        tags.STUDY_INSTANCE_UID,
        tags.STUDY_ID,
        tags.NUMBER_OF_STUDY_RELATED_SERIES,
        tags.NUMBER_OF_STUDY_RELATED_INSTANCES,
    ),
    Level.SERIES: (
        tags.MODALITY,
        tags.SERIES_INSTANCE_UID,
        tags.SERIES_NUMBER,
        tags.NUMBER_OF_SERIES_RELATED_INSTANCES,
    ),
    Level.IMAGE: (tags.SOP_CLASS_UID, tags.SOP_INSTANCE_UID, tags.INSTANCE_NUMBER),
}
#: … and those that are there when they are known.
IF_KNOWN: Final[Mapping[Level, tuple[int, ...]]] = {
    Level.STUDY: (tags.TIMEZONE_OFFSET_FROM_UTC,),
    Level.SERIES: (
        tags.SERIES_DESCRIPTION,
        tags.PERFORMED_PROCEDURE_STEP_START_DATE,
        tags.PERFORMED_PROCEDURE_STEP_START_TIME,
        tags.REQUEST_ATTRIBUTES_SEQUENCE,
    ),
    Level.IMAGE: (tags.ROWS, tags.COLUMNS, tags.BITS_ALLOCATED, tags.NUMBER_OF_FRAMES),
}
#: Answered with every match although the index does not hold them.
_ADDED: Final = frozenset({tags.SPECIFIC_CHARACTER_SET, tags.INSTANCE_AVAILABILITY, RETRIEVE_URL})
_SEQUENCES: Final = frozenset({tags.REQUEST_ATTRIBUTES_SEQUENCE})
_PATHS: Final = {"study": tags.STUDY_INSTANCE_UID, "series": tags.SERIES_INSTANCE_UID}
_MORE: Final = "The number of results exceeded the maximum. Additional results can be requested."


class Qido:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def routes(self, root: str) -> list[BaseRoute]:
        """PS3.18 Table 10.6.1-1: below a study or series, and across all."""
        studies, series = f"{root}/studies", f"{root}/studies/{{study}}/series"
        return [
            Route(studies, self.studies, methods=["GET"]),
            Route(series, self.series, methods=["GET"]),
            Route(f"{root}/series", self.series, methods=["GET"]),
            Route(f"{root}/studies/{{study}}/instances", self.instances, methods=["GET"]),
            Route(f"{series}/{{series}}/instances", self.instances, methods=["GET"]),
            Route(f"{root}/instances", self.instances, methods=["GET"]),
        ]

    def studies(self, request: Request) -> Response:
        return self._search(request, Level.STUDY)

    def series(self, request: Request) -> Response:
        return self._search(request, Level.SERIES)

    def instances(self, request: Request) -> Response:
        return self._search(request, Level.IMAGE)

    def _search(self, request: Request, level: Level) -> Response:
        model = wanted_model(request)
        supported = supported_keys(self._archive, level)
        asked = parse_search(request.url.query, supported | _ADDED)
        identifier = _identifier(request, level, asked, supported)
        asker = QueryRequest(STUDY_ROOT, identifier, asked.matching, peer_of(request))
        service = service_of(request)

        def make(page: Page) -> Response:
            headers = {"warning": _warnings(service, asked, page)} if asked.warnings or page.more else {}
            answers = (_answer(row, level, asked, service) for row in page.rows)
            if model.is_json:
                return Response(_array(answers), media_type=model.value, headers=headers)
            if not page.rows:
                return Response(status_code=204, headers=headers)  # a multipart body has at least one part
            return _in_parts(answers, headers)

        return query_page(self._archive, principal_of(request), asker, make, asked.limit, asked.offset)


def _array(answers: Iterable[Attributes]) -> bytes:
    form, known = JsonForm(""), KnownFragments()
    return b"[%b]" % b",".join(bounded(json_of(answer, form, known) for answer in answers))


def _in_parts(answers: Iterable[Attributes], headers: dict[str, str]) -> Response:
    writer, form = MultipartWriter(), XmlForm("")
    parts: list[bytes] = []
    for text in bounded(document(xml_of(answer, form)) for answer in answers):
        parts += (writer.part(Content_Type=XML), text)
    return Response(b"".join((*parts, writer.end())), media_type=writer.content_type(XML), headers=headers)


def bounded(texts: Iterable[str]) -> Iterator[bytes]:
    """Raises ContentTooLarge (PS3.18 Table 10.6.3-1: 413)."""
    size = 0
    for text in texts:
        data = text.encode()
        size += len(data)
        if size > MOST_BYTES:
            raise ContentTooLarge("The matches are more than fit in one answer.", "Ask in pages, by limit and offset.")
        yield data


def _identifier(request: Request, level: Level, asked: SearchParameters, supported: frozenset[int]) -> Attributes:
    """The query as a C-FIND would put it: keys to match, and those to return, universal."""
    wanted = supported if asked.includes is None else asked.includes & supported
    returned = {tag for each in _levels(request, level) for tag in (*REQUIRED[each], *IF_KNOWN[each])}
    identifier: dict[int, str | tuple[Attributes, ...]] = {
        tag: () if tag in _SEQUENCES else "" for tag in sorted((returned | wanted) & supported)
    }
    identifier.update({tag: value for tag, value in asked.keys.items() if tag not in _ADDED})
    for name, tag in _PATHS.items():
        if name in request.path_params:
            uid = parse_uid(request.path_params[name])
            if identifier.get(tag) not in (None, "", uid):
                raise UsageError("The path and the query name different studies or series.")
            identifier[tag] = uid
    identifier[tags.QUERY_RETRIEVE_LEVEL] = level.value
    return identifier


def _levels(request: Request, level: Level) -> Iterator[Level]:
    """The level, and those above that the path leaves open (PS3.18 10.6.3.3.2, 10.6.3.3.3)."""
    yield level
    if level is Level.IMAGE and "series" not in request.path_params:
        yield Level.SERIES
    if level is not Level.STUDY and "study" not in request.path_params:
        yield Level.STUDY


_CONDITIONAL: Final = frozenset(tag for each in IF_KNOWN.values() for tag in each)


def _answer(row: Attributes, level: Level, asked: SearchParameters, service: str) -> Attributes:
    named = frozenset(asked.keys) | (asked.includes or frozenset())
    answer: dict[int, str | tuple[Attributes, ...]] = {
        tag: value for tag, value in row.items() if value or tag not in _CONDITIONAL or tag in named
    }
    del answer[tags.QUERY_RETRIEVE_LEVEL]
    answer[tags.SPECIFIC_CHARACTER_SET] = "ISO_IR 192"
    answer[tags.INSTANCE_AVAILABILITY] = "ONLINE"
    answer[RETRIEVE_URL] = service + _path(row, level)
    return answer


def _path(row: Attributes, level: Level) -> str:
    path = f"/studies/{row[tags.STUDY_INSTANCE_UID]}"
    if level is not Level.STUDY:
        path += f"/series/{row[tags.SERIES_INSTANCE_UID]}"
    return path if level is not Level.IMAGE else f"{path}/instances/{row[tags.SOP_INSTANCE_UID]}"


def _warnings(service: str, asked: SearchParameters, page: Page) -> str:
    """RFC 7234 5.5, which PS3.18 still uses: 299 is a persistent warning for a person to read."""
    texts = (*asked.warnings, _MORE) if page.more else asked.warnings
    return ", ".join(f'299 {service} "{text}"' for text in texts)

"""WADO-RS metadata of studies, series and instances, PS3.18 10.4.1.1.2 and 10.4.3.3.2."""

from collections.abc import Iterator
from contextlib import ExitStack

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from leadglass.archive.metadata import base_of, limits_of, series_metadata, write_instance
from leadglass.archive.retrieve import InstanceRow, Retrieval
from leadglass.dicom.json_model import JsonWriter
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.dicom.xml_model import XmlWriter, document
from leadglass.errors import NotFound
from leadglass.server.web.authentication import principal_of
from leadglass.server.web.dicomweb.dispatch import Answer, Dispatch, Part, multipart, query_of
from leadglass.server.web.dicomweb.lanes import Lane, Lanes
from leadglass.server.web.dicomweb.representations import XML, accepts_gzip, wanted_model
from leadglass.server.web.dicomweb.requests import service_of
from leadglass.server.web.dicomweb.sending import Sending


class Metadata:
    def __init__(self, dispatch: Dispatch, lanes: Lanes) -> None:
        self._dispatch = dispatch
        self._lanes = lanes

    def routes(self, root: str) -> list[BaseRoute]:
        study = f"{root}/studies/{{study}}"
        series = f"{study}/series/{{series}}"
        return [
            Route(f"{study}/metadata", self.many, methods=["GET"]),
            Route(f"{series}/metadata", self.many, methods=["GET"]),
            Route(f"{series}/instances/{{instance}}/metadata", self.one, methods=["GET"]),
        ]

    def many(self, request: Request) -> ASGIApp:
        """Of a study or series: prepared documents in JSON, instance by instance in XML."""
        model = wanted_model(request)
        if not model.is_json:
            return self._dispatch.answer(request, request.path_params, lambda found: self._xml(request, found))
        with ExitStack() as stack:
            asked = query_of(request, request.path_params)
            found = stack.enter_context(series_metadata(self._dispatch.archive, principal_of(request), asked))
            if not found.series:
                raise NotFound("There is nothing by that name.", "Check the UIDs.")
            service = service_of(request)
            headers = {"content-type": model.value, "vary": "Accept-Encoding"}
            prepared = found.gzip(service) if accepts_gzip(request) else None
            if prepared is not None:
                return Response(prepared, headers=headers | {"content-encoding": "gzip"})
            close = stack.pop_all().close
        return Sending(self._lanes.of(Lane.STORED), found.pieces(service), headers, close=close)

    def one(self, request: Request) -> ASGIApp:
        """Of an instance."""
        model = wanted_model(request)

        def make(found: Retrieval) -> Answer:
            if not model.is_json:
                return self._xml(request, found)
            body = self._json(request, found, found.instances[0])
            return Answer(model.value, [body], len(body))

        return self._dispatch.answer(request, request.path_params, make)

    def _json(self, request: Request, found: Retrieval, row: InstanceRow) -> bytes:
        base = service_of(request) + base_of(row)
        writer = JsonWriter(TRANSFER_SYNTAXES[row.transfer_syntax], limits_of(self._dispatch.archive), base)
        with found.watched(row):
            write_instance(self._dispatch.archive, row, writer)
        body = f"[{writer.text()}]".encode()
        found.count_described(row, len(body))
        return body

    def _xml(self, request: Request, found: Retrieval) -> Answer:
        service = service_of(request)

        def part(row: InstanceRow) -> Part:
            def opened() -> Iterator[bytes]:
                limits = limits_of(self._dispatch.archive)
                writer = XmlWriter(TRANSFER_SYNTAXES[row.transfer_syntax], limits, service + base_of(row))
                with found.watched(row):
                    write_instance(self._dispatch.archive, row, writer)
                body = document(writer.text()).encode()
                found.count_described(row, len(body))
                yield body

            return Part(XML, opened, None, lane=Lane.MADE)

        return multipart([part(row) for row in found.instances])

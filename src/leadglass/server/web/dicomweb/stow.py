"""STOW-RS, PS3.18 10.5: instances in, one result for each out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive
from leadglass.archive.authorise import authorise
from leadglass.archive.refusals import record_refusal
from leadglass.dicom import tags
from leadglass.dicom.json_model import JsonForm, json_of
from leadglass.dicom.uids import parse_uid
from leadglass.dicom.xml_model import XmlForm, document, xml_of
from leadglass.errors import LeadglassError, OutOfResources, UsageError
from leadglass.model import Attributes, Operation
from leadglass.server.web.authentication import peer_of, principal_of
from leadglass.server.web.dicomweb.accept import DICOM, MediaRange, parse_media_types
from leadglass.server.web.dicomweb.allowance import Allowance
from leadglass.server.web.dicomweb.dispatch import accepted
from leadglass.server.web.dicomweb.errors import NotAcceptable, UnsupportedMediaType
from leadglass.server.web.dicomweb.intake import FINISHING, Body, FileIntake, Sender, Stored
from leadglass.server.web.dicomweb.metadata_intake import MOST_OF_ALL, MetadataIntake
from leadglass.server.web.dicomweb.multipart import MultipartLimits, MultipartParser
from leadglass.server.web.dicomweb.representations import JSON, PLAIN_JSON, XML
from leadglass.server.web.dicomweb.requests import service_of

#: Bytes of a body that are handed on at once, and seconds that a client may take to send them.
BATCH: Final = 512 * 1024
PATIENCE: Final = 120.0
#: Bodies that are taken apart at the same time.
INTAKES: Final = 8

T = TypeVar("T")


class Stow:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._takers = ThreadPoolExecutor(INTAKES, "stow")
        # Apart from those: a taker waits for what finishes.
        self._finishers = ThreadPoolExecutor(2 * FINISHING, "stow-finish")
        self._allowance = Allowance(MOST_OF_ALL)

    def routes(self, root: str) -> list[BaseRoute]:
        return [
            Route(f"{root}/studies", self.store, methods=["POST"]),
            Route(f"{root}/studies/{{study}}", self.store, methods=["POST"]),
        ]

    async def store(self, request: Request) -> Response:
        """Raises what is wrong with the request as a whole; what is wrong with an instance is in the answer."""
        media_type = _wanted(accepted(request))
        sender = await self._in_turn(lambda: self._sender(request))
        with self._recorded(sender):
            body = self._body(request, sender)
            try:
                results = await self._taken(request, body)
            except BaseException:
                await self._in_turn(body.abandon)
                raise
        return _response(service_of(request), sender.study, results, media_type)

    async def _taken(self, request: Request, body: Body) -> list[Stored]:
        """One batch is taken apart while the next arrives."""
        running: asyncio.Future[None] | None = None
        try:
            async for batch in _batches(request):
                if running is not None:
                    await running
                running = self._in_turn(lambda data=batch: body.feed(data))  # type: ignore[misc]
        finally:
            if running is not None:
                await running
        return await self._in_turn(body.finish)

    @contextmanager
    def _recorded(self, sender: Sender) -> Iterator[None]:
        """A request that is refused as a whole is an event, with all of its parts that were not answered for."""
        try:
            yield
        except LeadglassError as error:
            record_refusal(self._archive.committer, sender.principal, "store", sender.peer, error)
            raise

    def _in_turn(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._takers, work)

    def _sender(self, request: Request) -> Sender:
        principal, peer = principal_of(request), peer_of(request)
        try:
            authorise(principal, Operation.STORE)
        except LeadglassError as error:
            record_refusal(self._archive.committer, principal, "store", peer, error)
            raise
        study = request.path_params.get("study")
        return Sender(principal, peer, parse_uid(study) if study is not None else "")

    def _body(self, request: Request, sender: Sender) -> Body:
        """Raises UnsupportedMediaType, UsageError."""
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("A compressed body is not taken.", "Send it without Content-Encoding.")
        kinds = list(parse_media_types(request.headers.get("content-type", "")))
        name, parameters = kinds[0] if len(kinds) == 1 else ("", {})
        if name == DICOM:
            return Body(FileIntake(self._archive, sender, self._finishers), None)
        kind = parameters.get("type", DICOM).lower()
        if name != "multipart/related" or kind not in (DICOM, JSON):
            raise UnsupportedMediaType(
                "The body is of a kind that cannot be stored.",
                'Send multipart/related; type="application/dicom" or "application/dicom+json".',
            )
        parser = MultipartParser(parameters.get("boundary", ""), MultipartLimits())
        if kind == JSON:
            return Body(MetadataIntake(self._archive, sender, self._allowance), parser)
        return Body(FileIntake(self._archive, sender, self._finishers), parser)


async def _batches(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces worth a thread switch. Raises UsageError when it is too slow or ends early."""
    held: list[bytes] = []
    size = 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                async for chunk in stream:
                    held.append(chunk)
                    size += len(chunk)
                    if size >= BATCH:
                        break
                else:
                    break
        except TimeoutError:
            raise UsageError("The body did not arrive in time.", "Send it again.") from None
        except ClientDisconnect:
            raise UsageError("The body ended early.", "Send it again.") from None
        yield b"".join(held)
        held, size = [], 0
    if size:
        yield b"".join(held)


def _wanted(ranges: Iterable[MediaRange]) -> str:
    """The media type of the answer. Raises NotAcceptable."""
    for wanted in ranges:
        for media_type in (JSON, PLAIN_JSON, XML):
            if wanted.covers(media_type):
                return media_type
    raise NotAcceptable("The answer to a store request is application/dicom+json or application/dicom+xml.")


def _response(root: str, study: str, results: Sequence[Stored], media_type: str) -> Response:
    """Status and payload, PS3.18 10.5.3 and Table I.2-1."""
    stored = [each for each in results if not each.reason]
    failed = [each for each in results if each.reason]
    is_plain = not failed and not any(each.warning for each in stored)
    status = 200 if is_plain else 202 if stored else 409
    # Nothing is wrong with the objects: out of space, or without the scanner that every store goes through.
    if results and all(each.reason == OutOfResources.dimse_status for each in results):
        status = 503
    payload = _payload(root, study, stored, failed)
    text = document(xml_of(payload, XmlForm(""))) if media_type == XML else json_of(payload, JsonForm(""))
    return Response(text, status, media_type=media_type)


def _payload(root: str, study: str, stored: Sequence[Stored], failed: Sequence[Stored]) -> Attributes:
    studies = {each.study for each in stored} or {study}
    payload: dict[int, str | tuple[Attributes, ...]] = {}
    if len(studies) == 1 and "" not in studies:
        payload[tags.RETRIEVE_URL] = f"{root}/studies/{next(iter(studies))}"
    named = tuple(_reference(each) | _reason(each) for each in failed if each.sop_instance)
    if named:
        payload[tags.FAILED_SOP_SEQUENCE] = named
    if stored:
        payload[tags.REFERENCED_SOP_SEQUENCE] = tuple(
            _reference(each) | _place(root, each) | _warning(each) for each in stored
        )
    unnamed = tuple(_reason(each) for each in failed if not each.sop_instance)
    if unnamed:
        payload[tags.OTHER_FAILURES_SEQUENCE] = unnamed
    return payload


def _reference(result: Stored) -> dict[int, str]:
    return {tags.REFERENCED_SOP_CLASS_UID: result.sop_class, tags.REFERENCED_SOP_INSTANCE_UID: result.sop_instance}


def _place(root: str, result: Stored) -> dict[int, str]:
    url = f"{root}/studies/{result.study}/series/{result.series}/instances/{result.sop_instance}"
    return {tags.RETRIEVE_URL: url}


def _warning(result: Stored) -> dict[int, str]:
    return {tags.WARNING_REASON: str(result.warning)} if result.warning else {}


def _reason(result: Stored) -> dict[int, str]:
    return {tags.FAILURE_REASON: str(result.reason)}

"""STOW-RS, PS3.18 10.5: instances in, one result for each out."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive
from leadglass.archive.authorise import authorise
from leadglass.archive.refusals import record_refusal
from leadglass.dicom.uids import parse_uid
from leadglass.errors import LeadglassError, UsageError
from leadglass.model import Operation
from leadglass.server.web.authentication import peer_of, principal_of
from leadglass.server.web.dicomweb.accept import DICOM, parse_media_types
from leadglass.server.web.dicomweb.dispatch import accepted
from leadglass.server.web.dicomweb.errors import NotAcceptable, UnsupportedMediaType
from leadglass.server.web.dicomweb.intake import FINISHING, Body, FileIntake, Sender, Stored
from leadglass.server.web.dicomweb.multipart import MultipartLimits, MultipartParser

JSON: Final = "application/dicom+json"
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

    def routes(self, root: str) -> list[BaseRoute]:
        return [
            Route(f"{root}/studies", self.store, methods=["POST"]),
            Route(f"{root}/studies/{{study}}", self.store, methods=["POST"]),
        ]

    async def store(self, request: Request) -> Response:
        """Raises what is wrong with the request as a whole; what is wrong with an instance is in the answer."""
        if not any(each.covers(JSON) or each.covers("application/json") for each in accepted(request)):
            raise NotAcceptable("The answer to a store request is application/dicom+json.")
        sender = await self._in_turn(lambda: self._sender(request))
        body = self._body(request, sender)
        try:
            results = await self._taken(request, body)
        except BaseException:
            await self._in_turn(body.abandon)
            raise
        root = f"{request.url.scheme}://{request.url.netloc}{request.url.path.partition('/studies')[0]}"
        return _response(root, sender.study, results)

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
        if name == "multipart/related" and parameters.get("type", DICOM).lower() == DICOM:
            parser = MultipartParser(parameters.get("boundary", ""), MultipartLimits())
            return Body(FileIntake(self._archive, sender, self._finishers), parser)
        raise UnsupportedMediaType(
            "The body is of a kind that cannot be stored.", 'Send multipart/related; type="application/dicom".'
        )


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


def _response(root: str, study: str, results: Sequence[Stored]) -> Response:
    """Status and payload, PS3.18 10.5.3 and Table I.2-1."""
    stored = [each for each in results if not each.reason]
    failed = [each for each in results if each.reason]
    status = 200 if not failed else 202 if stored else 409
    return Response(json.dumps(_payload(root, study, stored, failed)), status, media_type=JSON)


def _payload(root: str, study: str, stored: Sequence[Stored], failed: Sequence[Stored]) -> dict[str, Any]:
    studies = {each.study for each in stored} or {study}
    payload: dict[str, Any] = {}
    if len(studies) == 1 and "" not in studies:
        payload["00081190"] = {"vr": "UR", "Value": [f"{root}/studies/{next(iter(studies))}"]}
    named = [_reference(each) | _reason(each) for each in failed if each.sop_instance]
    if named:
        payload["00081198"] = {"vr": "SQ", "Value": named}
    if stored:
        payload["00081199"] = {"vr": "SQ", "Value": [_reference(each) | _place(root, each) for each in stored]}
    unnamed = [_reason(each) for each in failed if not each.sop_instance]
    if unnamed:
        payload["0008119A"] = {"vr": "SQ", "Value": unnamed}
    return payload


def _reference(result: Stored) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [result.sop_class]},
        "00081155": {"vr": "UI", "Value": [result.sop_instance]},
    }


def _place(root: str, result: Stored) -> dict[str, Any]:
    url = f"{root}/studies/{result.study}/series/{result.series}/instances/{result.sop_instance}"
    return {"00081190": {"vr": "UR", "Value": [url]}}


def _reason(result: Stored) -> dict[str, Any]:
    return {"00081197": {"vr": "US", "Value": [result.reason]}}

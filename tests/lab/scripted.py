"""Archives that misbehave in one way each, on the sans-I/O core: they cap, lie, ignore, repeat, or accept anything."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from leadglass.dicom import tags
from leadglass.dicom.attributes import decode_attributes, encode_attributes
from leadglass.dicom.uids import EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.dimse.association import Association
from leadglass.dimse.events import (
    Aborted,
    AssociationRequested,
    CommandReceived,
    DataReceived,
    Event,
    ReleaseRequested,
)
from leadglass.dimse.items import UserInformation
from leadglass.dimse.message import (
    CCancelRq,
    CEchoRq,
    CEchoRsp,
    CFindRq,
    CFindRsp,
    CGetRq,
    CGetRsp,
    CStoreRq,
    CStoreRsp,
    Message,
)
from leadglass.dimse.negotiation import choose, choose_roles
from leadglass.dimse.status import CANCEL, PENDING, SUCCESS
from leadglass.errors import ProtocolError
from leadglass.model import AssociationLimits, Attributes, DataSetLimits
from tests.lab.truth import SECONDARY_CAPTURE, Study, Truth

LIMITS = AssociationLimits()
_STUDY_TEXTS = {
    tags.STUDY_INSTANCE_UID: "uid",
    tags.PATIENT_ID: "patient_id",
    tags.PATIENT_NAME: "name",
    tags.PATIENT_BIRTH_DATE: "birth_date",
    tags.STUDY_DATE: "study_date",
    tags.STUDY_TIME: "study_time",
    tags.PATIENT_COMMENTS: "comments",
}


@dataclass(frozen=True)
class Manners:
    """`cap`: most answers to a query, after which it says `capped_status`. `repeats`: it never stops answering.
    `advertises`: images it claims for each study; None tells the truth, -1 tells nothing."""

    cap: int | None = None
    capped_status: int = SUCCESS
    ignores_dates: bool = False
    repeats: bool = False
    advertises: int | None = None
    answers_anything: bool = False
    class_uid: str = "1.2.826.0.1.3680043.9.3811.3.0.4"
    version: str = "SCRIPTED"
    accepts_anything: bool = False
    malformed_answers: bool = False


class ScriptedArchive:
    """What it was asked, counted: queries, cancels that it heard, objects stored."""

    def __init__(self, truth: Truth, manners: Manners) -> None:
        self._truth = truth
        self._manners = manners
        self.cancelled = 0
        self.queries = 0
        self.stored = 0

    def serve(self, connection: socket.socket) -> None:
        _Conversation(self, connection, self._truth, self._manners).run()


class _Conversation:
    def __init__(self, archive: ScriptedArchive, connection: socket.socket, truth: Truth, manners: Manners) -> None:
        self._archive = archive
        self._socket = connection
        self._truth = truth
        self._manners = manners
        self._association = Association.acceptor(LIMITS)
        self._events: list[Event] = []
        self._cancelled = False

    def run(self) -> None:
        with suppress(OSError, ProtocolError, EOFError):
            while (event := self._next()) is not None and not isinstance(event, Aborted):
                self._on(event)

    def _next(self) -> Event | None:
        while not self._events:
            data = self._socket.recv(65536)
            if not data:
                return None
            self._events += self._association.receive(data)
        return self._events.pop(0)

    def _on(self, event: Event) -> None:
        if isinstance(event, AssociationRequested):
            rq = event.rq
            results = choose(rq.contexts, self._supports)
            roles = choose_roles(rq.user.roles, lambda uid: uid == SECONDARY_CAPTURE)
            user = UserInformation(LIMITS.max_pdu, self._manners.class_uid, self._manners.version, roles=roles)
            self._send(self._association.accept(results, user))
        elif isinstance(event, ReleaseRequested):
            self._send(self._association.release_reply())
        elif isinstance(event, CommandReceived):
            self._command(event.context_id, event.message, self._data_set() if event.has_data_set else b"")

    def _supports(self, uid: str) -> tuple[str, ...]:
        known = uid.startswith(("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"))
        return (EXPLICIT_LE, IMPLICIT_LE) if known or uid == SECONDARY_CAPTURE or self._manners.accepts_anything else ()

    def _data_set(self) -> bytes:
        parts = b""
        while isinstance(event := self._next(), DataReceived):
            parts += event.data
            if event.last:
                return parts
        raise EOFError

    def _command(self, context_id: int, message: Message, data: bytes) -> None:
        if isinstance(message, CEchoRq):
            self._reply(context_id, CEchoRsp(message.message_id, SUCCESS, message.sop_class))
        elif isinstance(message, CStoreRq):
            self._archive.stored += 1
            response = CStoreRsp(message.message_id, SUCCESS, message.sop_class, message.sop_instance)
            self._reply(context_id, response)
        elif isinstance(message, CFindRq):
            self._find(context_id, message, data)
        elif isinstance(message, CGetRq):
            self._get(context_id, message, data)

    def _find(self, context_id: int, message: CFindRq, data: bytes) -> None:
        self._archive.queries += 1
        syntax = TRANSFER_SYNTAXES[self._association.contexts[context_id].transfer_syntax]
        keys = decode_attributes(data, syntax, DataSetLimits())
        status = SUCCESS
        for sent, answer in enumerate(self._answers(keys)):
            if sent == self._manners.cap:
                status = self._manners.capped_status
                break
            if sent % 50 == 49 and self._heard_cancel():
                status = CANCEL
                break
            self._send_answer(context_id, message, answer, syntax)
        self._reply(context_id, CFindRsp(message.message_id, status, message.sop_class))

    def _send_answer(self, context_id: int, message: CFindRq, answer: Attributes, syntax: TransferSyntax) -> None:
        encoded = encode_attributes(answer, syntax, ())
        if self._manners.malformed_answers:
            encoded = encoded[:-3]
        self._reply(context_id, CFindRsp(message.message_id, PENDING, message.sop_class), encoded)

    def _heard_cancel(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._events += self._association.receive(self._socket.recv(65536))
        except BlockingIOError:
            pass
        finally:
            self._socket.setblocking(True)
        if any(isinstance(event, Aborted) for event in self._events):
            raise EOFError
        for event in self._events:
            if isinstance(event, CommandReceived) and isinstance(event.message, CCancelRq):
                self._events.remove(event)
                self._archive.cancelled += 1
                return True
        return False

    def _answers(self, keys: Attributes) -> Iterator[Attributes]:
        level = keys.get(tags.QUERY_RETRIEVE_LEVEL)
        wanted = [study for study in self._truth.studies if self._matches(study, keys)]
        while True:
            for study in wanted:
                if level == "STUDY":
                    yield self._study(study)
                else:
                    yield from _below(study, level == "SERIES", str(keys.get(tags.SERIES_INSTANCE_UID, "")))
            if not self._manners.repeats or not wanted:
                return

    def _matches(self, study: Study, keys: Attributes) -> bool:
        if self._manners.answers_anything:
            return True
        uid = keys.get(tags.STUDY_INSTANCE_UID, "")
        if uid and uid != study.uid:
            return False
        if self._manners.ignores_dates:
            return True
        dates, times = str(keys.get(tags.STUDY_DATE, "")), str(keys.get(tags.STUDY_TIME, ""))
        return _in_range(study.study_date, dates) and _in_range(study.study_time, times)

    def _study(self, study: Study) -> Attributes:
        answer: dict[int, str] = {tag: getattr(study, name) for tag, name in _STUDY_TEXTS.items()}
        answer[tags.QUERY_RETRIEVE_LEVEL] = "STUDY"
        if self._manners.advertises != -1:
            images = self._manners.advertises if self._manners.advertises is not None else study.images
            answer[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] = str(images)
            answer[tags.NUMBER_OF_STUDY_RELATED_SERIES] = str(study.series)
        return answer

    def _get(self, context_id: int, message: CGetRq, data: bytes) -> None:
        syntax = TRANSFER_SYNTAXES[self._association.contexts[context_id].transfer_syntax]
        keys = decode_attributes(data, syntax, DataSetLimits())
        storage = next(
            (n for n, c in self._association.contexts.items() if c.abstract_syntax == SECONDARY_CAPTURE), None
        )
        studies = [study for study in self._truth.studies if study.uid == keys[tags.STUDY_INSTANCE_UID]]
        if storage is not None and studies:
            instance = str(keys.get(tags.SOP_INSTANCE_UID, studies[0].instances()[0][1]))
            request = CStoreRq(1, SECONDARY_CAPTURE, instance)
            self._reply(storage, request, bytes(64))
            if not isinstance(self._next(), CommandReceived):
                raise EOFError
        self._reply(context_id, CGetRsp(message.message_id, SUCCESS, message.sop_class))

    def _reply(self, context_id: int, message: Message, data: bytes | None = None) -> None:
        self._send(self._association.reply(context_id, message, data))

    def _send(self, data: bytes) -> None:
        self._socket.sendall(data)


def _below(study: Study, series_level: bool, wanted: str) -> Iterator[Attributes]:
    if series_level:
        for uid in dict.fromkeys(series for series, _ in study.instances()):
            yield {tags.STUDY_INSTANCE_UID: study.uid, tags.SERIES_INSTANCE_UID: uid}
        return
    for series, instance in study.instances():
        if series == wanted:
            yield {
                tags.SOP_CLASS_UID: SECONDARY_CAPTURE,
                tags.SOP_INSTANCE_UID: instance,
                tags.STUDY_INSTANCE_UID: study.uid,
                tags.SERIES_INSTANCE_UID: series,
            }


def _in_range(value: str, asked: str) -> bool:
    if not asked:
        return True
    first, dash, last = asked.partition("-")
    if not dash:
        return value == asked
    return (not first or value >= first) and (not last or value <= last)


@contextmanager
def listening(address: str, serve: Callable[[socket.socket], None], port: int = 0) -> Iterator[int]:
    """A listener with a thread for each connection; yields its port. What a conversation raises for a peer that is
    gone is its own affair."""
    connections: set[socket.socket] = set()
    with socket.create_server((address, port), backlog=256) as server:

        def converse(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)
            connections.discard(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connections.add(connection)
                    threading.Thread(target=converse, args=(connection,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for connection in list(connections):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            accepting.join()


@contextmanager
def scripted(address: str, truth: Truth, manners: Manners) -> Iterator[tuple[ScriptedArchive, int]]:
    archive = ScriptedArchive(truth, manners)
    with listening(address, archive.serve) as port:
        yield archive, port

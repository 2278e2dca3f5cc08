"""A lean requestor for what dcmtk's programs cannot time: single queries, associations without the start of a process,
retrieval without a tunnel."""

import socket
import ssl
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench import wire
from bench.peers import CLIENT_AET, Endpoint
from bench.wire import Context

_PENDING = (0xFF00, 0xFF01)


@dataclass(slots=True)
class Probe:
    """An association. Contexts are known by their place in the proposal."""

    stream: ssl.SSLSocket
    limit: int
    buffer: bytearray

    def echo(self, place: int) -> float:
        """Seconds of a C-ECHO: the floor of the client and the connection."""
        started = time.perf_counter()
        self._send(place, wire.request(wire.VERIFICATION, wire.C_ECHO_RQ, wire.NO_DATA_SET))
        self._answers()
        return time.perf_counter() - started

    def find(self, place: int, keys: Mapping[str, str]) -> tuple[float, int]:
        """(seconds until the final response, number of pending responses). Raises RuntimeError when the query fails."""
        data = wire.identifier(keys)
        started = time.perf_counter()
        self._send(place, wire.request(wire.STUDY_ROOT_FIND, wire.C_FIND_RQ, 0), data)
        pending, _ = self._answers()
        return time.perf_counter() - started, pending

    def get(self, place: int, keys: Mapping[str, str]) -> int:
        """The number of objects received, which are dropped. Raises RuntimeError when the retrieval fails."""
        self._send(place, wire.request(wire.STUDY_ROOT_GET, wire.C_GET_RQ, 0), wire.identifier(keys))
        return self._answers()[1]

    def store(self, place: int, sop_class: str, instance: str, data: bytes) -> None:
        """Raises RuntimeError for any status but success."""
        self._send(place, wire.request(sop_class, wire.C_STORE_RQ, 0, instance), data)
        self._answers()

    def _send(self, place: int, command: bytes, data: bytes = b"") -> None:
        context = 2 * place + 1
        self.stream.sendall(
            wire.p_data(context, wire.COMMAND, command, self.limit) + wire.p_data(context, 0, data, self.limit)
        )

    def _answers(self) -> tuple[int, int]:
        """(pending responses, objects received) until the final response."""
        pending, stored = 0, 0
        command, incoming = b"", dict[int, bytes]()
        while True:
            for context, control, fragment in self._p_data():
                if control & wire.COMMAND:
                    command += fragment
                if not control & wire.LAST:
                    continue
                if control & wire.COMMAND:
                    elements, command = wire.command_elements(command), b""
                    if 0x0900 not in elements:
                        incoming = elements
                    elif self._final(elements):
                        return pending, stored
                    else:
                        pending += 1
                elif incoming:
                    stored += 1
                    answer, incoming = wire.store_response(incoming), {}
                    self.stream.sendall(wire.p_data(context, wire.COMMAND, answer, self.limit))

    @staticmethod
    def _final(elements: Mapping[int, bytes]) -> bool:
        status = struct.unpack("<H", elements[0x0900])[0]
        if status and status not in _PENDING:
            raise RuntimeError(f"status {status:04X}H")
        return not status

    def _p_data(self) -> Iterator[tuple[int, int, memoryview]]:
        kind, body = self.receive()
        if kind != wire.P_DATA:
            raise RuntimeError(f"PDU of type {kind} instead of P-DATA-TF")
        return wire.fragments(body)

    def receive(self) -> tuple[int, memoryview]:
        """(type, body) of the next PDU; the body is valid until the next call."""
        kind, length = struct.unpack(">BxI", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, length: int) -> memoryview:
        if len(self.buffer) < length:
            self.buffer = bytearray(length)
        view, filled = memoryview(self.buffer)[:length], 0
        while filled < length:
            received = self.stream.recv_into(view[filled:])
            if not received:
                raise RuntimeError("the server closed the connection")
            filled += received
        return view


@contextmanager
def probe(endpoint: Endpoint, tls: ssl.SSLContext, contexts: Sequence[Context]) -> Iterator[Probe]:
    """Raises RuntimeError unless all contexts are accepted."""
    with socket.create_connection((endpoint.host, endpoint.port), 600) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with tls.wrap_socket(plain, server_hostname=endpoint.host) as stream:
            found = Probe(stream, 0, bytearray(1 << 17))
            stream.sendall(wire.associate(endpoint.called_aet, CLIENT_AET, contexts))
            kind, body = found.receive()
            if kind != wire.ASSOCIATE_AC:
                raise RuntimeError(f"association answered with a PDU of type {kind}")
            found.limit, numbers = wire.accepted(bytes(body))
            if len(numbers) != len(contexts):
                raise RuntimeError("not all presentation contexts are accepted")
            yield found
            stream.sendall(wire.release())
            found.receive()


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    identity = endpoint.identity
    context = ssl.create_default_context(cafile=str(identity.authority))
    context.load_cert_chain(identity.certificate, identity.key)
    return context

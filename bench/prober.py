"""A small DIMSE requestor that times single queries to the microsecond: findscu only reports whole runs.

It shares no code with Leadglass, so that a mistake cannot cancel itself out. Identifiers are Implicit VR Little Endian.
"""

import socket
import ssl
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword

from bench.peers import CLIENT_AET, Endpoint

VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_P_DATA, _ACCEPT, _RELEASE_RQ = 4, 2, 5
_C_FIND_RQ, _C_ECHO_RQ, _NO_DATA_SET = 0x0020, 0x0030, 0x0101
_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True, slots=True)
class Probe:
    """An association whose contexts are 1 (Verification) and 3 (Study Root FIND)."""

    stream: ssl.SSLSocket

    def echo(self) -> float:
        """Seconds of a C-ECHO: the floor of the client and the connection."""
        started = time.perf_counter()
        self.stream.sendall(_p_data(_pdv(1, 3, _command(VERIFICATION, _C_ECHO_RQ, _NO_DATA_SET))))
        self._answers()
        return time.perf_counter() - started

    def find(self, keys: Mapping[str, str]) -> tuple[float, int]:
        """(seconds until the final response, number of pending responses). Raises RuntimeError when the query fails."""
        identifier = _identifier(keys)
        request = _pdv(3, 3, _command(STUDY_ROOT_FIND, _C_FIND_RQ, 0)) + _pdv(3, 2, identifier)
        started = time.perf_counter()
        self.stream.sendall(_p_data(request))
        matches = self._answers()
        return time.perf_counter() - started, matches

    def _answers(self) -> int:
        pending, command = 0, b""
        while True:
            kind, body = self._pdu()
            if kind != _P_DATA:
                raise RuntimeError(f"PDU of type {kind} instead of P-DATA-TF")
            for control, fragment in _fragments(body):
                command += fragment if control & 1 else b""
                if control == 3:
                    status, command = _status(command), b""
                    if status == 0:
                        return pending
                    if status not in _PENDING:
                        raise RuntimeError(f"status {status:04X}H")
                    pending += 1

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            received = self.stream.recv(length - len(data))
            if not received:
                raise RuntimeError("the server closed the connection")
            data += received
        return bytes(data)

    def associate(self, called_aet: str) -> None:
        contexts = _context(1, VERIFICATION) + _context(3, STUDY_ROOT_FIND)
        user = _item(0x50, _item(0x51, struct.pack(">I", 131072)) + _item(0x52, b"2.25.1"))
        fixed = struct.pack(">HH16s16s32x", 1, 0, called_aet.ljust(16).encode(), CLIENT_AET.ljust(16).encode())
        body = fixed + _item(0x10, _APPLICATION_CONTEXT.encode()) + contexts + user
        self.stream.sendall(struct.pack(">BxI", 1, len(body)) + body)
        kind, _ = self._pdu()
        if kind != _ACCEPT:
            raise RuntimeError(f"association answered with a PDU of type {kind}")

    def release(self) -> None:
        self.stream.sendall(struct.pack(">BxI4x", _RELEASE_RQ, 4))
        self._pdu()


@contextmanager
def probe(endpoint: Endpoint) -> Iterator[Probe]:
    identity = endpoint.identity
    context = ssl.create_default_context(cafile=str(identity.authority))
    context.load_cert_chain(identity.certificate, identity.key)
    with socket.create_connection((endpoint.host, endpoint.port), 300) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_hostname=endpoint.host) as stream:
            found = Probe(stream)
            found.associate(endpoint.called_aet)
            yield found
            found.release()


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _context(number: int, abstract_syntax: str) -> bytes:
    syntaxes = _item(0x30, abstract_syntax.encode()) + _item(0x40, _IMPLICIT_LITTLE_ENDIAN.encode())
    return _item(0x20, struct.pack(">B3x", number) + syntaxes)


def _p_data(items: bytes) -> bytes:
    return struct.pack(">BxI", _P_DATA, len(items)) + items


def _pdv(context: int, control: int, data: bytes) -> bytes:
    return struct.pack(">IBB", len(data) + 2, context, control) + data


def _fragments(body: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(body):
        length, control = struct.unpack_from(">IxB", body, position)
        yield control, body[position + 6 : position + 4 + length]
        position += 4 + length


def _element(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def _text(tag: int, text: str, padding: str) -> bytes:
    return _element(tag, (text + padding * (len(text) % 2)).encode())


def _command(sop_class: str, field: int, data_set_type: int) -> bytes:
    body = _text(0x00000002, sop_class, "\0") + _element(0x00000100, struct.pack("<H", field))
    body += _element(0x00000110, struct.pack("<H", 1)) + _element(0x00000700, struct.pack("<H", 0))
    body += _element(0x00000800, struct.pack("<H", data_set_type))
    return _element(0x00000000, struct.pack("<I", len(body))) + body


def _identifier(keys: Mapping[str, str]) -> bytes:
    tagged = sorted((tag_for_keyword(keyword) or 0, keyword) for keyword in keys)
    return b"".join(_text(tag, keys[word], "\0" if word.endswith("UID") else " ") for tag, word in tagged)


def _status(command: bytes) -> int:
    """(0000,0900) of a command set."""
    position = 0
    while position < len(command):
        group, element, length = struct.unpack_from("<HHI", command, position)
        if (group, element) == (0, 0x0900):
            status: int = struct.unpack_from("<H", command, position + 8)[0]
            return status
        position += 8 + length
    raise RuntimeError("a response without Status")

"""A client of TLS 1.3 that writes its records itself, to send what no library would."""

import socket
import ssl
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

#: Types of content (RFC 8446 5.1).
HANDSHAKE = 22
DATA = 23


class Records:
    """After the handshake of `context`, whose keys OpenSSL writes to `log`."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, log: Path) -> None:
        context.keylog_filename = str(log)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.connection = context.wrap_socket(plain, server_hostname="localhost")
        name, _, bits = self.connection.cipher() or ("", "", 0)
        kind = hashes.SHA384() if name.endswith("SHA384") else hashes.SHA256()
        lines = (line.split() for line in log.read_text().splitlines())
        (secret,) = (bytes.fromhex(words[2]) for words in lines if words[0] == "CLIENT_TRAFFIC_SECRET_0")
        self._cipher = AESGCM(_expanded(secret, b"key", bits // 8, kind))
        self._nonce = int.from_bytes(_expanded(secret, b"iv", 12, kind))
        self._number = 0

    def send(self, *contents: tuple[int, bytes]) -> None:
        """Each in a record of its own, all at once."""
        socket.socket.sendall(self.connection, b"".join(self._sealed(*each) for each in contents))

    def _sealed(self, kind: int, content: bytes) -> bytes:
        header = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2)
        nonce = (self._nonce ^ self._number).to_bytes(12)
        self._number += 1
        return header + self._cipher.encrypt(nonce, content + bytes((kind,)), header)


def _expanded(secret: bytes, label: bytes, length: int, kind: hashes.HashAlgorithm) -> bytes:
    """HKDF-Expand-Label (RFC 8446 7.1) with no context."""
    label = b"tls13 " + label
    return HKDFExpand(kind, length, length.to_bytes(2) + bytes((len(label),)) + label + b"\0").derive(secret)

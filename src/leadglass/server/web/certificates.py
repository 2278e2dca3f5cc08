"""The web door's certificate, read anew when its files change: renewals need no restart."""

import ssl
from collections.abc import Sequence
from pathlib import Path

import structlog

from leadglass.crypto.tls import CertificateChain, web_context
from leadglass.errors import RefusedForSafety

log = structlog.get_logger("web")
_State = tuple[tuple[int, int, int], ...]


class CertificateFiles:
    """`context` is for the listener. At each handshake it hands over to the newest context that could be made, so that
    certificate and key change together and a broken pair of files never takes the door down."""

    def __init__(self, chains: Sequence[CertificateChain]) -> None:
        """Raises RefusedForSafety when a chain cannot be used."""
        self._chains = tuple(chains)
        self._state = _state(self._chains)
        self._newest = web_context(self._chains)
        self.context = web_context(self._chains)
        # Called for every ClientHello, with or without a server name.
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext) -> None:
        state = _state(self._chains)
        if state != self._state:
            self._state = state
            try:
                self._newest = web_context(self._chains)
                log.info("certificate reloaded")
            except RefusedForSafety as error:
                log.error("the new certificate cannot be used; the old one serves on", error=error.message)
        connection.context = self._newest


def _state(chains: Sequence[CertificateChain]) -> _State:
    """What changes when a file is written or replaced; zeros while it is missing."""
    return tuple(_stamp(path) for chain in chains for path in (chain.certificate, chain.key))


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_ino, status.st_size

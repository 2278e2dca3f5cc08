"""The web door: one HTTPS listener in a thread of its own, uvicorn inside it."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence

import anyio.to_thread
import uvicorn
import uvloop

from leadglass.archive.archive import Archive
from leadglass.archive.decoding import Decoding
from leadglass.crypto.certificates import host_names, parse_certificate
from leadglass.crypto.tls import CertificateChain
from leadglass.errors import RefusedForSafety
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool
from leadglass.server.web.application import build
from leadglass.server.web.certificates import CertificateFiles
from leadglass.server.web.configuration import WebConfig
from leadglass.server.web.dicomweb.requests import service
from leadglass.server.web.listener import TlsListener
from leadglass.server.web.protocol import bounded

BACKLOG = 512


class WebDoor:
    """`start` returns once it accepts; `close` lets answers under way finish within the drain time, and ends the
    decoders."""

    def __init__(
        self, archive: Archive, config: WebConfig, chains: Sequence[CertificateChain], host: str, port: int
    ) -> None:
        """Raises RefusedForSafety when the certificate or the address cannot be had."""
        shown = (config.chain,) if config.chain else tuple(chains)
        files = CertificateFiles(shown)
        self._socket = _listen(host, port)
        self._decoders = DecoderPool(DecoderLimits())
        decoding = Decoding(self._decoders, archive.limits)
        names = (*config.names, *_names(shown))
        app = build(archive, decoding, set(names), config.origins)
        # What most people will ask for; under another name it is found all the same.
        archive.preparation.root = service(names[0], self.address[1]) if names else ""
        self._server = _Server(app, config, files)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        name = self._socket.getsockname()
        return name[0], name[1]

    def start(self) -> None:
        self._thread.start()
        self._server.accepting.wait()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._decoders.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._server.serve(sockets=[self._socket]))


class _Server(uvicorn.Server):
    """uvicorn's server; `accepting` is set once it listens."""

    def __init__(self, app: object, config: WebConfig, files: CertificateFiles) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
                http="httptools",
                ws="none",
                lifespan="off",
                interface="asgi3",
                # Query strings hold names of patients; uvicorn's own words about errors may quote what a peer sent.
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=config.connections,
                backlog=BACKLOG,
                timeout_keep_alive=int(config.idle_seconds),
                timeout_graceful_shutdown=int(config.drain_seconds),
            )
        )
        self.accepting = threading.Event()
        self._bounds = config
        self._files = files
        self._kind = bounded(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's own, with our listeners, and with as many threads as are configured."""
        anyio.to_thread.current_default_thread_limiter().total_tokens = self._bounds.threads
        self.servers = [
            TlsListener(listening, self._files.context, self._protocol, self._bounds)  # type: ignore[misc]
            for listening in sockets or ()
        ]
        self.started = True
        self.accepting.set()

    def _protocol(self) -> asyncio.Protocol:
        return self._kind(config=self.config, server_state=self.server_state, app_state={})


def _names(chains: Sequence[CertificateChain]) -> Iterator[str]:
    for chain in chains:
        yield from host_names(parse_certificate(chain.certificate.read_bytes()))


def _listen(host: str, port: int) -> socket.socket:
    """Raises RefusedForSafety when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise RefusedForSafety(
            f"Cannot listen on {host}:{port}: {error.strerror or 'not an address'}.",
            "Choose another --https-port or --host, or stop what uses it.",
        ) from None

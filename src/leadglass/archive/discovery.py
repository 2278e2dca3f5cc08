"""What an OpenID provider publishes (OpenID Connect Discovery 1.0): its endpoints and keys, believed for a while.

Asking is bounded in time and number, no lock is held meanwhile, and a provider that failed is left alone for a while:
however slow it is, whoever waits for it waits for a moment, and everybody else not at all.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from leadglass.archive.users import Clock
from leadglass.errors import NotAvailable, UsageError

#: How long a failure is remembered, seconds.
LEFT_ALONE = 30
#: Conversations with the provider under way at once, and how many wait for what one of them asks.
AT_ONCE = 4
WAITING = 8
MAX_DOCUMENT = 256 * 1024
T = TypeVar("T")


def unreachable() -> NotAvailable:
    return NotAvailable("The OpenID provider does not answer as it should.", "Try again later; see [openid] issuer.")


class Asking:
    """Conversations with the provider over HTTPS, each done `seconds` after it began or given up."""

    def __init__(self, ca: str, seconds: float) -> None:
        """`ca`: the file with its authority's certificate; empty: those that the system trusts. Raises UsageError when
        it cannot be used."""
        try:
            trusted = ssl.create_default_context(cafile=ca or None)
        except OSError as error:  # ssl.SSLError is one
            raise UsageError(
                f"The OpenID issuer's authority cannot be read: {error.strerror}.", "Give [openid] ca a file in PEM."
            ) from None
        # A step of a conversation; the whole has a bound of its own, since a peer can drip.
        self._client = httpx.Client(verify=trusted, timeout=seconds, trust_env=False, follow_redirects=False)
        self._seconds = seconds
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def within_time(self, converse: Callable[[], T]) -> T:
        """Its result. Raises what it raises, and NotAvailable when it takes too long or too many are under way."""
        if not self._turns.acquire(blocking=False):
            raise unreachable()
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(converse())
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                future.set_exception(error)
            finally:
                self._turns.release()

        # One that outlasts its time ends by itself, and nobody waits for it: neither a request nor the end of `serve`.
        threading.Thread(target=work, name="openid", daemon=True).start()
        try:
            return future.result(self._seconds)
        except TimeoutError:
            raise unreachable() from None

    def document(self, url: str) -> dict[str, Any]:
        """What is published there. Raises NotAvailable."""
        return self._json(lambda: self._client.stream("GET", url, headers={"Accept-Encoding": "identity"}), url)

    def posted(self, url: str, form: dict[str, str], auth: httpx.BasicAuth | None) -> dict[str, Any]:
        """The answer to a form. Raises NotAvailable."""
        kept = httpx.USE_CLIENT_DEFAULT if auth is None else auth
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        return self._json(lambda: self._client.stream("POST", url, data=form, auth=kept, headers=headers), url)

    def _json(self, ask: Callable[[], AbstractContextManager[httpx.Response]], url: str) -> dict[str, Any]:
        if urlsplit(url).scheme != "https":
            raise unreachable()
        until = time.monotonic() + self._seconds
        body = b""
        try:
            with ask() as answer:
                for piece in answer.iter_raw():
                    body += piece
                    if len(body) > MAX_DOCUMENT or time.monotonic() > until:
                        raise unreachable()
            document = json.loads(body)
        except (httpx.HTTPError, ValueError, RecursionError):
            raise unreachable() from None
        if not isinstance(document, dict) or answer.status_code not in (200, 400, 401):
            raise unreachable()
        # RFC 6749 5.2: a refusal is a document too, and holds none of what is looked for.
        return document if answer.status_code == 200 else {}


@dataclass(frozen=True, slots=True)
class Published:
    """`asked` is when, µs since 1970 UTC."""

    metadata: dict[str, Any]
    keys: KeySet
    asked: int

    def endpoint(self, name: str) -> str:
        """Raises NotAvailable."""
        found = self.metadata.get(name)
        if not isinstance(found, str) or urlsplit(found).scheme != "https":
            raise unreachable()
        return found


class Discovery:
    def __init__(self, issuer: str, asking: Asking, clock: Clock) -> None:
        self._issuer = issuer
        self._asking = asking
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Published | None = None
        self._failed: int | None = None
        self._under_way: Future[Published] | None = None
        self._places = threading.BoundedSemaphore(WAITING)

    def published(self, believed: int) -> Published:
        """Asked for at most `believed` seconds ago. One asks for those who come meanwhile, of whom a few may wait.
        Raises NotAvailable."""
        now = self._clock()
        with self._lock:
            known = self._known
            if known is not None and now - known.asked <= believed * 1_000_000:
                return known
            if self._failed is not None and now - self._failed <= LEFT_ALONE * 1_000_000:
                raise unreachable()
            future, is_mine = self._under_way, self._under_way is None
            if future is None:
                future = self._under_way = Future()
        if is_mine:
            self._ask(future, now)
            return future.result()
        if not self._places.acquire(blocking=False):
            raise unreachable()
        try:
            return future.result()
        finally:
            self._places.release()

    def _ask(self, future: Future[Published], now: int) -> None:
        """Everybody who waits is told within the time that asking may take."""
        try:
            found = self._asking.within_time(lambda: self._fetched(now))
        except Exception as error:  # noqa: BLE001 - handed to all who wait
            with self._lock:
                self._failed, self._under_way = now, None
            future.set_exception(error)
            return
        with self._lock:
            self._known, self._failed, self._under_way = found, None, None
        future.set_result(found)

    def _fetched(self, now: int) -> Published:
        metadata = self._asking.document(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if metadata.get("issuer") != self._issuer:  # OpenID Connect Discovery 4.3
            raise unreachable()
        try:
            keys = KeySet.import_key_set(self._asking.document(str(metadata.get("jwks_uri"))))  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError):
            raise unreachable() from None
        return Published(metadata, keys, now)

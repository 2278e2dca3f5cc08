"""What the door remembers between the steps of signing in: in memory, for minutes, under a random key in a cookie."""

import secrets
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile

from leadglass.archive.users import Clock, User
from leadglass.errors import NotAuthenticated

LIFE_SECONDS = 15 * 60
#: Steps open at once, in all and from one source, behind which there may be a hospital. Beyond, the oldest of the
#: source that has the most are forgotten, those of strangers first: a flood washes away nobody's steps but its own.
MOST = 10_000
MOST_OF_SOURCE = 500


@dataclass(frozen=True, slots=True)
class Ceremony:
    """`account` is who has proved itself by `method`, as it was then; `link` is an enrolment's secret, `totp` a secret
    that is being enrolled, `challenge` what an authenticator must sign, `exchange` an OpenID request under way."""

    account: User | None = None
    method: str = ""
    next: str = "/"
    link: str = field(default="", repr=False)
    totp: str = field(default="", repr=False)
    challenge: bytes = field(default=b"", repr=False)
    exchange: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_strangers(self) -> bool:
        return self.account is None and not self.link


@dataclass(frozen=True, slots=True)
class _Open:
    until: int
    source: str
    ceremony: Ceremony


class Ceremonies:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._of_source: Counter[str] = Counter()

    def begin(self, ceremony: Ceremony, source: str) -> str:
        """`source` is the network of the one who begins it."""
        key = secrets.token_urlsafe(32)
        with self._lock:
            self._make_room(source)
            self._open[key] = _Open(self._clock() + LIFE_SECONDS * 1_000_000, source, ceremony)
            self._of_source[source] += 1
        return key

    def change(self, key: str, change: Callable[[Ceremony], Ceremony]) -> None:
        """Put the next state under the same key. Raises NotAuthenticated."""
        with self._lock:
            found = self._found(key)
            self._open[key] = _Open(found.until, found.source, change(found.ceremony))

    def see(self, key: str) -> Ceremony:
        """Raises NotAuthenticated when there is none, or no longer."""
        with self._lock:
            return self._found(key).ceremony

    def take(self, key: str) -> Ceremony:
        """See it for the last time. Raises NotAuthenticated."""
        with self._lock:
            found = self._found(key)
            self._forget(key)
            return found.ceremony

    def _found(self, key: str) -> _Open:
        found = self._open.get(key)
        if found is None or found.until <= self._clock():
            raise NotAuthenticated("That took too long, was done already, or was begun elsewhere.", "Begin once more.")
        return found

    def _make_room(self, source: str) -> None:
        now = self._clock()
        # All live equally long, so that the oldest stand first.
        for key, _ in list(takewhile(lambda item: item[1].until <= now, self._open.items())):
            self._forget(key)
        if self._of_source[source] >= MOST_OF_SOURCE:
            self._forget(self._least_of(source))
        elif len(self._open) >= MOST:
            ((most, _),) = self._of_source.most_common(1)
            self._forget(self._least_of(most))

    def _least_of(self, source: str) -> str:
        held = [(key, each.ceremony) for key, each in self._open.items() if each.source == source]
        return next((key for key, ceremony in held if ceremony.is_strangers), held[0][0])

    def _forget(self, key: str) -> None:
        source = self._open.pop(key).source
        self._of_source[source] -= 1
        if not self._of_source[source]:
            del self._of_source[source]

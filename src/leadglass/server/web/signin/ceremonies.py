"""What the door remembers between the steps of signing in: in memory, for minutes, under a random key in a cookie."""

import secrets
import threading
from dataclasses import dataclass, field

from leadglass.archive.users import Clock
from leadglass.errors import NotAuthenticated

LIFE_SECONDS = 15 * 60
#: Steps open at once; beyond, the oldest are forgotten.
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Ceremony:
    """`account` has proved itself by `method` where that is set; `link` is an enrolment's secret, `totp` a secret that
    is being enrolled, `challenge` what an authenticator must sign, `exchange` an OpenID request under way."""

    account: int = 0
    method: str = ""
    next: str = "/"
    link: str = field(default="", repr=False)
    totp: str = field(default="", repr=False)
    challenge: bytes = field(default=b"", repr=False)
    exchange: dict[str, str] = field(default_factory=dict, repr=False)


class Ceremonies:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, tuple[int, Ceremony]] = {}

    def begin(self, ceremony: Ceremony) -> str:
        key = secrets.token_urlsafe(32)
        self.keep(key, ceremony)
        return key

    def keep(self, key: str, ceremony: Ceremony) -> None:
        """Put the next state under the same key."""
        now = self._clock()
        with self._lock:
            for old in [old for old, (until, _) in self._open.items() if until <= now]:
                del self._open[old]
            if len(self._open) >= MOST:
                del self._open[next(iter(self._open))]
            self._open[key] = (now + LIFE_SECONDS * 1_000_000, ceremony)

    def see(self, key: str) -> Ceremony:
        """Raises NotAuthenticated when there is none, or no longer."""
        until, ceremony = self._open.get(key, (0, Ceremony()))
        if until <= self._clock():
            raise NotAuthenticated("That took too long, or was begun elsewhere.", "Begin once more.")
        return ceremony

    def take(self, key: str) -> Ceremony:
        """See it for the last time."""
        ceremony = self.see(key)
        with self._lock:
            if self._open.pop(key, None) is None:
                raise NotAuthenticated("That was done already.", "Begin once more.")
        return ceremony

"""FTP as a stranger tries it (RFC 959, RFC 2428): one anonymous login, listings, and the heads of some files.

Data connections go to the address of the control connection, whatever address an answer names: EPSV tells a port only,
and of PASV only the port is believed (RFC 2577 3).
"""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from leadglass.assess.counting.census import Census
from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.observation import Endpoint, Exchange, Fact, Observation, ObservationKind, ServiceResult
from leadglass.assess.probes.files import HEAD, MOST_FILES, FileCount, chosen, is_named_dicom
from leadglass.assess.reach import BudgetSpent, OutOfScope, Reach
from leadglass.errors import FormatError, NotAvailable

_LINE: Final = 1024
_MOST_LINES: Final = 200
_MOST_FOLDERS: Final = 300
_MOST_NAMES: Final = 50_000
_DEPTH: Final = 8
_LONGEST_NAME: Final = 255
_LISTING_BYTES: Final = 4 * 1024 * 1024
_EPSV: Final = re.compile(r"\(\|\|\|(\d{1,5})\|\)")
_PASV: Final = re.compile(r"(?:\d{1,3},){4}(\d{1,3}),(\d{1,3})")
#: `ls -l` as most servers write it: type and rights, links, owner, group, size, month, day, time or year, name.
_UNIX: Final = re.compile(r"^([-d])[rwxsStT-]{9}\S?\s+\d+\s+\S+\s+\S+\s+\d+\s+\w{3}\s+\d{1,2}\s+[\d:]{4,5}\s(.+)$")
_DOS: Final = re.compile(r"^\d\d-\d\d-\d{2,4}\s+\d\d:\d\d[AP]?M?\s+(<DIR>|\d+)\s+(.+)$")
#: To USER (RFC 959 5.4, RFC 2228 5). Mail servers greet alike, and do not know that command.
_USER_ANSWERS: Final = (230, 232, 331, 332, 336, 421, 430, 530, 534, 550)
_PRODUCTS: Final = re.compile(
    r"vsFTPd|ProFTPD|Pure-FTPd|pyftpdlib|FileZilla Server|Microsoft FTP Service", re.IGNORECASE
)


class NotFtp(FormatError):
    """What introduced itself with 220 does not go on as an FTP server."""


class Conversation:
    """A control connection; every line and every wait is bounded. Raises NotAvailable, NotFtp, BudgetSpent."""

    def __init__(self, reach: Reach, endpoint: Endpoint, patience: float, longest: float) -> None:
        self._reach = reach
        self._endpoint = endpoint
        self._patience = patience
        self._deadline = time.monotonic() + longest
        self._connection = reach.connect(endpoint, patience)
        self._held = b""

    def close(self) -> None:
        self._connection.close()

    def say(self, command: str) -> tuple[int, str]:
        """Code and text of the answer to a command. `command`: one line."""
        if any(each in command for each in "\r\n\0"):
            raise FormatError("A name from a listing cannot be asked for.")
        try:
            self._connection.sendall(command.encode("utf-8", "surrogateescape") + b"\r\n")
        except OSError:
            raise NotAvailable(f"{self._endpoint} hangs up.") from None
        return self.hear()

    def hear(self) -> tuple[int, str]:
        """The next answer: its code and the text of its last line (RFC 959 4.2)."""
        line = self._line()
        code = line[:3]
        if not (len(code) == 3 and code.isascii() and code.isdigit()):
            raise NotFtp(f"{self._endpoint} does not answer as FTP servers do.")
        if line[3:4] == "-":
            line = next((each for each in self._lines() if each.startswith(code) and each[3:4] != "-"), "")
        return int(code), line[4:]

    def _lines(self) -> Iterator[str]:
        for _ in range(_MOST_LINES):
            yield self._line()

    def data(self) -> socket.socket:
        """A data connection: to the port that the server names, and never to another address."""
        code, text = self.say("EPSV")
        found = _EPSV.search(text) if code == 229 else None
        if found is not None:
            port = int(found[1])
        else:
            code, text = self.say("PASV")
            pair = _PASV.search(text) if code == 227 else None
            port = int(pair[1]) * 256 + int(pair[2]) if pair is not None else 0
        if not 0 < port < 65_536:
            raise NotAvailable(f"{self._endpoint} opens no data connection.")
        try:
            return self._reach.connect_beside(self._endpoint, port, self._patience)
        except OutOfScope:
            raise NotAvailable(f"{self._endpoint} names a port for data that is another service's.") from None

    def fetch(self, command: str, most: int) -> tuple[bytes, bool]:
        """At most `most` bytes of what a command sends over a data connection, and whether that was all."""
        with closing(self.data()) as data:
            code, _ = self.say(command)
            if code not in (125, 150):
                raise NotAvailable(f"{self._endpoint} refuses a transfer.")
            received = bytearray()
            while len(received) < most and (part := self._receive(data, most - len(received))):
                received += part
        # Closed in the middle of a transfer, the server says so (426) or not; either way one answer follows.
        with suppress(NotFtp):
            self.hear()
        return bytes(received), len(received) < most

    def _line(self) -> str:
        while b"\n" not in self._held:
            if len(self._held) > _LINE:
                raise NotFtp(f"{self._endpoint} sends endless lines.")
            part = self._receive(self._connection, _LINE)
            if not part:
                raise NotAvailable(f"{self._endpoint} hangs up.")
            self._held += part
        line, self._held = self._held.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def _receive(self, connection: socket.socket, most: int) -> bytes:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise NotAvailable(f"{self._endpoint} takes longer than it may.")
        connection.settimeout(min(remaining, self._patience))
        try:
            part = connection.recv(min(most, 65_536))
        except OSError:
            raise NotAvailable(f"{self._endpoint} stops in the middle of an answer.") from None
        self._reach.spend(self._endpoint.address, len(part))
        return part


@dataclass(slots=True)
class _Walk:
    """Names are for the walk only: files of images are often called after patients."""

    files: list[str] = field(default_factory=list, repr=False)
    complete: bool = True


class FtpProbe:
    """`census`: what was counted at this door, once `run` is through."""

    def __init__(
        self,
        reach: Reach,
        endpoint: Endpoint,
        fingerprints: Fingerprints,
        patience: float = 10.0,
        longest: float = 600.0,
    ) -> None:
        self._reach = reach
        self._endpoint = endpoint
        self._fingerprints = fingerprints
        self._patience = patience
        self._longest = longest
        self._observations: list[Observation] = []
        self._unknowns: list[str] = []
        self._product = ""
        self.census = Census(fingerprints)

    def run(self) -> ServiceResult:
        """NotFtp if it is none (mail servers begin alike), NotAvailable if nobody answers."""
        with closing(Conversation(self._reach, self._endpoint, self._patience, self._longest)) as talk:
            begun = datetime.now(UTC)
            code, banner = talk.hear()
            user_code, _ = talk.say("USER anonymous")
            if code != 220 or user_code not in _USER_ANSWERS:
                raise NotFtp(f"{self._endpoint} does not answer as FTP servers do.")
            found = _PRODUCTS.search(banner)
            self._product = found[0] if found is not None else ""
            if user_code == 331:
                # RFC 1635: an address as the password; ours says who is knocking.
                user_code, _ = talk.say("PASS leadglass-assess@invalid")
            exchange = _exchange(begun, "USER anonymous", user_code)
            if user_code == 230:
                self._see(ObservationKind.FTP_ANONYMOUS, (exchange,), root="")
                self._walk(talk)
            else:
                self._see(ObservationKind.OTHER_SERVICE, (exchange,), protocol="ftp")
        return ServiceResult(
            self._endpoint,
            "ftp",
            self._product,
            self.census.counters(),
            self.census.oldest,
            self.census.newest,
            self.census.identifiers,
            tuple(self._observations),
            tuple(dict.fromkeys(self._unknowns)),
        )

    def _walk(self, talk: Conversation) -> None:
        walk, count = _Walk(), FileCount()
        begun = datetime.now(UTC)
        candidates: list[str] = []
        try:
            talk.say("TYPE I")
            _list(talk, walk)
            candidates = chosen(walk.files)
            for path in candidates[:MOST_FILES]:
                head, _ = talk.fetch(f"RETR {path}", HEAD)
                count.add(f"{self._endpoint}{path}", head)
        except (NotAvailable, FormatError) as error:
            walk.complete = False
            spent = isinstance(error, BudgetSpent)
            self._unknowns.append("its time or bytes are spent" if spent else "the walk through its files breaks off")
        unseen = candidates[count.tried :]
        walk.complete &= not unseen
        facts: dict[str, Fact] = {
            "root": "/",
            "files": len(walk.files),
            "dicom_files": len(count.proven) + sum(map(is_named_dicom, unseen)),
            "tried": count.tried,
            "proven": len(count.proven),
            "capped": not walk.complete,
        }
        exchanges = [_exchange(begun, "LIST /", 226 if walk.files else 150)]
        if count.proven:
            exchanges.append(_exchange(begun, "RETR ***", 150, "closed after the header"))
        self._observations.append(Observation(ObservationKind.FTP_LISTING, facts, tuple(exchanges)))
        if count.proven or unseen:
            census = Census(self._fingerprints, retrievable=True)
            count.count_into(census, complete=walk.complete)
            self.census.absorb(census)

    def _see(self, kind: ObservationKind, exchanges: tuple[Exchange, ...], **facts: Fact) -> None:
        self._observations.append(Observation(kind, facts, exchanges))


def _exchange(begun: datetime, command: str, code: int, note: str = "") -> Exchange:
    summary = f"{command} → {code}{f' ({note})' if note else ''}"
    return Exchange(begun, summary, f"{command}\r\n".encode(), f"{code} ***\r\n".encode())


def _list(talk: Conversation, walk: _Walk) -> None:
    folders = [("/", 0)]
    names = 0
    for _ in range(_MOST_FOLDERS):
        if not folders:
            return
        folder, depth = folders.pop()
        body, whole = talk.fetch(f"LIST {folder}", _LISTING_BYTES)
        walk.complete &= whole
        for is_folder, name in _entries(body):
            names += 1
            if names > _MOST_NAMES:
                walk.complete = False
                return
            if not is_folder:
                walk.files.append(f"{folder}{name}")
            elif depth < _DEPTH:
                folders.append((f"{folder}{name}/", depth + 1))
            else:
                walk.complete = False
    walk.complete = False


def _entries(body: bytes) -> Iterator[tuple[bool, str]]:
    """Whether each is a folder, and its name; links are passed over, since they may lead anywhere."""
    for line in body.decode("utf-8", "surrogateescape").splitlines():
        unix, dos = _UNIX.match(line), _DOS.match(line)
        if unix is not None:
            is_folder, name = unix[1] == "d", unix[2]
        elif dos is not None:
            is_folder, name = dos[1] == "<DIR>", dos[2]
        else:
            continue
        if len(name) <= _LONGEST_NAME and name not in (".", "..") and "/" not in name and min(name) >= " ":
            yield is_folder, name

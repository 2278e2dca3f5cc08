"""Access events: canonical bytes, leaf, and the chain of MACs that each writer keeps (docs/formats/log.md).

A row is final when it is written: a later Merkle log takes the `leaf` bytes as they are. The leaf commits to the
content without revealing it, so that content and salt can be destroyed while the tree stands.
"""

import hashlib
import hmac
import json
import os
import time
from dataclasses import dataclass, replace

from leadglass.errors import VerificationFailed
from leadglass.model import AccessEvent

LEAF_VERSION = b"\x01"
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
NONCE_BYTES = 16
#: Actions by which somebody sees something of a study, lets somebody see it, or was kept from it.
DISCLOSING = frozenset({"retrieve", "retrieve-end", "export", "share", "share-end", "verification-failed"})


@dataclass(frozen=True, slots=True)
class ChainedEvent:
    """An event as it is stored: number `n` in the chain of `writer`, at `time_us` microseconds since 1970 UTC."""

    writer: int
    n: int
    time_us: int
    action: str
    principal: str
    content: bytes
    leaf: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Where a writer's chain stands: the number and MAC of its last event, and the latest time given out."""

    writer: int
    n: int
    mac: bytes
    time_us: int


def canonical(event: AccessEvent, time_us: int) -> bytes:
    """The event's content: JSON with sorted keys, no white space, UTF-8, empty members left out."""
    members: dict[str, object] = {
        "v": 1,
        "t": time_us,
        "a": event.action,
        "o": event.outcome.value,
        "p": event.principal,
        "c": event.credential,
        "h": event.person,
        "s": event.study,
        "f": event.peer,
        "d": dict(event.detail),
    }
    kept = {key: value for key, value in members.items() if value not in ("", {}, None)}
    return _encode(kept).encode()


def leaf_of(content: bytes, salt: bytes, nonce: bytes) -> bytes:
    return LEAF_VERSION + nonce + hmac.digest(salt, nonce + content, "sha256")


def chain_mac(key: bytes, previous: bytes, writer: int, n: int, leaf: bytes) -> bytes:
    position = writer.to_bytes(8, "big") + n.to_bytes(8, "big")
    return hmac.digest(key, previous + position + leaf, "sha256")


def first_mac(writer: int, archive_id: bytes) -> bytes:
    """What stands for "the previous MAC" before a writer's first event."""
    return hashlib.sha256(b"leadglass chain" + archive_id + writer.to_bytes(8, "big")).digest()


class Journal:
    """Numbers and chains the events of one writer. Used by the committer's thread only.

    `head` is a value: the committer keeps the one from before a transaction and puts it back after a rollback.
    """

    def __init__(self, mac_key: bytes, head: ChainHead) -> None:
        self._mac_key = mac_key
        self.head = head

    def chain(self, event: AccessEvent, salt: bytes) -> ChainedEvent:
        head = self.head
        time_us = max(time.time_ns() // 1000, head.time_us)
        content = canonical(event, time_us)
        leaf = leaf_of(content, salt, os.urandom(NONCE_BYTES))
        mac = chain_mac(self._mac_key, head.mac, head.writer, head.n + 1, leaf)
        self.head = replace(head, n=head.n + 1, mac=mac, time_us=time_us)
        return ChainedEvent(head.writer, head.n + 1, time_us, event.action, event.principal, content, leaf, mac)


def verify_link(key: bytes, previous: bytes, event: ChainedEvent, salt: bytes) -> None:
    """Check one event against its predecessor's MAC. Raises VerificationFailed."""
    nonce = event.leaf[1 : 1 + NONCE_BYTES]
    if not hmac.compare_digest(leaf_of(event.content, salt, nonce), event.leaf):
        raise VerificationFailed(f"Event {event.n} of writer {event.writer} was altered: its leaf does not fit.")
    if not hmac.compare_digest(chain_mac(key, previous, event.writer, event.n, event.leaf), event.mac):
        raise VerificationFailed(f"The chain of writer {event.writer} is broken at event {event.n}.")

"""The access log of an archive that is not served, as its events say it."""

import json
from typing import Any

from leadglass.crypto.keys import KeyDirectory
from leadglass.index.index import Index
from tests.served import Served

Event = dict[str, Any]


def events(archive: Served, *actions: str) -> list[Event]:
    """The content of the events of some actions, or of all, oldest first (docs/formats/log.md)."""
    index = Index.open(archive.data / "index.db", KeyDirectory.open(archive.keys).root().derive("index"))
    try:
        found = [json.loads(row.content) for row in index.events()]
    finally:
        index.close()
    return [event for event in found if not actions or event["a"] in actions]

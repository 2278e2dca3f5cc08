"""Waiting for what a thread has begun."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def finished(work: asyncio.Future[T], stop: Callable[[], None] = lambda: None) -> T:
    """What it comes to. A thread cannot be cancelled: whoever is, however often, waits for it to end all the same, and
    is cancelled then. `stop` asks it to hurry."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            cancelled = error
            stop()
    if cancelled is None:
        return work.result()
    if not work.cancelled():
        work.exception()  # or asyncio would print it
    raise cancelled

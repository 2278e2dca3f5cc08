"""Jobs that another process sends to the one that commits: here another thread, over the same sockets."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from leadglass.archive.archive import Archive
from leadglass.archive.channel import AskingEnd
from leadglass.archive.committer import Writing, record_all
from leadglass.archive.link import LinkFailed
from leadglass.errors import DataSetError, OutOfResources
from leadglass.model import AccessEvent, Outcome
from tests.archive.opened import opened
from tests.served import Served


@pytest.fixture
def archive(furnished: Served, tmp_path: Path) -> Iterator[Archive]:
    with opened(furnished.copy(tmp_path)) as here:
        yield here


def channel(archive: Archive) -> AskingEnd:
    ours, theirs = socket.socketpair()
    archive.take_jobs(theirs.detach())
    return AskingEnd(ours)


def note(writing: Writing, action: str) -> str:
    record_all(writing, [(AccessEvent(action, Outcome.DONE, "device:scanner"), None)])
    return action


def refuse(_: Writing) -> None:
    raise DataSetError("It is cut short.", 17)


def fail(_: Writing) -> None:
    raise ValueError("DOE^JANE")


def unsendable(_: Writing) -> object:
    return lambda: None


def noted(archive: Archive, action: str) -> int:
    return len(list(archive.index.events(action=action)))


def nothing() -> None: ...


def test_jobs_and_their_answers(archive: Archive) -> None:
    end = channel(archive)
    for durable in (None, nothing, nothing, None):
        assert end.ask(partial(note, action="query"), durable) == ("query", None)
    assert noted(archive, "query") == 4


def test_many_at_once(archive: Archive) -> None:
    def ask(number: int) -> int:
        end = channel(archive)
        return sum(end.ask(partial(note, action=f"query{number}"), nothing)[1] is None for _ in range(20))

    with ThreadPoolExecutor(8) as senders:
        assert list(senders.map(ask, range(8))) == [20] * 8
    assert [noted(archive, f"query{number}") for number in range(8)] == [20] * 8


def test_a_job_of_many_packets(archive: Archive) -> None:
    action = "q" * 3_000_000
    assert channel(archive).ask(partial(note, action=action), nothing) == (action, None)


@pytest.mark.parametrize("durable", [None, nothing])
def test_one_that_fails_costs_the_next_nothing(archive: Archive, durable: Callable[[], None] | None) -> None:
    """Whether the word that it is durable comes before or after the answer."""
    end = channel(archive)
    value, error = end.ask(refuse, durable)
    assert value is None
    assert isinstance(error, DataSetError)
    assert error.offset == 17
    for job, kind in ((fail, "ValueError"), (unsendable, "AttributeError"), (7, "TypeError")):
        _, error = end.ask(job, durable)
        assert isinstance(error, LinkFailed)
        assert str(error) == kind
        assert end.ask(partial(note, action="query"), durable) == ("query", None)


def test_what_is_not_durable_is_undone(archive: Archive) -> None:
    """The others of its transaction are not."""
    full, other = channel(archive), channel(archive)

    def durable() -> None:
        with ThreadPoolExecutor(1) as sender:
            asked = sender.submit(other.ask, partial(note, action="query"), nothing)
            full.close()
            assert asked.result(30) == ("query", None)
        raise OutOfResources("The disk is full.")

    with pytest.raises(OutOfResources):
        full.ask(partial(note, action="store"), durable)
    assert (noted(archive, "store"), noted(archive, "query")) == (0, 1)


def test_who_is_gone_is_let_go(archive: Archive) -> None:
    """Before its job, in its middle, and after it."""
    for sent in (b"", b"\0\0", b"\0\0\1\0half"):
        ours, theirs = socket.socketpair()
        archive.take_jobs(theirs.detach())
        ours.sendall(sent)
        ours.close()
    assert channel(archive).ask(partial(note, action="query"), nothing) == ("query", None)


def test_nobody_waits_for_an_archive_that_is_closed(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        end = channel(archive)
        assert end.ask(partial(note, action="query"), nothing) == ("query", None)
    with pytest.raises(LinkFailed):
        end.ask(partial(note, action="query"), nothing)

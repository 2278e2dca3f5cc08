"""Two processes of one archive that ask each other, here two threads."""

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from leadglass.archive.admission import AssociationRefused, Refusal
from leadglass.archive.link import Link, LinkFailed
from leadglass.errors import DataSetError

TIMEOUT = 30


@pytest.fixture
def links() -> Iterator[tuple[Link, Link]]:
    ends = socket.socketpair()
    pair = Link(ends[0]), Link(ends[1])
    threads = [threading.Thread(target=link.run) for link in pair]
    for thread in threads:
        thread.start()
    yield pair
    pair[0].close()
    for thread, end in zip(threads, ends, strict=True):
        thread.join(TIMEOUT)
        assert not thread.is_alive()
        end.close()


def test_an_answer(links: tuple[Link, Link]) -> None:
    here, there = links
    there.serve({"add": lambda one, other: one + other})
    answers = [here.ask("add", number, 1) for number in range(200)]
    assert [each.result(TIMEOUT) for each in answers] == list(range(1, 201))


def test_both_ask_while_both_answer(links: tuple[Link, Link]) -> None:
    here, there = links
    here.serve({"len": len})
    there.serve({"len": len})
    asked = [link.ask("len", bytes(size)) for size in range(0, 400_000, 20_000) for link in (here, there)]
    assert [each.result(TIMEOUT) for each in asked] == [size for size in range(0, 400_000, 20_000) for _ in range(2)]


def test_what_is_answered_later(links: tuple[Link, Link]) -> None:
    here, there = links
    later: Future[str] = Future()
    there.serve({"later": lambda: later, "now": lambda: "now"})
    first = here.ask("later")
    assert here.ask("now").result(TIMEOUT) == "now"
    assert not first.done()
    later.set_result("later")
    assert first.result(TIMEOUT) == "later"


def test_an_error_keeps_its_kind_and_its_fields(links: tuple[Link, Link]) -> None:
    here, there = links

    def refuse() -> None:
        raise AssociationRefused(Refusal.TOO_MANY, "ct1")

    def fail() -> None:
        raise DataSetError("It is cut short.", 17, "Send it again.")

    there.serve({"refuse": refuse, "fail": fail})
    with pytest.raises(AssociationRefused) as refused:
        here.ask("refuse").result(TIMEOUT)
    assert (refused.value.refusal, refused.value.device) == (Refusal.TOO_MANY, "ct1")
    with pytest.raises(DataSetError) as failed:
        here.ask("fail").result(TIMEOUT)
    assert (failed.value.message, failed.value.offset, failed.value.remedy) == (
        "It is cut short.",
        17,
        "Send it again.",
    )


def test_a_defect_is_answered_without_its_text(links: tuple[Link, Link]) -> None:
    here, there = links

    def fail() -> None:
        raise ValueError("DOE^JANE")

    there.serve({"fail": fail})
    with pytest.raises(LinkFailed) as failed:
        here.ask("fail").result(TIMEOUT)
    assert str(failed.value) == "ValueError"


def test_who_is_gone_leaves_nobody_waiting(links: tuple[Link, Link]) -> None:
    here, there = links
    there.serve({"never": Future[None], "leave": there.close})
    waiting = here.ask("never")
    here.tell("leave")
    with pytest.raises(LinkFailed):
        waiting.result(TIMEOUT)
    with pytest.raises(LinkFailed):
        here.ask("never").result(TIMEOUT)


def test_descriptors_come_with_their_message(links: tuple[Link, Link]) -> None:
    here, there = links

    def read(descriptor: int, size: int) -> bytes:
        with os.fdopen(descriptor, "rb") as file:
            return file.read(size)

    there.serve({"read": read, "len": len})
    answers = []
    for number in range(50):
        reader, writer = os.pipe()
        os.write(writer, b"%d" % number)
        os.close(writer)
        here.ask("len", bytes(number * 1000))
        answers.append(here.ask("read", 10, descriptors=(reader,)))
        os.close(reader)
    assert [each.result(TIMEOUT) for each in answers] == [b"%d" % number for number in range(50)]

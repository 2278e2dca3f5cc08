"""The ledger of accesses, over a record that tells when, and fails when told."""

import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import pytest

from leadglass.archive.access import Access, AccessLedger, AccessRecord, Taken
from leadglass.errors import OutOfResources

ONE, TWO = (Access("device:one", "", "", number, f"1.2.{number}", "192.0.2.1") for number in (1, 2))


class Record(AccessRecord):
    def __init__(self) -> None:
        self.asked, self.answer = threading.Event(), threading.Event()
        self.opened: list[Access] = []
        self.closed: list[tuple[Access, Taken]] = []
        self.fails = False

    def open(self, accesses: Collection[Access]) -> None:
        self.asked.set()
        self.answer.wait()
        if self.fails:
            raise OutOfResources("the log takes nothing")
        self.opened += accesses

    def close(self, access: Access, taken: Taken) -> None:
        self.closed.append((access, taken))


def test_who_comes_while_an_access_is_put_on_record_waits_for_that() -> None:
    record = Record()
    ledger = AccessLedger(record)
    with ThreadPoolExecutor(2) as people:
        first = people.submit(ledger.begin, [ONE])
        record.asked.wait()
        second = people.submit(ledger.begin, [ONE])
        assert not second.done()
        record.answer.set()
        first.result()
        second.result()
    assert record.opened == [ONE]
    ledger.end([ONE])
    ledger.close_all()
    assert not record.closed
    ledger.count_part(ONE, 7, 10)
    ledger.count_elsewhere(ONE, Taken(instances=2, octets=30, in_parts={7, 8}, described=1))
    ledger.end([ONE])
    ledger.close_idle()
    assert not record.closed
    ledger.close_all()
    assert record.closed == [(ONE, Taken(2, 40, {7, 8}, 1))]


def test_what_cannot_be_put_on_record_does_not_begin() -> None:
    """For nobody who waits for it; what they hold besides is theirs no longer, and the next one asks anew."""
    record = Record()
    record.answer.set()
    ledger = AccessLedger(record)
    ledger.begin([TWO])
    record.fails = True
    record.answer.clear()
    record.asked.clear()
    with ThreadPoolExecutor(2) as people:
        both = [people.submit(ledger.begin, [ONE, TWO]) for _ in range(2)]
        record.asked.wait()
        record.answer.set()
        for each in both:
            with pytest.raises(OutOfResources):
                each.result()
    record.fails = False
    ledger.begin([ONE])
    assert record.opened == [TWO, ONE]
    ledger.end([ONE, TWO])
    ledger.close_all()
    assert [access for access, _ in record.closed] == [TWO, ONE]

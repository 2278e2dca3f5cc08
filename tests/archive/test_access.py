"""The ledger of accesses, over records that tell when, and fail when told."""

import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leadglass.archive.access import Access, AccessLedger, AccessRecord, Taken
from leadglass.archive.attachments import Attachment
from leadglass.errors import OutOfResources
from tests.archive.opened import TellingLock, device, opened, put
from tests.clients import ROOT, ct
from tests.served import TIMEOUT, Served

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


def test_an_access_does_not_begin_anew_before_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that an end belongs to the last begin before it, whatever comes between."""
    lock = TellingLock()
    order: list[object] = []

    class InTurn(AccessRecord):
        def open(self, accesses: Collection[Access]) -> None:
            order.extend(accesses)
            lock.awaited.set()

        def close(self, access: Access, taken: Taken) -> None:
            lock.awaited.clear()
            again.start()
            lock.awaited.wait()
            order.append((access, taken))

    ledger = AccessLedger(InTurn())
    monkeypatch.setattr(ledger, "_lock", lock)
    again = threading.Thread(target=ledger.begin, args=([ONE],))
    ledger.begin([ONE])
    ledger.end([ONE])
    ledger.close_all()
    again.join()
    assert order == [ONE, (ONE, Taken()), ONE]


def test_an_access_opens_while_others_wait(furnished: Served, tmp_path: Path) -> None:
    """However many tokens a provider is asked about for an attached process, its retrievals start."""
    answer = threading.Event()
    with opened(furnished.copy(tmp_path)) as archive:
        put(archive, ct(1))
        (study,) = archive.index.studies(f"{ROOT}.1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(archive, "principal_by_token", lambda _: answer.wait())
            attachment = Attachment(archive)
            verbs = attachment.verbs()
            asked = [verbs["principal_by_token"]("token") for _ in range(20)]
            try:
                verbs["open_accesses"]([Access.of(device(), study.id, study.uid, "192.0.2.1")]).result(TIMEOUT)
                assert not any(each.done() for each in asked)
            finally:
                answer.set()
                attachment.close()
        assert [event.study_id for event in archive.index.events(action="retrieve")] == [study.id]

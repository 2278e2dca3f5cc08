"""What every index must keep, beyond being searched."""

import pytest

from leadglass.dicom import tags
from leadglass.errors import DataSetError, NotFound, UsageError
from leadglass.index.attributes import series_from, study_from
from leadglass.index.held_rows import ListedReview
from leadglass.index.index import Index
from leadglass.index.rows import InstanceState, NewDevice, NewDeviceKey
from leadglass.model import Level, Scope
from tests.index.samples import (
    CT,
    EVERYWHERE,
    add_series,
    add_simple,
    add_study,
    found,
    new_instance,
)

SR = "1.2.840.10008.5.1.4.1.1.88.11"


def test_only_visible_instances_count(index: Index) -> None:
    counts = {
        tags.MODALITIES_IN_STUDY: "",
        tags.SOP_CLASSES_IN_STUDY: "",
        tags.NUMBER_OF_STUDY_RELATED_SERIES: "",
        tags.NUMBER_OF_STUDY_RELATED_INSTANCES: "",
    }
    with index.begin() as tx:
        study = add_study(tx, "1.1", {tags.PATIENT_ID: "P"})
        first = add_series(tx, study, "1.1.1", {tags.MODALITY: "CT"})
        second = add_series(tx, study, "1.1.2", {tags.MODALITY: "SR"})
        hidden = tx.add_instance(new_instance(first, "1.1.1.1", state=InstanceState.UNVERIFIED))
    assert found(index, {}) == []
    assert found(index, {}, Level.PATIENT) == []
    with index.begin() as tx:
        tx.add_instance(new_instance(second, "1.1.2.1", sop_class=SR))
    (answer,) = index.find(Level.STUDY, counts, EVERYWHERE, limit=None)
    assert [answer[tag] for tag in counts] == ["SR", SR, "1", "1"]
    with index.begin() as tx:
        tx.set_state(hidden, InstanceState.VISIBLE)
        tx.set_state(hidden, InstanceState.VISIBLE)
    (answer,) = index.find(Level.STUDY, counts, EVERYWHERE, limit=None)
    assert sorted(str(answer[tags.MODALITIES_IN_STUDY]).split("\\")) == ["CT", "SR"]
    assert [answer[tag] for tag in counts][2:] == ["2", "2"]
    with index.begin() as tx:
        tx.move_instance(hidden, second)
    (answer,) = index.find(Level.STUDY, counts, EVERYWHERE, limit=None)
    assert [answer[tag] for tag in counts][2:] == ["1", "2"]
    with index.begin() as tx:
        assert tx.instance(hidden).claim_id == tx.instance(hidden).study_id
        tx.set_state(hidden, InstanceState.SUPERSEDED)
        assert [row.instances for row in tx.series("1.1.2")] == [1]


def test_request_attributes(index: Index) -> None:
    items = (
        {tags.SCHEDULED_PROCEDURE_STEP_ID: "S1", tags.REQUESTED_PROCEDURE_ID: "R1"},
        {tags.SCHEDULED_PROCEDURE_STEP_ID: "S2", tags.REQUESTED_PROCEDURE_ID: "R2"},
    )
    with index.begin() as tx:
        series = add_series(tx, add_study(tx, "1.1", {}), "1.1.1", {}, items)
        tx.add_instance(new_instance(series, "1.1.1.1"))

    def asked(**keys: str) -> int:
        names = {"step": tags.SCHEDULED_PROCEDURE_STEP_ID, "procedure": tags.REQUESTED_PROCEDURE_ID}
        item = {names[name]: value for name, value in keys.items()}
        return len(found(index, {tags.REQUEST_ATTRIBUTES_SEQUENCE: (item,)}, Level.SERIES))

    assert asked(step="S1") == 1
    assert asked(step="S*", procedure="R2") == 1
    assert asked(step="S1", procedure="R2") == 0
    assert asked(step="") == 1
    (answer,) = index.find(Level.SERIES, {tags.REQUEST_ATTRIBUTES_SEQUENCE: ()}, EVERYWHERE, limit=None)
    assert answer[tags.REQUEST_ATTRIBUTES_SEQUENCE] == items
    with pytest.raises(DataSetError):
        found(index, {tags.REQUEST_ATTRIBUTES_SEQUENCE: (items[0], items[1])}, Level.SERIES)


def test_locate_by_series_and_number(index: Index) -> None:
    with index.begin() as tx:
        study = add_study(tx, "1.1", {tags.PATIENT_ID: "P"})
        for name in ("1.1.1", "1.1.2"):
            series = add_series(tx, study, name, {})
            for number in (3, 1, 2):
                tx.add_instance(new_instance(series, f"{name}.{number}", {tags.INSTANCE_NUMBER: str(number)}))
            tx.add_instance(new_instance(series, f"{name}.9", state=InstanceState.REVISION))
    rows = list(index.locate({tags.PATIENT_ID: "P", tags.STUDY_INSTANCE_UID: "1.1"}, EVERYWHERE))
    assert [row.uid for row in rows] == ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.2.1", "1.1.2.2", "1.1.2.3"]
    some = {tags.SERIES_INSTANCE_UID: "1.1.2", tags.SOP_INSTANCE_UID: "1.1.2.1\\1.1.2.3\\1.1.1.1"}
    assert [row.uid for row in index.locate(some, EVERYWHERE)] == ["1.1.2.1", "1.1.2.3"]
    assert index.instance(rows[0].id) == rows[0]
    with pytest.raises(DataSetError):
        list(index.locate({}, EVERYWHERE))
    with pytest.raises(DataSetError):
        list(index.locate({tags.PATIENT_NAME: "P"}, EVERYWHERE))


def test_claims_on_one_study(index: Index) -> None:
    with index.begin() as tx:
        first = add_study(tx, "1.1", {tags.PATIENT_ID: "P"})
        second = add_study(tx, "1.1", {tags.PATIENT_ID: "Q"}, site="north")
        owner = tx.owner_study("1.1")
        assert owner is not None
        assert (owner.id, owner.patient_id, owner.site) == (first, "P", "default")
        assert [row.owner for row in tx.studies("1.1")] == [True, False]
        series = add_series(tx, second, "1.1.1", {tags.MODALITY: "CT"}, ({tags.ACCESSION_NUMBER: "A"},))
        copy = tx.copy_series(series, first)
        assert [(row.id, row.study_id) for row in tx.series("1.1.1")] == [(series, second), (copy, first)]
        assert tx.series_row(copy).instances == 0
        moved = tx.add_instance(new_instance(series, "1.1.1.1"))
        assert tx.instance(moved).claim_id == second
        tx.move_instance(moved, copy)
        assert (tx.instance(moved).study_id, tx.instance(moved).claim_id) == (first, second)
        assert tx.log_salt(first) == b"salt"
        assert tx.series_row(copy).uid == "1.1.1"
        with pytest.raises(NotFound):
            tx.series_row(999)
    assert index.study(first).uid == "1.1"
    assert index.log_salt(second) == b"salt"


def test_patients_without_an_id_never_join(index: Index) -> None:
    with index.begin() as tx:
        assert tx.patient("P", "A") == tx.patient("P", "A") != tx.patient("P", "B")
        assert tx.patient("", "A") != tx.patient("", "A")


def test_versions_of_one_instance(index: Index) -> None:
    with index.begin() as tx:
        series = add_series(tx, add_study(tx, "1.1", {}), "1.1.1", {})
        first = tx.add_instance(new_instance(series, "1.1.1.10"))
        second = tx.add_instance(new_instance(series, "1.1.1.10", state=InstanceState.CONFLICT))
        tx.add_instance(new_instance(series, "1.1.1.1"))
        assert [(row.id, row.state) for row in tx.instances("1.1.1.10")] == [
            (first, InstanceState.VISIBLE),
            (second, InstanceState.CONFLICT),
        ]
        assert tx.instance(second).study_uid == "1.1"
        assert tx.instances("1.1.1.11") == []
    assert index.pack_ends() == {1: 1040}
    assert [row.id for row in index.all_instances(first)] == [second, second + 1]
    for missing in (index.instance, index.study, index.log_salt):
        with pytest.raises(NotFound):
            missing(999)


def test_a_walk_over_all_holds_no_snapshot(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadglass.index.index.PAGE", 2)
    with index.begin() as tx:
        series = add_series(tx, add_study(tx, "1.1", {}), "1.1.1", {})
        added = [tx.add_instance(new_instance(series, f"1.1.1.{number}")) for number in range(4)]
        writer = tx.add_writer()
        for n in range(1, 5):
            tx.add_event(writer, n, n, None, "store", "device:a", b"c", b"l", b"m")
    rows, events = index.all_instances(), index.chain(writer)
    seen, numbers = [next(rows).id], [next(events).n]
    with index.begin() as tx:
        added.append(tx.add_instance(new_instance(series, "1.1.1.9")))
        tx.add_event(writer, 5, 5, None, "store", "device:a", b"c", b"l", b"m")
    assert seen + [row.id for row in rows] == added
    assert numbers + [event.n for event in events] == [1, 2, 3, 4, 5]


def test_a_revision_replaces_what_is_searched(three: Index) -> None:
    with three.begin() as tx:
        (study,) = tx.studies("1.2.1")
        (series,) = tx.series("1.2.1.1")
        tx.update_study(study.id, study_from({tags.PATIENT_NAME: "Meier^Jörg", tags.STUDY_DESCRIPTION: "Neu"}))
        tx.update_series(series.id, series_from({tags.MODALITY: "MR"}))
    assert found(three, {tags.PATIENT_NAME: "*lle*"}) == ["1.2.2"]
    assert found(three, {tags.PATIENT_NAME: "*eie*"}) == ["1.2.1"]
    assert found(three, {tags.STUDY_DESCRIPTION: "*del*"}) == []
    assert found(three, {tags.MODALITIES_IN_STUDY: "MR"}) == ["1.2.1"]


def test_a_rolled_back_transaction_leaves_nothing(index: Index) -> None:
    with pytest.raises(ZeroDivisionError), index.begin() as tx:
        add_simple(tx, 1, {})
        raise ZeroDivisionError
    assert index.counts().studies == 0
    with index.begin() as tx:
        add_simple(tx, 1, {})
    assert found(index, {tags.SOP_CLASSES_IN_STUDY: CT}) == ["1.2.1"]


def test_events_and_writers(index: Index) -> None:
    assert index.last_event_time() == 0
    with index.begin() as tx:
        study = add_study(tx, "1.1", {})
        writer = tx.add_writer()
        for n in range(1, 6):
            action = "store" if n < 4 else "query"
            tx.add_event(writer, n, 1000 + n, study if n == 1 else None, action, f"device:{n % 2}", b"c", b"l", b"m")
        assert [row.id for row in tx.open_writers()] == [writer]
    assert index.last_event_time() == 1005
    assert [event.n for event in index.events(action="query")] == [4, 5]
    assert [event.n for event in index.events(principal="device:1", newest_first=True, limit=2)] == [5, 3]
    assert [event.n for event in index.events(index.chain_end(writer)[0].id - 2)] == [3, 4, 5]
    assert list(index.events(action="nothing")) == []
    assert [event.n for event in index.chain_end(writer)] == [4, 5]
    first = next(index.chain(writer))
    assert (first.study_id, first.action, first.content, first.leaf_index) == (study, "store", b"c", None)
    with index.begin() as tx:
        tx.close_writer(writer, 5)
        assert tx.open_writers() == []
    assert [(row.id, row.closed_n) for row in index.writers()] == [(writer, 5)]


def test_devices(index: Index) -> None:
    device = NewDevice("ct1", "default", ("modality",), ("CT1", "CT1B"), "HOSP", "", True, ("1.2.3",), "")
    key = NewDeviceKey("ab" * 32, b"der", None, 1, 2)
    with index.begin() as tx:
        number = tx.add_device(device)
        key_id = tx.add_device_key(number, key)
        with pytest.raises(UsageError):
            tx.add_device(device)
        with pytest.raises(UsageError):
            tx.add_device_key(number, key)
        tx.retire_device_key(key_id, 5)
        tx.add_device_key(number, key)
    (row,) = index.devices()
    assert (row.name, row.roles, row.aets, row.private_sop_classes) == (
        "ct1",
        ("modality",),
        ("CT1", "CT1B"),
        ("1.2.3",),
    )
    assert row.may_revise
    assert not row.disabled
    assert [each.retired_at for each in row.keys] == [5, None]
    with index.begin() as tx:
        tx.update_device(number, disabled=True)
    assert index.devices()[0].disabled


def test_reviews_show_claim_and_owner(index: Index) -> None:
    with index.begin() as tx:
        add_simple(tx, 1, {tags.PATIENT_ID: "P", tags.PATIENT_NAME: "Own^Er"})
        claim = add_study(tx, "1.2.1", {tags.PATIENT_ID: "Q", tags.PATIENT_NAME: "Clai^M"}, site="north")
        series = add_series(tx, claim, "1.2.1.7", {})
        instance = tx.add_instance(new_instance(series, "1.2.1.7.1", state=InstanceState.UNVERIFIED))
        number = tx.add_review(instance, "study-of-another-patient-or-site")
    uids = ("1.2.1.7.1", "1.2.1.7", "1.2.1")
    row = index.review(number, EVERYWHERE)
    assert row is not None
    listed = ListedReview(number, "study-of-another-patient-or-site", "open", row.created, *uids)
    assert list(index.reviews(EVERYWHERE)) == [listed]
    # It tells of both sites.
    for sites, seen in (({"default"}, []), ({"north"}, []), ({"default", "north"}, [listed])):
        assert list(index.reviews(Scope(frozenset(sites)))) == seen
        assert (index.review(number, Scope(frozenset(sites))) == row) == bool(seen)
    assert (row.sop_instance_uid, row.study_uid, row.site, row.patient_id) == ("1.2.1.7.1", "1.2.1", "north", "Q")
    assert (row.owner_patient_id, row.owner_patient_name, row.decided) == ("P", "Own^Er", None)
    with index.begin() as tx:
        tx.decide_review(number, "rejected", "local:root")
        assert tx.review(number, EVERYWHERE) != row
    assert list(index.reviews(EVERYWHERE)) == []
    assert [each.id for each in index.reviews(EVERYWHERE, "rejected")] == [number]
    row = index.review(number, EVERYWHERE)
    assert row is not None
    assert row.decided_by == "local:root"
    assert index.review(99, EVERYWHERE) is None


def test_a_whole_index_is_whole(three: Index) -> None:
    assert three.integrity_check() == []
    assert three.counts().instances == 3

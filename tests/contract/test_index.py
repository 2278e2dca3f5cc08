"""What every index must do. A further backend adds its factory to `FACTORIES`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leadglass.dicom import tags
from leadglass.errors import DataSetError, NotFound, UsageError
from leadglass.index.answers import AVAILABLE_TRANSFER_SYNTAX_UID
from leadglass.index.attributes import series_from, study_from
from leadglass.index.held_rows import ListedReview
from leadglass.index.index import Index
from leadglass.index.rows import InstanceState, NewDevice, NewDeviceKey
from leadglass.model import Level, Scope
from tests.index.samples import (
    ARCHIVE_ID,
    CT,
    EVERYWHERE,
    EXPLICIT_LE,
    KEY,
    add_series,
    add_simple,
    add_study,
    found,
    new_instance,
)

SR = "1.2.840.10008.5.1.4.1.1.88.11"


def embedded(directory: Path) -> Index:
    return Index.create(directory / "index.db", KEY, ARCHIVE_ID)


FACTORIES: tuple[Callable[[Path], Index], ...] = (embedded,)


@pytest.fixture(params=FACTORIES, ids=lambda factory: factory.__name__)
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    made: Index = request.param(tmp_path)
    yield made
    made.close()


@pytest.fixture
def three(index: Index) -> Index:
    """Two patients with three studies."""
    with index.begin() as tx:
        common = {tags.PATIENT_ID: "P1", tags.PATIENT_NAME: "Müller^Jörg", tags.PATIENT_BIRTH_DATE: "19500102"}
        add_simple(
            tx,
            1,
            common
            | {
                tags.STUDY_DATE: "20260105",
                tags.STUDY_TIME: "1012",
                tags.ACCESSION_NUMBER: "A1",
                tags.STUDY_DESCRIPTION: "Schädel nativ",
                tags.SERIES_NUMBER: "7",
                tags.INSTANCE_NUMBER: "3",
                tags.REFERRING_PHYSICIAN_NAME: "House^Gregory",
                tags.PATIENT_WEIGHT: "70.50",
                tags.OTHER_PATIENT_IDS: "X1\\X22",
                tags.OPERATORS_NAME: "Lee^Ann\\Roth^Bea",
            },
        )
        add_simple(
            tx, 2, common | {tags.STUDY_DATE: "20260106", tags.STUDY_TIME: "090000.5", tags.ACCESSION_NUMBER: "A2"}
        )
        add_simple(
            tx,
            3,
            {
                tags.PATIENT_ID: "P2",
                tags.PATIENT_NAME: "Yamada^Tarou=山田^太郎=やまだ^たろう",
                tags.STUDY_DATE: "20260107",
                tags.STUDY_TIME: "235959",
                tags.STUDY_DESCRIPTION: "Thorax [p.a.]",
            },
            site="north",
        )
    return index


@pytest.mark.parametrize(
    ("tag", "key", "studies"),
    [
        (tags.PATIENT_ID, "P1", [1, 2]),
        (tags.PATIENT_ID, "p1", []),
        (tags.PATIENT_ID, "P*", [1, 2, 3]),
        (tags.PATIENT_ID, "P?", [1, 2, 3]),
        (tags.PATIENT_ID, "?2", [3]),
        (tags.PATIENT_ID, "*", [1, 2, 3]),
        (tags.PATIENT_ID, "", [1, 2, 3]),
        (tags.PATIENT_ID, "P1\\*2", [1, 2, 3]),
        (tags.STUDY_DESCRIPTION, "*nativ\\thorax*", [1, 3]),
        (tags.STUDY_INSTANCE_UID, "1.2.1\\1.2.3", [1, 3]),
        (tags.STUDY_INSTANCE_UID, "1.2.*", []),
        (tags.ACCESSION_NUMBER, "A2", [2]),
        (tags.PATIENT_NAME, "müller^jörg", [1, 2]),
        (tags.PATIENT_NAME, "MULLER^JORG^^", [1, 2]),
        (tags.PATIENT_NAME, "Muller", [1, 2]),
        (tags.PATIENT_NAME, "Muller^*", [1, 2]),
        (tags.PATIENT_NAME, "Mull", []),
        (tags.PATIENT_NAME, "mul*", [1, 2]),
        (tags.PATIENT_NAME, "m*", [1, 2]),
        (tags.PATIENT_NAME, "*lle*", [1, 2]),
        (tags.PATIENT_NAME, "*r^j*", [1, 2]),
        (tags.PATIENT_NAME, "m?ller^j?rg", [1, 2]),
        (tags.PATIENT_NAME, "*ü*", [1, 2, 3]),
        (tags.PATIENT_NAME, "山田*", [3]),
        (tags.PATIENT_NAME, "*田^太*", [3]),
        (tags.PATIENT_NAME, "山田^太郎", [3]),
        (tags.PATIENT_NAME, "yamada^tarou=山田^太郎", [3]),
        (tags.PATIENT_NAME, "yamada^tarou=山本^太郎", []),
        (tags.PATIENT_NAME, "ya*郎", []),
        (tags.PATIENT_NAME, '*"*', []),
        (tags.PATIENT_NAME, '*a" OR "b*', []),
        (tags.REFERRING_PHYSICIAN_NAME, "*ous*", [1]),
        (tags.STUDY_DESCRIPTION, "schadel NATIV", [1]),
        (tags.STUDY_DESCRIPTION, "*del*", [1]),
        (tags.STUDY_DESCRIPTION, "thorax [p*", [3]),
        (tags.STUDY_DESCRIPTION, "t*", [3]),
        (tags.STUDY_DATE, "20260106", [2]),
        (tags.STUDY_DATE, "2026.01.06", [2]),
        (tags.STUDY_DATE, "20260106-", [2, 3]),
        (tags.STUDY_DATE, "-20260106", [1, 2]),
        (tags.STUDY_DATE, "20260105 - 20260106", [1, 2]),
        (tags.STUDY_TIME, "10-1012", [1]),
        (tags.STUDY_TIME, "101200.000-", [1, 3]),
        (tags.STUDY_TIME, "-0900", [2]),
        (tags.STUDY_TIME, "101200", [1]),
        (tags.PATIENT_BIRTH_DATE, "19500102", [1, 2]),
        (tags.PATIENT_WEIGHT, "70.5", [1]),
        (tags.OTHER_PATIENT_IDS, "X22", [1]),
        (tags.OTHER_PATIENT_IDS, "X2", []),
        (tags.OTHER_PATIENT_IDS, "X2*", [1]),
        (tags.MODALITIES_IN_STUDY, "CT", [1, 2, 3]),
        (tags.MODALITIES_IN_STUDY, "MR", []),
        (tags.MODALITIES_IN_STUDY, "MR\\C?", [1, 2, 3]),
        (tags.SOP_CLASSES_IN_STUDY, CT, [1, 2, 3]),
        (tags.SOP_CLASSES_IN_STUDY, SR, []),
        (tags.NUMBER_OF_STUDY_RELATED_INSTANCES, "99", [1, 2, 3]),
    ],
)
def test_matching_at_study_level(three: Index, tag: int, key: str, studies: list[int]) -> None:
    assert found(three, {tag: key}) == [f"1.2.{number}" for number in studies]


@pytest.mark.parametrize(
    ("level", "tag", "key", "count"),
    [
        (Level.SERIES, tags.SERIES_NUMBER, "007", 1),
        (Level.SERIES, tags.SERIES_NUMBER, "8", 0),
        (Level.SERIES, tags.OPERATORS_NAME, "roth", 1),
        (Level.SERIES, tags.OPERATORS_NAME, "lee^b*", 0),
        (Level.SERIES, tags.PATIENT_NAME, "*lle*", 2),
        (Level.SERIES, tags.SERIES_INSTANCE_UID, "1.2.1.1\\1.2.2.1", 2),
        (Level.IMAGE, tags.SOP_INSTANCE_UID, "1.2.1.1.1\\1.2.3.1.1\\not a uid", 2),
        (Level.IMAGE, tags.SOP_INSTANCE_UID, "not a uid", 0),
        (Level.IMAGE, tags.INSTANCE_NUMBER, "3", 1),
        (Level.IMAGE, tags.SOP_CLASS_UID, CT, 3),
        (Level.IMAGE, AVAILABLE_TRANSFER_SYNTAX_UID, SR, 0),
        (Level.PATIENT, tags.PATIENT_NAME, "*lle*", 1),
        (Level.PATIENT, tags.PATIENT_ID, "", 2),
    ],
)
def test_matching_at_other_levels(three: Index, level: Level, tag: int, key: str, count: int) -> None:
    assert len(found(three, {tag: key}, level)) == count


@pytest.mark.parametrize("level", list(Level))
def test_every_supported_key_is_answered(three: Index, level: Level) -> None:
    keys = dict.fromkeys(three.supported(level), "")
    for answer in three.find(level, keys, EVERYWHERE, limit=None):
        assert set(answer) == set(keys) | {tags.QUERY_RETRIEVE_LEVEL}
        texts = [value for tag, value in answer.items() if tag != tags.REQUEST_ATTRIBUTES_SEQUENCE]
        assert all(isinstance(value, str) for value in texts)


def test_answers_hold_what_was_sent(three: Index) -> None:
    keys = dict.fromkeys(three.supported(Level.IMAGE), "") | {tags.STUDY_INSTANCE_UID: "1.2.1"}
    (answer,) = three.find(Level.IMAGE, keys, EVERYWHERE, limit=None)
    expected = {
        tags.QUERY_RETRIEVE_LEVEL: "IMAGE",
        tags.PATIENT_NAME: "Müller^Jörg",
        tags.STUDY_TIME: "1012",
        tags.SERIES_NUMBER: "7",
        tags.SOP_INSTANCE_UID: "1.2.1.1.1",
        tags.SOP_CLASS_UID: CT,
        AVAILABLE_TRANSFER_SYNTAX_UID: EXPLICIT_LE,
        tags.PATIENT_WEIGHT: "70.50",
        tags.OTHER_PATIENT_IDS: "X1\\X22",
        tags.NUMBER_OF_PATIENT_RELATED_STUDIES: "2",
        tags.NUMBER_OF_FRAMES: "",
    }
    assert {tag: answer[tag] for tag in expected} == expected


def test_unsupported_keys_are_absent_and_lower_ones_too(three: Index) -> None:
    (answer,) = three.find(
        Level.STUDY, {tags.ACCESSION_NUMBER: "A1", tags.MODALITY: "XX", 0x00091001: "x"}, EVERYWHERE, limit=None
    )
    assert set(answer) == {
        tags.PATIENT_ID,
        tags.STUDY_INSTANCE_UID,
        tags.ACCESSION_NUMBER,
        tags.QUERY_RETRIEVE_LEVEL,
    }


@pytest.mark.parametrize(
    ("tag", "key"),
    [
        (tags.STUDY_DATE, "yesterday"),
        (tags.STUDY_DATE, "-"),
        (tags.STUDY_DATE, "2026*"),
        (tags.STUDY_TIME, "9"),
        (tags.PATIENT_WEIGHT, "heavy"),
    ],
)
def test_keys_that_cannot_be_meant(three: Index, tag: int, key: str) -> None:
    with pytest.raises(DataSetError) as raised:
        found(three, {tag: key})
    assert key not in str(raised.value) or key == "-"


def test_several_keys_have_to_match_together(three: Index) -> None:
    assert found(three, {tags.PATIENT_NAME: "*lle*", tags.STUDY_DATE: "20260101-20261231"}) == ["1.2.1", "1.2.2"]
    assert found(three, {tags.PATIENT_NAME: "*lle*", tags.STUDY_DATE: "20260106"}) == ["1.2.2"]
    assert found(three, {tags.PATIENT_NAME: "*lle*", tags.PATIENT_ID: "*2*"}) == []
    assert found(three, {tags.PATIENT_NAME: "?u*", tags.STUDY_DESCRIPTION: "*del*"}) == ["1.2.1"]
    assert found(three, {tags.PATIENT_NAME: "?u*", tags.MODALITY: "CT"}, Level.SERIES) == ["1.2.1.1", "1.2.2.1"]


def test_combined_date_and_time(three: Index) -> None:
    keys = {tags.STUDY_DATE: "20260105-20260107", tags.STUDY_TIME: "1100-2300"}
    assert found(three, keys) == []
    assert found(three, keys, combined=True) == ["1.2.2"]
    assert found(three, {tags.STUDY_DATE: "20260105-", tags.STUDY_TIME: "1013-"}, combined=True) == ["1.2.2", "1.2.3"]


def test_scope_narrows_rows_and_counts(three: Index) -> None:
    with three.begin() as tx:
        add_simple(tx, 4, {tags.PATIENT_ID: "P1", tags.PATIENT_NAME: "Other^Name"}, site="north")
    default = Scope(frozenset({"default"}))
    counted = {tags.PATIENT_NAME: "", tags.NUMBER_OF_PATIENT_RELATED_STUDIES: ""}
    (answer,) = three.find(Level.PATIENT, counted, default, limit=None)
    assert answer[tags.PATIENT_NAME] == "Müller^Jörg"
    assert answer[tags.NUMBER_OF_PATIENT_RELATED_STUDIES] == "2"
    assert found(three, {tags.PATIENT_NAME: "other*"}, scope=default) == []
    assert found(three, {}, scope=Scope(frozenset())) == []
    assert list(three.locate({tags.STUDY_INSTANCE_UID: "1.2.4"}, default)) == []


def test_limit_offset_and_newest_first(three: Index) -> None:
    def page(limit: int, offset: int) -> list[object]:
        return [
            row[tags.STUDY_INSTANCE_UID] for row in three.find(Level.STUDY, {}, EVERYWHERE, limit=limit, offset=offset)
        ]

    assert page(2, 0) == ["1.2.3", "1.2.2"]
    assert page(2, 2) == ["1.2.1"]


def test_a_closed_search_frees_its_connection(three: Index) -> None:
    for _ in range(50):
        answers = three.find(Level.STUDY, {}, EVERYWHERE, limit=None)
        next(answers)
        answers.close()  # type: ignore[attr-defined]
    with three.begin() as tx:
        add_simple(tx, 9, {})
    three.checkpoint()


def test_a_search_sees_one_snapshot(three: Index) -> None:
    with three.begin() as tx:
        for number in range(1000, 1600):
            add_simple(tx, number, {})
    answers = three.find(Level.STUDY, {}, EVERYWHERE, limit=None)
    next(answers)
    with three.begin() as tx:
        add_simple(tx, 99, {})
    assert 1 + sum(1 for _ in answers) == 603


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

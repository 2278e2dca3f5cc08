"""Generations of series, and documents that serve at one of them alone."""

from leadglass.dicom import tags
from leadglass.index.attributes import series_from
from leadglass.index.index import Index
from leadglass.index.rows import InstanceState
from leadglass.model import Level, Scope
from tests.index.samples import EVERYWHERE, add_series, add_study, found, new_instance

FORM = 1
MOST = 1000


def _series(index: Index, count: int = 2, site: str = "default", uid: str = "1.1") -> int:
    with index.begin() as tx:
        series = add_series(tx, add_study(tx, uid, {}, site=site), f"{uid}.1", {tags.MODALITY: "CT"})
        for number in range(count):
            tx.add_instance(new_instance(series, f"{uid}.1.{number}", {tags.INSTANCE_NUMBER: str(number)}))
    return series


def _put(index: Index, series: int, content: bytes = b"document", most: int = MOST) -> None:
    generation = index.series_document(series, FORM).generation
    with index.begin() as tx:
        tx.put_series_document(series, generation, FORM, content, most)


def test_whatever_is_shown_raises_the_generation(index: Index) -> None:
    series = _series(index)
    generations = [index.series_document(series, FORM).generation]

    def raised() -> bool:
        generations.append(index.series_document(series, FORM).generation)
        return generations[-1] > generations[-2]

    with index.begin() as tx:
        added = tx.add_instance(new_instance(series, "1.1.1.7"))
    assert raised()
    with index.begin() as tx:
        tx.set_state(added, InstanceState.SUPERSEDED)
        tx.add_instance(new_instance(series, "1.1.1.7"))
    assert raised()
    with index.begin() as tx:
        other = tx.copy_series(series, add_study(tx, "1.2", {}))
        tx.move_instance(added + 1, other)
    assert raised()
    with index.begin() as tx:
        tx.update_series(series, series_from({tags.MODALITY: "MR"}))
    assert raised()
    with index.begin() as tx:
        hidden = tx.add_instance(new_instance(series, "1.1.1.8", state=InstanceState.UNVERIFIED))
        tx.set_state(hidden, InstanceState.REJECTED)
    assert not raised()


def test_a_document_serves_at_its_generation_alone(index: Index) -> None:
    series = _series(index)
    assert index.series_document(series, FORM).content is None
    _put(index, series)
    assert index.series_document(series, FORM).content == b"document"
    assert index.series_document(series, FORM + 1).content is None
    late = index.series_document(series, FORM).generation
    with index.begin() as tx:
        tx.add_instance(new_instance(series, "1.1.1.9"))
    assert index.series_document(series, FORM).content is None
    with index.begin() as tx:
        tx.put_series_document(series, late, FORM, b"late", MOST)
    assert index.series_document(series, FORM).content is None
    _put(index, series, b"anew")
    assert index.series_document(series, FORM).content == b"anew"
    assert index.series_document(99, FORM).content is None


def test_documents_are_bounded_and_the_oldest_go_first(index: Index) -> None:
    first, second, third = (_series(index, uid=f"1.{number}") for number in range(1, 4))
    for series in (first, second, third):
        _put(index, series, bytes(40), 100)
    kept = [index.series_document(series, FORM).content is not None for series in (first, second, third)]
    assert kept == [False, True, True]
    _put(index, third, bytes(101), 100)
    assert index.series_document(third, FORM).content is None


def test_visible_series_and_their_instances(index: Index) -> None:
    series = _series(index, 3)
    empty = _series(index, 0, uid="1.2")
    _series(index, site="north", uid="1.1")
    default = Scope(frozenset({"default"}))
    (row,) = index.visible_series("1.1", None, default)
    assert (row.id, row.uid, row.instances) == (series, "1.1.1", 3)
    assert index.visible_series("1.1", "1.1.1", default) == (row,)
    assert index.visible_series("1.1", "1.1.9", default) == ()
    assert index.visible_series("1.2", None, default) == ()
    assert len(index.visible_series("1.1", None, EVERYWHERE)) == 2
    rows = index.series_instances(series)
    assert [each.number for each in rows.instances] == [0, 1, 2]
    assert rows.generation == index.series_document(series, FORM).generation
    assert index.series_instances(empty).instances == ()


def test_a_study_tells_the_modalities_of_its_visible_series(index: Index) -> None:
    with index.begin() as tx:
        study = add_study(tx, "1.1", {})
        mr = add_series(tx, study, "1.1.1", {tags.MODALITY: "MR"})
        ct = add_series(tx, study, "1.1.2", {tags.MODALITY: "CT"})
        add_series(tx, study, "1.1.3", {tags.MODALITY: "SR"})
        shown = tx.add_instance(new_instance(mr, "1.1.1.1"))
        tx.add_instance(new_instance(ct, "1.1.2.1"))

    def told() -> object:
        asked = dict.fromkeys((tags.MODALITIES_IN_STUDY, tags.NUMBER_OF_STUDY_RELATED_SERIES), "")
        (answer,) = index.find(Level.STUDY, asked, EVERYWHERE, limit=None)
        return answer[tags.MODALITIES_IN_STUDY], answer[tags.NUMBER_OF_STUDY_RELATED_SERIES]

    assert told() == ("CT\\MR", "2")
    assert found(index, {tags.MODALITIES_IN_STUDY: "SR"}) == []
    with index.begin() as tx:
        tx.update_series(ct, series_from({tags.MODALITY: "PT"}))
    assert told() == ("MR\\PT", "2")
    with index.begin() as tx:
        tx.set_state(shown, InstanceState.SUPERSEDED)
    assert told() == ("PT", "1")

"""What every index must find."""

import pytest

from leadglass.dicom import tags
from leadglass.errors import DataSetError
from leadglass.index.answers import AVAILABLE_TRANSFER_SYNTAX_UID
from leadglass.index.index import Index
from leadglass.model import Level, Matching, Scope
from tests.index.samples import (
    CT,
    EVERYWHERE,
    EXPLICIT_LE,
    add_simple,
    found,
)

COMBINED = Matching(combined_datetime=True)
FUZZY = Matching(fuzzy_names=True)
SR = "1.2.840.10008.5.1.4.1.1.88.11"


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
    ("tag", "key", "studies"),
    [
        (tags.PATIENT_NAME, "jörg müller", [1, 2]),
        (tags.PATIENT_NAME, "JO mull", [1, 2]),
        (tags.PATIENT_NAME, "Mull, J.", [1, 2]),
        (tags.PATIENT_NAME, "Jorg^Muller", [1, 2]),
        (tags.PATIENT_NAME, "*orgy", []),
        (tags.PATIENT_NAME, "*org m?l", [1, 2]),
        (tags.PATIENT_NAME, "uller", []),
        (tags.PATIENT_NAME, "m", [1, 2]),
        (tags.PATIENT_NAME, "^*", [1, 2, 3]),
        (tags.PATIENT_NAME, "太 山田", [3]),
        (tags.PATIENT_NAME, "yama=太郎", [3]),
        (tags.PATIENT_NAME, "yama=花子", []),
        (tags.PATIENT_NAME, '"*[', []),
        (tags.PATIENT_ID, "1", []),
    ],
)
def test_fuzzy_matching(three: Index, tag: int, key: str, studies: list[int]) -> None:
    """By words, in whichever order; other keys are matched as ever."""
    assert found(three, {tag: key}, matching=FUZZY) == [f"1.2.{number}" for number in studies]
    narrowed = {tag: key, tags.STUDY_DATE: "20260101-20261231"}
    assert found(three, narrowed, matching=FUZZY) == [f"1.2.{number}" for number in studies]


def test_fuzzy_matching_of_names_without_a_table(three: Index) -> None:
    assert len(found(three, {tags.OPERATORS_NAME: "an lee"}, Level.SERIES, matching=FUZZY)) == 1


def test_words_of_a_fuzzy_name_are_bounded(three: Index) -> None:
    with pytest.raises(DataSetError):
        found(three, {tags.PATIENT_NAME: "a " * 17}, matching=FUZZY)


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
    assert found(three, keys, matching=COMBINED) == ["1.2.2"]
    assert found(three, {tags.STUDY_DATE: "20260105-", tags.STUDY_TIME: "1013-"}, matching=COMBINED) == [
        "1.2.2",
        "1.2.3",
    ]


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


@pytest.mark.parametrize("level", [Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {tags.PATIENT_ID: "P1"},
        {tags.PATIENT_ID: "P2"},
        {tags.ACCESSION_NUMBER: "A2"},
        {tags.STUDY_INSTANCE_UID: "1.2.3"},
        {tags.STUDY_DATE: "20260106", tags.MODALITIES_IN_STUDY: "CT"},
        {tags.STUDY_DATE: "20260106", tags.MODALITIES_IN_STUDY: "C"},
        {tags.PATIENT_ID: "P1", tags.STUDY_DATE: "20260106"},
    ],
)
def test_exact_keys_find_what_others_would(three: Index, level: Level, keys: dict[int, str]) -> None:
    """Exact keys take a statement that is kept. The same as lists of two, from an offset, and in a scope that sees
    nothing: statements that are put together, or filled with other values."""
    wanted = dict.fromkeys((tags.PATIENT_NAME, tags.NUMBER_OF_PATIENT_RELATED_STUDIES, tags.STUDY_DESCRIPTION), "")
    supported = {tag: value for tag, value in keys.items() if tag in three.supported(level)}
    exact = list(three.find(level, wanted | supported, EVERYWHERE, limit=None))
    doubled = {
        tag: f"{each}-{each}" if tag == tags.STUDY_DATE else f"{each}\\{each}" for tag, each in supported.items()
    }
    assert exact == list(three.find(level, wanted | doubled, EVERYWHERE, limit=None))
    assert exact[1:] == list(three.find(level, wanted | supported, EVERYWHERE, limit=None, offset=1))
    assert exact[:1] == list(three.find(level, wanted | supported, EVERYWHERE, limit=1))
    assert list(three.find(level, wanted | supported, Scope(frozenset({"elsewhere"})), limit=None)) == []

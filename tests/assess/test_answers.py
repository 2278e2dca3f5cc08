"""Answers at study level: the quick reader says what the careful one says, and a few are drawn fairly from many."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.assess.counting.census import StudyAnswer
from leadglass.assess.counting.reservoir import Reservoir
from leadglass.assess.probes.dimse_answer import MANY, StudyReader
from leadglass.dicom import tags
from leadglass.dicom.attributes import encode_attributes
from leadglass.dicom.uids import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import DataSetError
from leadglass.model import Attributes

#: What only the careful reader takes: it reads big endian whatever the answer is.
CAREFUL = TRANSFER_SYNTAXES[EXPLICIT_BE]
QUICK = pytest.mark.parametrize(
    "syntax", [TRANSFER_SYNTAXES[EXPLICIT_LE], TRANSFER_SYNTAXES[IMPLICIT_LE]], ids=lambda each: each.name
)
_ASKED = sorted(set(MANY) - {tags.OTHER_PATIENT_IDS_SEQUENCE, tags.STUDY_INSTANCE_UID})
_LOCALISED = {tags.PATIENT_NAME, tags.PATIENT_ID, tags.PATIENT_COMMENTS}
_PLAIN = st.text("AB^=\\ -5690$", max_size=12)
_TEXT = st.text("AB^=\\ -5690é\x1b$", max_size=12)


@st.composite
def _studies(draw: st.DrawFn) -> Attributes:
    """Answers as peers give them: some attributes, others besides those asked for, a sequence with or without items."""
    texts = {
        tag: draw(_TEXT if tag in _LOCALISED else _PLAIN)
        for tag in draw(st.lists(st.sampled_from(_ASKED), unique=True))
    }
    texts[tags.STUDY_INSTANCE_UID] = draw(st.sampled_from(["1.2.3", "1.2.840.10008.99999999", ""]))
    texts[tags.SPECIFIC_CHARACTER_SET] = "ISO_IR 100"
    if draw(st.booleans()):
        texts[tags.STUDY_DESCRIPTION] = draw(_PLAIN)
    numbered: dict[int, str | tuple[Attributes, ...]] = dict(texts)
    if draw(st.booleans()):
        numbered[tags.ROWS] = "512"
    items = draw(st.sampled_from([None, (), ({tags.PATIENT_ID: "536-90-4000"},)]))
    if items is not None:
        numbered[tags.OTHER_PATIENT_IDS_SEQUENCE] = items
    return dict(sorted(numbered.items()))


@QUICK
@given(_studies())
def test_the_quick_reader_says_what_the_careful_one_says(syntax: TransferSyntax, study: Attributes) -> None:
    charsets = ("ISO_IR 100",)
    quick = encode_attributes(study, syntax, charsets)
    careful = encode_attributes(study, CAREFUL, charsets)
    try:
        expected = StudyReader(CAREFUL).read(careful)
    except DataSetError:
        with pytest.raises(DataSetError):
            StudyReader(syntax).read(quick)
    else:
        # Where numbers are looked for, spaces before them do not matter (PS3.5 6.2, LT).
        assert _trimmed(StudyReader(syntax).read(quick)) == _trimmed(expected)


def _trimmed(answer: StudyAnswer) -> StudyAnswer:
    return answer._replace(texts=tuple(text.strip() for text in answer.texts))


@QUICK
@given(_studies(), st.integers(0, 200), st.integers(0, 255))
def test_a_changed_or_cut_answer_is_read_or_refused(
    syntax: TransferSyntax, study: Attributes, place: int, byte: int
) -> None:
    encoded = bytearray(encode_attributes(study, syntax, ("ISO_IR 100",)))
    encoded[min(place, len(encoded) - 1)] = byte
    for answer in (bytes(encoded), bytes(encoded[:place])):
        try:
            assert StudyReader(syntax).read(answer).study
        except DataSetError:
            continue


def test_nothing_of_a_patient_is_in_a_repr() -> None:
    study = {tags.PATIENT_ID: "536-90-4000", tags.STUDY_INSTANCE_UID: "1.2.3"}
    syntax = TRANSFER_SYNTAXES[EXPLICIT_LE]
    answer = StudyReader(syntax).read(encode_attributes(study, syntax, ()))
    assert answer.patient_id == "536-90-4000"
    assert "536" not in repr(answer)


def test_a_reservoir_draws_fairly() -> None:
    """Each of ten is drawn 800 times of 4,000 on average, with a deviation of 25: six of those are never seen."""
    drawn: Counter[int] = Counter()
    for _ in range(4000):
        reservoir: Reservoir[int] = Reservoir(2)
        for number in range(10):
            reservoir.offer(number)
        assert len(set(reservoir.drawn)) == 2
        drawn.update(reservoir.drawn)
    assert all(abs(count - 800) < 6 * 25.3 for count in drawn.values())
    assert len(drawn) == 10


@pytest.mark.parametrize("offered", [0, 1, 5, 6, 100_000])
def test_a_reservoir_holds_no_more_than_it_may(offered: int) -> None:
    reservoir: Reservoir[int] = Reservoir(5)
    for number in range(offered):
        reservoir.offer(number)
    assert len(reservoir.drawn) == min(5, offered)
    assert len(set(reservoir.drawn)) == len(reservoir.drawn)

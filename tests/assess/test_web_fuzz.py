"""What comes from the answering side, at random and nearly right: a value or a named error, never anything else."""

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from leadglass.assess.counting.census import Census
from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.probes.files import FileCount, read_head
from leadglass.assess.probes.web_answer import INCLUDED, study_of
from leadglass.dicom import tags
from leadglass.errors import DataSetError
from tests.lab.truth import make, part10

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("1.2.3")
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["vr", "Value", "Alphabetic", "00100020"]), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYWORDS = [f"{tag:08X}" for tag in (*INCLUDED, tags.STUDY_INSTANCE_UID)]
STUDIES = st.dictionaries(st.sampled_from(KEYWORDS), VALUES | st.fixed_dictionaries({"Value": st.lists(LEAVES)}))
FILE = part10(make("91", 1).studies[0], 0)


@given(STUDIES | VALUES)
def test_any_json_is_a_study_or_a_data_set_error(element: object) -> None:
    try:
        study = study_of(element)
    except DataSetError:
        return
    census = Census(Fingerprints())
    assert census.add(study)
    assert census.counters().studies.value == 1


def test_a_study_is_read_whole() -> None:
    element = {
        "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
        "00080020": {"vr": "DA", "Value": ["20240102"]},
        "00100010": {"vr": "PN", "Value": [{"Ideographic": "山田"}]},
        "00100020": {"vr": "LO", "Value": ["P"]},
        "00100021": {"vr": "LO", "Value": ["HOSPITAL"]},
        "00101002": {"vr": "SQ", "Value": [{"00100020": {"vr": "LO", "Value": ["219-09-9998"]}}]},
        "00104000": {"vr": "LT", "Value": ["call"]},
        "00201208": {"vr": "IS", "Value": [7]},
    }
    study = study_of(json.loads(json.dumps(element)))
    assert (study.study, study.patient_id, study.issuer, study.study_date) == ("1.2.3", "P", "HOSPITAL", "20240102")
    assert (study.series, study.images) == (None, 7)
    assert set(study.texts) == {"P", "call", "219-09-9998"}
    assert set(study.identifiers) == {"PatientName", "PatientID", "PatientComments", "OtherPatientIDsSequence"}
    assert "219" not in repr(study)


@given(st.lists(st.tuples(st.integers(0, len(FILE) - 1), st.integers(0, 255)), max_size=8), st.integers(0, len(FILE)))
def test_any_file_is_counted_or_passed_over(changes: list[tuple[int, int]], length: int) -> None:
    content = bytearray(FILE)
    for place, value in changes:
        content[place] = value
    count = FileCount()
    count.add("a file", bytes(content[:length]))
    census = Census(Fingerprints())
    count.count_into(census, complete=True)
    assert census.counters().studies.value <= 1


@given(st.binary(max_size=400))
def test_any_bytes_are_no_file_or_an_unreadable_one(content: bytes) -> None:
    assert read_head(content) is None
    with suppress(DataSetError):
        head = read_head(bytes(128) + b"DICM" + content)
        assert head is not None

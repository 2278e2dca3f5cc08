"""Queries that stock SCUs cannot easily say, with our own requestor."""

from collections.abc import Iterator
from typing import Any

import pytest

from leadglass.crypto.tls import CertificateChain, client_context
from leadglass.dicom import tags, uids
from leadglass.dimse.items import ExtendedNegotiation, ProposedContext
from leadglass.dimse.requestor import Requestor
from leadglass.dimse.status import (
    CANCEL,
    DATA_SET_DOES_NOT_MATCH,
    OUT_OF_RESOURCES,
    PENDING,
    PENDING_UNSUPPORTED_KEYS,
    SUCCESS,
)
from leadglass.model import Attributes
from tests.clients import ROOT, connected, ct, store
from tests.served import Served

UIDS = f"{ROOT}.60"
EARLY, LATE = f"{UIDS}.1", f"{UIDS}.2"
MAX_ANSWERS = 5
PATIENTS = {"R-1": "Müller^José", "R-2": "MULLER^JOSE", "R-3": "Mueller^Jose", "R-4": "Müller-Lüdenscheidt^Anna"}


@pytest.fixture(scope="module")
def filled(furnished: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("capped")
    with furnished.copy(folder, settings=f"[archive]\nmax_answers = {MAX_ANSWERS}\n") as archive:
        sets = [ct(number, study=f"{UIDS}.9", patient_id="R-9") for number in range(1, MAX_ANSWERS + 2)]
        # One evening and the morning after it.
        sets.append(ct(study=EARLY, patient_id="R-5", StudyDate="20240110", StudyTime="230000"))
        sets.append(ct(study=LATE, patient_id="R-5", StudyDate="20240111", StudyTime="010000"))
        charset: Any = {"SpecificCharacterSet": "ISO_IR 100"}
        sets += [
            ct(study=f"{UIDS}.3.{identifier[2:]}", patient_id=identifier, patient_name=name, **charset)
            for identifier, name in PATIENTS.items()
        ]
        assert {response.status for response in store(archive, *sets)} == {SUCCESS}
        yield archive


def ask(archive: Served, keys: Attributes, root: str = uids.STUDY_ROOT_FIND) -> list[tuple[int, Attributes]]:
    with connected(archive, "workstation", (root, uids.EXPLICIT_LE)) as workstation:
        return list(workstation.find(root, keys, ("ISO_IR 192",)))


def ask_negotiated(archive: Served, keys: Attributes, application_information: bytes) -> set[object]:
    """The Study Instance UIDs found with SOP Class Extended Negotiation (PS3.4 C.5.1.1)."""
    root = uids.STUDY_ROOT_FIND
    chain = CertificateChain(archive.devices / "workstation.crt", archive.devices / "workstation.key")
    with Requestor.connect(
        "127.0.0.1",
        archive.port,
        calling_ae="WORKSTATION",
        called_ae="LEADGLASS",
        contexts=(ProposedContext(1, root, (uids.EXPLICIT_LE,)),),
        tls=client_context(archive.devices / "ca.crt", chain),
        server_hostname="localhost",
        extended=(ExtendedNegotiation(root, application_information),),
    ) as requestor:
        (agreed,) = requestor.accepted.user.extended
        # Relational queries, moments and fuzzy matching; no adjustment of time zones, whatever was asked.
        assert agreed.data == bytes(application_information[:3]) + bytes(len(application_information) - 3)
        answers = list(requestor.find(root, keys))
    assert answers[-1][0] == SUCCESS
    return {answer[tags.STUDY_INSTANCE_UID] for _, answer in answers[:-1]}


def test_a_capped_answer_never_looks_complete(filled: Served) -> None:
    keys = {tags.QUERY_RETRIEVE_LEVEL: "IMAGE", tags.STUDY_INSTANCE_UID: f"{UIDS}.9", tags.SOP_INSTANCE_UID: ""}
    statuses = [status for status, _ in ask(filled, keys)]
    assert statuses == [PENDING] * MAX_ANSWERS + [OUT_OF_RESOURCES]
    keys[tags.SOP_INSTANCE_UID] = "\\".join(f"{UIDS}.9.1.{number}" for number in range(1, MAX_ANSWERS + 1))
    assert [status for status, _ in ask(filled, keys)] == [PENDING] * MAX_ANSWERS + [SUCCESS]


def test_unsupported_optional_keys_are_said(filled: Served) -> None:
    keys = {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: EARLY}
    assert [status for status, _ in ask(filled, keys)] == [PENDING, SUCCESS]
    (status, answer), final = ask(filled, {**keys, tags.PATIENT_ADDRESS: ""})
    assert (status, final[0]) == (PENDING_UNSUPPORTED_KEYS, SUCCESS)
    assert tags.PATIENT_ADDRESS not in answer


def test_relational_queries(filled: Served) -> None:
    """A level below, without the unique keys above it (PS3.4 C.4.1.2.2.2)."""
    for level in ("SERIES", "IMAGE"):
        keys = {tags.QUERY_RETRIEVE_LEVEL: level, tags.PATIENT_ID: "R-5", tags.STUDY_INSTANCE_UID: ""}
        answers = ask(filled, keys)
        assert {answer[tags.STUDY_INSTANCE_UID] for _, answer in answers[:-1]} == {EARLY, LATE}
        assert answers[-1][0] == SUCCESS


@pytest.mark.parametrize(
    ("root", "level"),
    [
        (uids.STUDY_ROOT_FIND, ""),
        (uids.STUDY_ROOT_FIND, "PATIENT"),
        (uids.STUDY_ROOT_FIND, "study"),
        (uids.PATIENT_ROOT_FIND, ""),
        (uids.PATIENT_ROOT_FIND, "WORKLIST"),
    ],
)
def test_a_level_that_the_model_has_not(filled: Served, root: str, level: str) -> None:
    keys = {tags.QUERY_RETRIEVE_LEVEL: level, tags.PATIENT_ID: "R-5"}
    assert [status for status, _ in ask(filled, keys, root)] == [DATA_SET_DOES_NOT_MATCH]
    assert [status for status, _ in ask(filled, {tags.PATIENT_ID: "R-5"}, root)] == [DATA_SET_DOES_NOT_MATCH]


@pytest.mark.parametrize("key", [{tags.STUDY_DATE: "last week"}, {tags.STUDY_TIME: "noon-"}, {tags.STUDY_DATE: "-"}])
def test_a_key_that_cannot_be_meant_fails(filled: Served, key: dict[int, str]) -> None:
    ((status, _),) = ask(filled, {tags.QUERY_RETRIEVE_LEVEL: "STUDY", **key})
    assert status in (DATA_SET_DOES_NOT_MATCH, 0xC000)


def test_combined_date_time_only_when_negotiated(filled: Served) -> None:
    """PS3.4 C.2.2.2.5.4: from 22:00 of one day to 02:00 of the next; without it, each key stands alone."""
    keys = {
        tags.QUERY_RETRIEVE_LEVEL: "STUDY",
        tags.STUDY_INSTANCE_UID: "",
        tags.PATIENT_ID: "R-5",
        tags.STUDY_DATE: "20240110-20240111",
        tags.STUDY_TIME: "220000-020000",
    }
    assert ask_negotiated(filled, keys, b"\1\1\0\0\0") == {EARLY, LATE}
    assert ask_negotiated(filled, keys, b"\1\1\1\1\1") == {EARLY, LATE}
    assert ask_negotiated(filled, keys, b"\1\0\0\0\0") == set()
    assert [status for status, _ in ask(filled, keys)] == [SUCCESS]


def test_fuzzy_matching_only_when_negotiated(filled: Served) -> None:
    """PS3.4 C.2.2.2.1.1: words of a name in whichever order."""
    keys = {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: "", tags.PATIENT_NAME: "jose mull"}
    assert ask_negotiated(filled, keys, b"\1\0\1\0\0") == {f"{UIDS}.3.1", f"{UIDS}.3.2"}
    assert ask_negotiated(filled, keys, b"\1\0\0\0\0") == set()


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("müller^josé", {"R-1", "R-2"}),
        ("MULLER^JOSE", {"R-1", "R-2"}),
        ("Muller^Jose", {"R-1", "R-2"}),
        ("mull*", {"R-1", "R-2", "R-4"}),
        ("MÜLL*", {"R-1", "R-2", "R-4"}),
        ("mueller^jose", {"R-3"}),
        ("*ludenscheidt*", {"R-4"}),
        ("*LÜDENSCHEIDT^A?na", {"R-4"}),
        ("Müller", {"R-1", "R-2"}),
    ],
)
def test_person_names_without_case_and_accents(filled: Served, key: str, found: set[str]) -> None:
    keys = {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.PATIENT_NAME: key, tags.PATIENT_ID: ""}
    answers = ask(filled, keys)
    assert answers[-1][0] == SUCCESS
    assert {answer[tags.PATIENT_ID] for _, answer in answers[:-1]} == found
    assert {answer[tags.PATIENT_NAME] for _, answer in answers[:-1]} == {PATIENTS[each] for each in found}


def test_a_cancel_that_comes_late_is_no_error(filled: Served) -> None:
    keys = {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.PATIENT_ID: "R-5"}
    with connected(filled, "workstation", (uids.STUDY_ROOT_FIND, uids.EXPLICIT_LE)) as workstation:
        answers = workstation.find(uids.STUDY_ROOT_FIND, keys)
        assert next(answers)[0] == PENDING
        workstation.cancel()
        assert [status for status, _ in answers][-1] in (SUCCESS, CANCEL)
        assert len(list(workstation.find(uids.STUDY_ROOT_FIND, keys))) == 3


def test_both_message_syntaxes(filled: Served) -> None:
    keys = {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: EARLY, tags.PATIENT_NAME: ""}
    answers = []
    for syntax in (uids.EXPLICIT_LE, uids.IMPLICIT_LE):
        with connected(filled, "workstation", (uids.STUDY_ROOT_FIND, syntax)) as workstation:
            answers.append(list(workstation.find(uids.STUDY_ROOT_FIND, keys)))
    assert answers[0] == answers[1]
    assert len(answers[0]) == 2

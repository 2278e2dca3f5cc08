"""Findings: each kind when its rule holds and not otherwise, never without evidence, with the same name next time."""

import tomllib
from dataclasses import replace
from importlib.resources import files

import pytest

from leadglass.assess.catalogue import findings_of
from leadglass.assess.finding import Finding, FindingKind, Severity, Word
from leadglass.assess.observation import Bound, Count, Counters, Observation, ObservationKind
from leadglass.assess.remedies import Aspect, Remedies
from leadglass.assess.rules import RULES, Rule
from leadglass.assess.sentences import amount
from tests.assess.reports import door, exchange, host, hosts, numbers, seen

K = ObservationKind
F = FindingKind
MANY = numbers(10, 8, 20, 200, 200, 5, 2, 1)

#: Protocol, observation, counters → the kinds that it makes.
CASES: tuple[tuple[str, Observation, Counters, set[FindingKind]], ...] = (
    ("dicom", seen(K.DIMSE_RETRIEVE, {"proven": 5, "tried": 5}), Counters(), {F.IMAGES_RETRIEVABLE}),
    ("dicom", seen(K.DIMSE_RETRIEVE, {"proven": 0, "tried": 5}), Counters(), {F.RETRIEVE_INDICATED}),
    ("http", seen(K.WEB_RETRIEVE, {"proven": 0, "tried": 5}), Counters(), set()),
    ("http", seen(K.WEB_LISTING, {"dicom_files": 3, "proven": 3}), Counters(), {F.FILES_LISTED, F.IMAGES_RETRIEVABLE}),
    ("http", seen(K.WEB_LISTING, {"files": 9, "dicom_files": 0, "proven": 0}), Counters(), set()),
    ("ftp", seen(K.FTP_ANONYMOUS), Counters(), {F.FTP_ANONYMOUS}),
    (
        "dicom",
        seen(K.DIMSE_QUERY, {"answers": 10}),
        MANY,
        {F.RECORDS_LISTED, F.SSNS_EXPOSED, F.POSSIBLE_SSNS_EXPOSED},
    ),
    ("dicom", seen(K.DIMSE_QUERY, {"answers": 0}), Counters(), {F.QUERY_OPEN}),
    ("dicom", seen(K.DIMSE_QUERY_REFUSED, {"status": "x"}), Counters(), set()),
    ("dicom", seen(K.DIMSE_MOVE_INDICATED), Counters(), {F.MOVE_INDICATED}),
    ("dicom", seen(K.DIMSE_STORE_INDICATED), Counters(), {F.WRITE_INDICATED}),
    ("dicom", seen(K.DIMSE_ACCEPTED, {"tls": "none"}), Counters(), {F.ASSOCIATION_OPEN, F.DICOM_IN_PLAINTEXT}),
    ("dicom-tls", seen(K.DIMSE_ACCEPTED, {"tls": "anonymous"}), Counters(), {F.ASSOCIATION_OPEN}),
    ("dicom", seen(K.DIMSE_REJECTED, {"tls": "none"}), Counters(), {F.DICOM_IN_PLAINTEXT}),
    ("dicom-tls", seen(K.DIMSE_REJECTED, {"tls": "stranger"}), Counters(), set()),
    ("dicom-tls", seen(K.TLS_CLIENT_CERTIFICATE, {"demanded": "yes"}), Counters(), set()),
    (
        "dicom-tls",
        seen(K.TLS_CLIENT_CERTIFICATE, {"demanded": "no"}),
        Counters(),
        {F.CLIENT_CERTIFICATE_NOT_DEMANDED},
    ),
    ("https", seen(K.TLS_CLIENT_CERTIFICATE, {"demanded": "no"}), Counters(), set()),
    ("https", seen(K.TLS_VERSIONS, {"weak_versions": (), "weak_ciphers": ()}), Counters(), set()),
    ("https", seen(K.TLS_VERSIONS, {"weak_versions": ("TLSv1",)}), Counters(), {F.TLS_WEAK}),
    ("https", seen(K.TLS_CERTIFICATE, {"expired": True}), Counters(), {F.CERTIFICATE_INVALID}),
    ("https", seen(K.TLS_CERTIFICATE, {"key": "RSA", "bits": 1024}), Counters(), {F.CERTIFICATE_INVALID}),
    ("https", seen(K.TLS_CERTIFICATE, {"key": "EC", "bits": 256, "signature": "sha256"}), Counters(), set()),
    ("dicom", seen(K.USER_IDENTITY, {"outcome": "ignored"}), Counters(), {F.USER_IDENTITY_IGNORED}),
    ("dicom", seen(K.USER_IDENTITY, {"outcome": "refused"}), Counters(), set()),
    ("http", seen(K.WEB_SERVICE, {"administration": True}), Counters(), {F.ADMINISTRATION_OPEN}),
    ("http", seen(K.WEB_SERVICE, {"interface": "search", "access": "open"}), Counters(), {F.ARCHIVE_PAGE_OPEN}),
    ("http", seen(K.WEB_SERVICE, {"viewer": True, "access": "open"}), Counters(), {F.VIEWER_OPEN}),
    ("http", seen(K.WEB_SERVICE, {"interface": "wado-uri", "access": "open"}), Counters(), {F.WADO_URI_OPEN}),
    ("http", seen(K.WEB_LOGIN, {"root": "/"}), Counters(), set()),
    ("http", seen(K.WEB_PLAINTEXT), Counters(), {F.WEB_IN_PLAINTEXT}),
    ("http", seen(K.WEB_STORE_INDICATED), Counters(), {F.WRITE_INDICATED}),
    ("http", seen(K.DEFAULT_CREDENTIALS, {"accepted": False}), Counters(), set()),
    ("http", seen(K.DEFAULT_CREDENTIALS, {"accepted": True}), Counters(), {F.DEFAULT_CREDENTIALS}),
    ("dicom", seen(K.DIMSE_STORE_CONFIRMED, {"status": "0000H", "found": True}), Counters(), {F.WRITE_CONFIRMED}),
    ("dicom", seen(K.HONEYPOT, {"signs": ("takes anything",)}), Counters(), {F.HONEYPOT_SUSPECTED}),
)


def found(protocol: str, observation: Observation, counters: Counters, product: str = "") -> tuple[Finding, ...]:
    return findings_of((host(door(104, protocol, observation, counters=counters, product=product)),))


@pytest.mark.parametrize(("protocol", "observation", "counters", "kinds"), CASES)
def test_each_rule_holds_for_what_it_names_and_nothing_else(
    protocol: str, observation: Observation, counters: Counters, kinds: set[FindingKind]
) -> None:
    assert {each.kind for each in found(protocol, observation, counters)} == kinds


def test_every_kind_has_one_rule_and_a_case() -> None:
    assert [rule.kind for rule in RULES] == list(dict.fromkeys(rule.kind for rule in RULES))
    assert {rule.kind for rule in RULES} == set(FindingKind)
    assert set.union(*(kinds for *_, kinds in CASES)) == set(FindingKind)


@pytest.mark.parametrize(("protocol", "observation", "counters", "kinds"), CASES)
def test_what_has_no_evidence_is_not_reported(
    protocol: str, observation: Observation, counters: Counters, kinds: set[FindingKind]
) -> None:
    assert found(protocol, replace(observation, exchanges=()), counters) == ()


def test_a_finding_cannot_be_made_without_evidence() -> None:
    (finding,) = found("ftp", seen(K.FTP_ANONYMOUS), Counters())
    with pytest.raises(ValueError, match="without evidence"):
        replace(finding, evidence=())


def test_the_worst_comes_first_and_every_sentence_says_who() -> None:
    findings = findings_of(hosts())
    scores = [each.severity.score for each in findings]
    assert scores == sorted(scores, reverse=True)
    for each in findings:
        assert each.exposure.endswith(".")
        assert each.exposure.count(". ") == 0, "one sentence"


def test_fingerprints_name_the_weakness_and_the_door_and_not_its_numbers() -> None:
    query = seen(K.DIMSE_QUERY, {"answers": 10})
    before = {each.kind: each.fingerprint for each in found("dicom", query, MANY, "Orthanc 1.10")}
    grown = replace(MANY, studies=Count(99, Bound.LOWER))
    after = {each.kind: each.fingerprint for each in found("dicom", query, grown, "Orthanc 1.12")}
    assert before == after
    assert len(set(before.values())) == len(before)
    elsewhere = findings_of((host(door(105, "dicom", query, counters=MANY)),))
    assert not {each.fingerprint for each in elsewhere} & set(before.values())
    # Reports of years ago are compared with: a published name stays.
    (ftp,) = found("ftp", seen(K.FTP_ANONYMOUS), Counters())
    assert ftp.fingerprint == "b6402995f0dc986f62366f116a913d4b"


def test_roots_behind_one_port_are_findings_of_their_own() -> None:
    first, second = (seen(K.WEB_QUERY, {"root": root, "answers": 1}) for root in ("/a", "/b"))
    findings = findings_of((host(door(80, "http", first, second, counters=numbers(1))),))
    assert {each.locator for each in findings if each.kind is F.RECORDS_LISTED} == {"/a", "/b"}


def test_evidence_is_cut_to_a_few_exchanges() -> None:
    many = Observation(K.FTP_ANONYMOUS, {}, tuple(exchange(str(number)) for number in range(100)))
    (finding,) = found("ftp", many, Counters())
    assert len(finding.evidence) == 6


@pytest.mark.parametrize("score", [0.0, 0.1, 3.9, 4.0, 6.9, 7.0, 8.9, 9.0, 10.0])
def test_words_are_those_of_cvss(score: float) -> None:
    expected = {0.0: Word.INFORMATION, 0.1: Word.LOW, 3.9: Word.LOW, 4.0: Word.MEDIUM, 6.9: Word.MEDIUM}
    expected |= {7.0: Word.HIGH, 8.9: Word.HIGH, 9.0: Word.CRITICAL, 10.0: Word.CRITICAL}
    assert Severity("", score).word is expected[score]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_scores_are_what_another_implementation_computes(rule: Rule) -> None:
    cvss = pytest.importorskip("cvss")
    assert cvss.CVSS4(rule.severity.vector).base_score == rule.severity.score


def test_numbers_are_said_with_their_bound() -> None:
    assert amount(Count(1204)) == "1,204"
    assert amount(Count(1204, Bound.LOWER)) == "at least 1,204"
    assert amount(Count(1204, Bound.ESTIMATE)) == "about 1,204"


@pytest.mark.parametrize("product", ["", "Orthanc 1.12.1", "dcm4chee-arc", "OFFIS DCMTK 3.6.7", "<b>x</b>"])
@pytest.mark.parametrize("aspect", list(Aspect))
def test_every_product_has_steps_for_every_aspect(product: str, aspect: Aspect) -> None:
    steps = Remedies.load().steps(product, aspect)
    assert steps
    assert all(step and not step.startswith("@") for step in steps)


def test_steps_are_for_the_very_product() -> None:
    remedies = Remedies.load()
    assert any("DicomAlwaysAllowStore" in step for step in remedies.steps("Orthanc 1.12.1", Aspect.WRITE_DIMSE))
    assert any("Accepted Calling AE Title" in step for step in remedies.steps("dcm4chee-arc", Aspect.READ_DIMSE))
    assert remedies.steps("OFFIS DCMTK", Aspect.READ_DIMSE) == remedies.steps("dcmtk", Aspect.READ_DIMSE)


def test_a_dicom_door_goes_by_the_name_that_its_web_door_tells() -> None:
    web = door(8042, "http", seen(K.WEB_SERVICE, {"administration": True, "dicom_port": 4242}), product="Orthanc 1.12")
    doors = [door(port, "dicom", seen(K.DIMSE_STORE_INDICATED), product="DCMTK 3.6.7") for port in (4242, 104)]
    findings = findings_of((host(web, *doors),))
    products = {each.endpoint.port: each.product for each in findings if each.kind is F.WRITE_INDICATED}
    assert products == {4242: "Orthanc 1.12", 104: "DCMTK 3.6.7"}


def test_what_is_to_be_done_at_an_ftp_door_is_about_ftp() -> None:
    findings = found("ftp", seen(K.FTP_LISTING, {"dicom_files": 3, "proven": 3}), Counters())
    assert {each.kind for each in findings} == {F.FILES_LISTED, F.IMAGES_RETRIEVABLE}
    assert all("anonymous" in " ".join(each.remedy) for each in findings)


def test_the_table_of_remedies_has_no_word_that_nobody_reads() -> None:
    table = tomllib.loads(files("leadglass.assess").joinpath("remedies.toml").read_text())
    assert isinstance(table.pop("now"), str)
    assert set(table["any"]) == set(Aspect)
    for product, steps in table.items():
        assert set(steps) <= set(Aspect), product

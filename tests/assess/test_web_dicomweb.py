"""DICOMweb doors with one bad manner each: numbers are exact, or bounds that say so; nothing outside is asked."""

import json

import pytest

from leadglass.assess.catalogue import findings_of
from leadglass.assess.observation import HostResult, ServiceResult
from tests.assess.web_servers import WebManners, counts, dicomweb, facts, probe, raw, serving
from tests.lab.truth import Truth, make, ssns_bare, ssns_formatted

TRUTH = make("71", 60)
EXACT = {
    "studies": (60, "exact"),
    "patients": (TRUTH.patients, "exact"),
    "series": (TRUTH.series, "exact"),
    "images_advertised": (TRUTH.images, "exact"),
    "images_indicated": (TRUTH.images, "exact"),
    "ssns_formatted": (ssns_formatted(TRUTH), "exact"),
    "ssns_bare": (ssns_bare(TRUTH), "exact"),
}


def looked_at(manners: WebManners, truth: Truth = TRUTH) -> ServiceResult:
    with serving(dicomweb(truth, manners)) as port:
        service, _ = probe(port)
    return service


def kinds(service: ServiceResult) -> set[str]:
    return {each.kind for each in findings_of((HostResult(service.endpoint.address, (), (service,)),))}


def without_proof(service: ServiceResult) -> dict[str, tuple[int, str]]:
    return {name: count for name, count in counts(service).items() if name != "images_proven"}


def test_an_honest_door_is_counted_exactly_and_its_images_are_not_taken() -> None:
    service = looked_at(WebManners())
    assert without_proof(service) == EXACT
    proof = facts(service, "web-retrieve")
    assert proof["tried"] == proof["proven"]
    assert 5 <= service.counters.images_proven.value <= 6
    assert service.unknowns == ()
    assert service.identifiers == ("PatientBirthDate", "PatientID", "PatientName")
    assert (str(service.oldest), str(service.newest)) == ("2015-01-01", "2015-06-27")
    assert kinds(service) >= {"images-retrievable", "records-listed", "ssns-exposed", "web-in-plaintext"}


@pytest.mark.parametrize("root", ["/dicomweb", "/api", "/rs"])
def test_known_roots_are_found(root: str) -> None:
    service = looked_at(WebManners(root=root))
    assert without_proof(service) == EXACT
    assert facts(service, "web-query")["root"] == root


def test_roots_that_the_door_tells_are_found() -> None:
    aets = json.dumps([{"dicomAETitle": "DCM4CHEE"}, {"dicomAETitle": "X" * 17}, {}, 1])
    root = "/dcm4chee-arc/aets/DCM4CHEE/rs"
    service = looked_at(WebManners(root=root, pages={"/dcm4chee-arc/aets": aets}))
    assert without_proof(service) == EXACT
    assert service.product == "dcm4chee-arc"
    config = "window.config = { dataSources: [{ configuration: { qidoRoot: '/pacs/inner/rs', x: 1 } }] }"
    service = looked_at(WebManners(root="/pacs/inner/rs", pages={"/app-config.js": config}))
    assert without_proof(service) == EXACT
    assert service.product == "OHIF"


def test_a_data_source_elsewhere_is_left_alone() -> None:
    beyond = WebManners()
    with serving(dicomweb(TRUTH, beyond)) as other:
        config = f"window.config = {{ qidoRoot: 'http://127.0.0.1:{other}/dicom-web' }}"
        service = looked_at(WebManners(root="/none", pages={"/app-config.js": config}))
    assert beyond.asked == []
    assert service.counters.studies.value == 0


def test_a_redirect_to_elsewhere_is_not_followed() -> None:
    beyond = WebManners()
    with serving(dicomweb(TRUTH, beyond)) as other:
        service = looked_at(WebManners(redirects=f"http://127.0.0.1:{other}/dicom-web/studies"))
    assert beyond.asked == []
    assert service.counters.studies.value == 0
    assert kinds(service) == set()


def test_a_closed_door_has_nothing_to_report_but_plain_http() -> None:
    service = looked_at(WebManners(closed=True))
    assert facts(service, "web-login", interface="dicomweb")["root"] == "/dicom-web"
    assert kinds(service) == {"web-in-plaintext"}


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"403 Forbidden"])
def test_a_door_that_asks_for_a_login_everywhere_does_not_say_what_it_is(status: bytes) -> None:
    closed = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
    with raw(lambda connection, _: connection.sendall(closed)) as port:
        service, _ = probe(port)
    assert [dict(each.facts) for each in service.observations if each.kind == "web-login"] == [
        {"interface": "everything", "root": "/"}
    ]
    assert kinds(service) == set()


@pytest.mark.parametrize("cap", [1, 7, 59])
def test_a_cap_with_pages_is_paged_through(cap: int) -> None:
    assert without_proof(looked_at(WebManners(cap=cap))) == EXACT


@pytest.mark.parametrize("cap", [2, 25])
def test_a_cap_without_pages_is_split_by_date(cap: int) -> None:
    service = looked_at(WebManners(cap=cap, ignores_offset=True))
    assert without_proof(service) == EXACT
    assert facts(service, "web-query")["split"] is True


def test_a_cap_that_nothing_moves_is_a_lower_bound() -> None:
    service = looked_at(WebManners(cap=25, ignores_offset=True, ignores_dates=True))
    assert counts(service)["studies"] == (25, "lower")
    assert counts(service)["patients"][1] == counts(service)["images_advertised"][1] == "lower"
    assert facts(service, "web-query")["capped"] is True


def test_numbers_that_are_not_told_are_counted_below() -> None:
    assert without_proof(looked_at(WebManners(advertises=-1))) == EXACT


def test_a_list_that_ends_where_it_is_capped_is_split_by_date() -> None:
    service = looked_at(WebManners(cap=10, window=30))
    assert without_proof(service) == EXACT
    assert facts(service, "web-query")["split"] is True


def test_a_list_that_ends_where_it_is_capped_and_ignores_dates_is_a_lower_bound() -> None:
    service = looked_at(WebManners(cap=10, window=30, ignores_dates=True))
    assert counts(service)["studies"] == (30, "lower")
    assert any("by date are not answered as asked" in each for each in service.unknowns)


def test_images_that_are_capped_are_a_lower_bound() -> None:
    service = looked_at(WebManners(advertises=-1, image_cap=2))
    assert counts(service)["images_advertised"][0] < TRUTH.images
    assert counts(service)["images_advertised"][1] == "lower"
    assert counts(service)["studies"] == (60, "exact")


def test_a_cap_on_images_is_no_lie() -> None:
    assert without_proof(looked_at(WebManners(image_cap=1))) == EXACT


def test_a_door_that_lies_about_images_is_found_out() -> None:
    service = looked_at(WebManners(advertises=1_000_000))
    assert counts(service)["images_advertised"] == (60_000_000, "estimate")
    assert counts(service)["images_indicated"] == (60_000_000, "estimate")
    assert service.counters.images_proven.value <= 6
    assert any("other numbers of images" in each for each in service.unknowns)


@pytest.mark.parametrize(("status", "kind"), [(404, "application/dicom"), (403, "text/plain"), (200, "text/html")])
def test_images_that_do_not_come_are_not_proven(status: int, kind: str) -> None:
    service = looked_at(WebManners(image_status=status, image_type=kind))
    assert counts(service)["images_proven"] == counts(service)["images_indicated"] == (0, "exact")
    assert "images-retrievable" not in kinds(service)


def test_an_empty_archive_that_answers_is_a_finding_too() -> None:
    assert kinds(looked_at(WebManners(), Truth(()))) == {"query-open", "web-in-plaintext"}


def test_nothing_of_a_patient_is_in_what_the_probe_hands_on() -> None:
    service = looked_at(WebManners(advertises=-1))
    told = repr(service) + "".join(
        f"{each.summary}{each.sent!r}{each.received!r}" for seen in service.observations for each in seen.exchanges
    )
    assert not [secret for secret in TRUTH.secrets() if secret.decode() in told]

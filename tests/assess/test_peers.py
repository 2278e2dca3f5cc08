"""Real archives, each looked at as a stranger would: what is open is found and counted, what is closed is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from leadglass.crypto.certificates import create_authority, issue_server
from tests.lab import truth as lab
from tests.lab.assessed import Assessed, run_assessment, scope_text
from tests.lab.peers import Tls, dcmqrscp, orthanc, qrscp, storescp
from tests.served import Served

ADDRESS = "127.0.12.1"
NOBODY = lab.Truth(())
OPEN = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    folder = tmp_path_factory.mktemp("tls")
    authority = create_authority("Lab")
    server = issue_server(authority, ["localhost", ADDRESS], "ec")
    return Tls(
        _written(folder / "server.key", server.key),
        _written(folder / "server.crt", server.certificate.pem),
        _written(folder / "ca.crt", authority.certificate.pem),
    )


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _look(folder: Path, *ports: int, allow: str = "", address: str = ADDRESS) -> Assessed:
    return run_assessment(folder, scope_text([address], ports, allow=allow))


def _require_counted(assessed: Assessed, truth: lab.Truth, *, proven: int = 5) -> None:
    counters = assessed.counters(ADDRESS)
    assert counters["images_proven"][1] == "exact"
    assert counters["images_proven"][0] >= proven
    assert counters["studies"] == (len(truth.studies), "exact")
    assert counters["patients"] == (truth.patients, "exact")
    assert counters["images_advertised"] == (truth.images, "exact")
    assert counters["ssns_formatted"] == (lab.ssns_formatted(truth), "exact")
    assert counters["ssns_bare"] == (lab.ssns_bare(truth), "exact")
    assert not any(secret in assessed.output.encode() for secret in truth.secrets())


def test_orthanc_open_on_both_doors_counts_once(tmp_path: Path) -> None:
    truth = lab.make("21", 24)
    with orthanc(ADDRESS, tmp_path / "orthanc", truth, OPEN) as ports:
        assessed = _look(tmp_path, *ports)
    _require_counted(assessed, truth)
    assert assessed.status == 1
    assert assessed.counters(ADDRESS)["images_indicated"] == (truth.images, "exact")
    for port in ports:
        assert assessed.service(ADDRESS, port)["counters"]["images_proven"]["value"] == 5
    assert "images-retrievable" in assessed.kinds(ADDRESS)
    assert any(product.startswith("Orthanc") for product in assessed.host(ADDRESS)["products"])


def test_orthanc_that_takes_any_class_is_counted_all_the_same(tmp_path: Path) -> None:
    """It looks a little like a decoy, which is told; its numbers are none."""
    truth = lab.make("20", 8)
    with orthanc(ADDRESS, tmp_path / "orthanc", truth, OPEN | {"UnknownSopClassAccepted": True}) as ports:
        assessed = _look(tmp_path, ports[0])
    _require_counted(assessed, truth)
    assert "honeypot-suspected" in assessed.kinds(ADDRESS)


def test_orthanc_as_it_comes_refuses_queries_and_takes_what_it_is_sent(tmp_path: Path) -> None:
    """The hole that a look without writing misses: anybody may store."""
    with orthanc(ADDRESS, tmp_path / "orthanc", lab.make("22", 6), {"AuthenticationEnabled": True}) as ports:
        assessed = _look(tmp_path, ports[0], allow="write_test = true")
    assert assessed.counters(ADDRESS)["studies"] == (0, "exact")
    assert "write-confirmed" in assessed.kinds(ADDRESS)
    assert assessed.facts(ADDRESS, ports[0], "dimse-store-confirmed")["found"] == "unknown"


def test_what_the_write_test_stored_is_deleted_through_an_open_door(tmp_path: Path) -> None:
    truth = lab.make("27", 4)
    with orthanc(ADDRESS, tmp_path / "orthanc", truth, OPEN) as ports:
        assessed = _look(tmp_path, *ports, allow="write_test = true")
        again = _look(tmp_path, ports[0])
    stored = assessed.facts(ADDRESS, ports[0], "dimse-store-confirmed")
    assert (stored["found"], stored["deleted"]) == ("yes", "yes")
    _require_counted(assessed, truth, proven=4)
    _require_counted(again, truth, proven=4)


def test_orthanc_that_knows_whom_it_talks_to_rejects(tmp_path: Path) -> None:
    settings = {
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"lab": "a-password"},
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowStore": False,
    }
    with orthanc(ADDRESS, tmp_path / "orthanc", lab.make("23", 6), settings) as ports:
        assessed = _look(tmp_path, *ports)
    counters = assessed.counters(ADDRESS)
    assert {value for value, _ in counters.values()} == {0}
    assert not {"records-listed", "images-retrievable", "write-confirmed"} & assessed.kinds(ADDRESS)


def test_dcmqrscp_is_let_in_by_a_title_it_comes_with(tmp_path: Path) -> None:
    truth = lab.make("24", 20)
    with dcmqrscp(ADDRESS, tmp_path / "dcmqrscp", truth, "COMMON") as port:
        assessed = _look(tmp_path, port)
    _require_counted(assessed, truth)
    facts = assessed.facts(ADDRESS, port, "dimse-accepted")
    assert facts["called_ae_checked"] is True
    assert facts["called_ae"] == "COMMON"
    assert assessed.facts(ADDRESS, port, "dimse-rejected")["meaning"] == "called AE title not recognised"


def test_dcmqrscp_with_a_title_nobody_knows_gives_nothing(tmp_path: Path) -> None:
    with dcmqrscp(ADDRESS, tmp_path / "dcmqrscp", lab.make("25", 4), "X7ARCHIVE") as port:
        assessed = _look(tmp_path, port)
    assert assessed.counters(ADDRESS)["studies"] == (0, "exact")
    assert assessed.kinds(ADDRESS) == {"dicom-in-plaintext"}


def test_pynetdicom_qrscp(tmp_path: Path) -> None:
    truth = lab.make("26", 10)
    with qrscp(ADDRESS, tmp_path / "qrscp", truth) as port:
        assessed = _look(tmp_path, port)
    _require_counted(assessed, truth)
    assert assessed.service(ADDRESS, port)["product"].startswith("pynetdicom")


def test_storescp_takes_everything_and_shows_nothing(tmp_path: Path) -> None:
    with storescp(ADDRESS, tmp_path / "storescp") as port:
        assessed = _look(tmp_path, port, allow="write_test = true")
    assert {"write-indicated", "write-confirmed", "association-open"} <= assessed.kinds(ADDRESS)
    assert set(assessed.counters(ADDRESS).values()) == {(0, "exact")}
    stored = assessed.facts(ADDRESS, port, "dimse-store-confirmed")
    assert any(stored["sop_instance"] in path.name for path in (tmp_path / "storescp").iterdir())


def test_nothing_is_written_unless_the_scope_says_so(tmp_path: Path) -> None:
    with storescp(ADDRESS, tmp_path / "storescp") as port:
        assessed = _look(tmp_path, port)
    assert "write-confirmed" not in assessed.kinds(ADDRESS)
    assert [path.name for path in (tmp_path / "storescp").iterdir()] == ["log"]


def _over_tls(tls: Tls, *, certificate_required: bool) -> dict[str, Any]:
    return OPEN | {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(tls.certificate),
        "DicomTlsPrivateKey": str(tls.key),
        "DicomTlsTrustedCertificates": str(tls.authority),
        "DicomTlsRemoteCertificateRequired": certificate_required,
    }


def test_orthanc_over_tls_that_asks_for_no_certificate_is_counted(tmp_path: Path, tls: Tls) -> None:
    truth = lab.make("28", 12)
    settings = _over_tls(tls, certificate_required=False)
    with orthanc(ADDRESS, tmp_path / "orthanc", truth, settings) as ports:
        assessed = _look(tmp_path, ports[0])
    _require_counted(assessed, truth)
    assert assessed.service(ADDRESS, ports[0])["protocol"] == "dicom-tls"
    assert {"client-certificate-not-demanded", "images-retrievable"} <= assessed.kinds(ADDRESS)


def test_orthanc_over_tls_that_demands_a_certificate_gives_nothing(tmp_path: Path, tls: Tls) -> None:
    settings = _over_tls(tls, certificate_required=True)
    with orthanc(ADDRESS, tmp_path / "orthanc", lab.make("29", 6), settings) as ports:
        assessed = _look(tmp_path, ports[0])
    assert assessed.facts(ADDRESS, ports[0], "tls-client-certificate")["demanded"] == "yes"
    assert set(assessed.counters(ADDRESS).values()) == {(0, "exact")}
    assert not {"association-open", "records-listed"} & assessed.kinds(ADDRESS)


def test_tls_that_asks_for_no_certificate(tmp_path: Path, tls: Tls) -> None:
    with storescp(ADDRESS, tmp_path / "storescp", tls, anybody=True) as port:
        assessed = _look(tmp_path, port)
    assert assessed.service(ADDRESS, port)["protocol"] == "dicom-tls"
    assert {"client-certificate-not-demanded", "association-open"} <= assessed.kinds(ADDRESS)
    assert "dicom-in-plaintext" not in assessed.kinds(ADDRESS)
    certificate = assessed.facts(ADDRESS, port, "tls-certificate")
    assert certificate["name_matches"] is True
    assert certificate["trusted"] is False
    assert certificate["expired"] is False


def test_tls_that_demands_a_certificate_gives_nothing(tmp_path: Path, tls: Tls) -> None:
    with storescp(ADDRESS, tmp_path / "storescp", tls) as port:
        assessed = _look(tmp_path, port)
    assert assessed.facts(ADDRESS, port, "tls-client-certificate")["demanded"] == "yes"
    assert "association-open" not in assessed.kinds(ADDRESS)


@contextmanager
def _own_archive(folder: Path, furnished: Served) -> Iterator[Served]:
    folder.mkdir()
    with furnished.copy(folder) as served:
        yield served


def test_our_own_archive_has_nothing_to_report(tmp_path: Path, furnished: Served) -> None:
    with _own_archive(tmp_path / "archive", furnished) as served:
        assessed = _look(
            tmp_path, served.port, served.https_port, address="127.0.0.1", allow="default_credentials = true"
        )
    assert assessed.report["findings"] == []
    assert assessed.status == 0
    assert {value for value, _ in assessed.counters("127.0.0.1").values()} == {0}
    assert assessed.facts("127.0.0.1", served.port, "tls-client-certificate")["demanded"] == "yes"
    assert assessed.facts("127.0.0.1", served.port, "tls-versions")["weak_versions"] == []

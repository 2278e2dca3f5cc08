"""Archives that cap, lie, repeat, ignore and pretend, looked at in one run: counters are exact or marked as bounds, and
nothing that was planted shows."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab import truth as lab
from tests.lab.assessed import Assessed, run_assessment, scope_text
from tests.lab.scripted import Manners, ScriptedArchive, listening, scripted

HONEST, CAPPED, REFUSING, SILENT, LIAR = (f"127.0.11.{number}" for number in range(1, 6))
ENDLESS, DATELESS, HONEYPOT, MANGLED, UNDATED = (f"127.0.11.{number}" for number in range(6, 11))
TARPIT, SSH, BABBLE, SLAM, CLOSED = (f"127.0.11.{number}" for number in range(11, 16))

TRUTH = {
    HONEST: lab.make("11", 40),
    CAPPED: lab.make("12", 250),
    REFUSING: lab.make("13", 150),
    SILENT: lab.make("14", 30),
    LIAR: lab.make("15", 30),
    ENDLESS: lab.make("16", 60),
    DATELESS: lab.make("17", 130),
    HONEYPOT: lab.make("18", 8),
    MANGLED: lab.make("19", 12),
}
MANNERS = {
    HONEST: Manners(),
    CAPPED: Manners(cap=100),
    REFUSING: Manners(cap=40, capped_status=0xA700),
    SILENT: Manners(advertises=-1),
    LIAR: Manners(advertises=100_000),
    ENDLESS: Manners(repeats=True),
    DATELESS: Manners(cap=100, ignores_dates=True),
    HONEYPOT: Manners(accepts_anything=True, answers_anything=True, class_uid="1.2.826.0.1.3680043.9.7133.1.1"),
    MANGLED: Manners(malformed_answers=True),
}
COUNTERS = ("studies", "patients", "images_advertised", "images_indicated", "ssns_formatted", "ssns_bare")
COUNTED = (HONEST, CAPPED, REFUSING, SILENT)


def _tarpit(connection: socket.socket) -> None:
    """Takes everything, and never says a word."""
    while connection.recv(4096):
        pass


def _introduce(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2p1 Plantedsecret11x0\r\n")
    _tarpit(connection)


def _babble(connection: socket.socket) -> None:
    """An A-ASSOCIATE-AC that is none."""
    connection.recv(4096)
    connection.sendall(b"\x02\x00\x00\x00\x00\x20" + b"Plantedsecret11x0" + b"\xff" * 15)
    _tarpit(connection)


def _slam(connection: socket.socket) -> None:
    connection.recv(4096)


OTHERS: dict[str, Callable[[socket.socket], None]] = {TARPIT: _tarpit, SSH: _introduce, BABBLE: _babble, SLAM: _slam}


class Lab:
    def __init__(self, assessed: Assessed, ports: dict[str, int], archives: dict[str, ScriptedArchive]) -> None:
        self.assessed = assessed
        self.ports = ports
        self.archives = archives

    def service(self, address: str) -> "dict[str, object]":
        found: dict[str, object] = self.assessed.service(address, self.ports[address])
        return found


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    ports: dict[str, int] = {}
    archives: dict[str, ScriptedArchive] = {}
    folder = tmp_path_factory.mktemp("misbehaving")
    with ExitStack() as stack:
        for address, manners in MANNERS.items():
            archives[address], ports[address] = stack.enter_context(scripted(address, TRUTH[address], manners))
        for address, serve in OTHERS.items():
            ports[address] = stack.enter_context(listening(address, serve))
        scope = scope_text([*ports, CLOSED], ports.values())
        options = ["--html", str(folder / "report.html"), "--csv", str(folder / "report.csv")]
        options += ["--sarif", str(folder / "report.sarif")]
        yield Lab(run_assessment(folder, scope, options), ports, archives)
    assert not (folder / "scope.toml.state").exists()
    _require_no_secrets(folder)


def _require_no_secrets(folder: Path) -> None:
    written = [path for path in folder.iterdir() if path.is_file()]
    assert len(written) >= 5
    for path in written:
        content = path.read_bytes()
        for truth in TRUTH.values():
            found = [secret for secret in truth.secrets() if secret in content or secret.hex().encode() in content]
            assert not found, f"{path.name} holds what was planted"


@pytest.mark.parametrize("address", COUNTED)
def test_counters_are_exact(laboratory: Lab, address: str) -> None:
    truth = TRUTH[address]
    counters = laboratory.assessed.counters(address)
    assert counters["studies"] == (len(truth.studies), "exact")
    assert counters["patients"] == (truth.patients, "exact")
    assert counters["images_advertised"] == (truth.images, "exact")
    assert counters["images_indicated"] == (truth.images, "exact")
    assert counters["ssns_formatted"] == (lab.ssns_formatted(truth), "exact")
    assert counters["ssns_bare"] == (lab.ssns_bare(truth), "exact")
    assert counters["images_proven"][0] == 5


def test_the_series_of_one_that_does_not_say_are_counted_one_by_one(laboratory: Lab) -> None:
    truth = TRUTH[SILENT]
    series = sum(len({uid for uid, _ in study.instances()}) for study in truth.studies)
    assert laboratory.assessed.counters(SILENT)["series"] == (series, "exact")


def test_dates_of_the_oldest_and_newest_study(laboratory: Lab) -> None:
    service = laboratory.service(CAPPED)
    dates = sorted(study.study_date for study in TRUTH[CAPPED].studies)
    assert str(service["oldest_study"]).replace("-", "") == dates[0]
    assert str(service["newest_study"]).replace("-", "") == dates[-1]


def test_a_liar_is_found_out(laboratory: Lab) -> None:
    counters = laboratory.assessed.counters(LIAR)
    assert counters["studies"] == (30, "exact")
    assert counters["patients"] == (TRUTH[LIAR].patients, "exact")
    assert counters["images_advertised"] == (3_000_000, "estimate")
    assert counters["images_proven"] == (5, "exact")
    assert laboratory.service(LIAR)["unknowns"]


def test_one_that_never_ends_is_cancelled(laboratory: Lab) -> None:
    counters = laboratory.assessed.counters(ENDLESS)
    assert counters["studies"] == (60, "lower")
    assert counters["patients"] == (TRUTH[ENDLESS].patients, "lower")
    assert counters["images_advertised"] == (TRUTH[ENDLESS].images, "lower")
    assert laboratory.archives[ENDLESS].cancelled >= 1


def test_one_that_caps_and_ignores_dates_is_a_lower_bound(laboratory: Lab) -> None:
    counters = laboratory.assessed.counters(DATELESS)
    assert counters["studies"] == (100, "lower")
    assert counters["patients"] == (50, "lower")
    assert counters["images_advertised"][1] == "lower"
    assert laboratory.archives[DATELESS].queries < 100


def test_a_honeypot_is_flagged(laboratory: Lab) -> None:
    assert "honeypot-suspected" in laboratory.assessed.kinds(HONEYPOT)
    signs = laboratory.assessed.facts(HONEYPOT, laboratory.ports[HONEYPOT], "honeypot")["signs"]
    assert len(signs) == 3
    counters = laboratory.assessed.counters(HONEYPOT)
    assert {counters[name][1] for name in COUNTERS} == {"estimate"}


def test_no_honest_archive_is_called_a_honeypot(laboratory: Lab) -> None:
    for address in COUNTED:
        assert "honeypot-suspected" not in laboratory.assessed.kinds(address)


def test_answers_that_nobody_can_read_are_told_and_not_counted(laboratory: Lab) -> None:
    counters = laboratory.assessed.counters(MANGLED)
    assert {counters[name] for name in COUNTERS} == {(0, "lower")}
    assert counters["images_proven"] == (0, "exact")
    assert laboratory.service(MANGLED)["unknowns"]


def test_what_is_no_archive_is_told_apart(laboratory: Lab) -> None:
    assert laboratory.service(SSH)["protocol"] == "ssh"
    assert laboratory.service(BABBLE)["protocol"] == "dicom"
    assert laboratory.service(BABBLE)["unknowns"]
    for address in (TARPIT, SSH, BABBLE, SLAM):
        assert set(laboratory.assessed.counters(address).values()) == {(0, "exact")}
    for address in (TARPIT, SLAM):
        assert laboratory.service(address)["unknowns"]
        assert not laboratory.assessed.kinds(address)
    assert all(host["address"] != CLOSED for host in laboratory.assessed.report["hosts"])


def test_totals_are_the_sum_of_what_differs(laboratory: Lab) -> None:
    totals = laboratory.assessed.report["totals"]
    hosts = [laboratory.assessed.counters(address)["studies"][0] for address in MANNERS]
    # One of them is a suspected decoy, which may have made it all up.
    assert totals["studies"] == {"value": sum(hosts), "bound": "estimate"}
    assert totals["images_advertised"]["bound"] == "estimate"


def test_nothing_planted_is_printed(laboratory: Lab) -> None:
    output = laboratory.assessed.output.encode()
    assert not any(secret in output for truth in TRUTH.values() for secret in truth.secrets())
    assert laboratory.assessed.status == 1

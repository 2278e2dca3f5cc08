"""`serve` looks at itself from outside: nothing to report when closed, an alarm when a stranger gets something."""

import socket
from pathlib import Path

from structlog.testing import capture_logs

from leadglass.server.selfaudit import OwnScope, SelfAudit
from tests.archive.opened import opened
from tests.lab.scripted import Manners, scripted
from tests.lab.truth import make
from tests.served import Served
from tests.server.log import events
from tests.server.wire import eventually

OFTEN = 0.001 * 3600
TRUTH = make("7", 4)


def test_serve_finds_itself_closed(furnished: Served, tmp_path: Path) -> None:
    archive = furnished.copy(tmp_path, settings="[self_audit]\nevery_hours = 0.001\n")
    with archive:
        eventually(lambda: "looked at from outside" in archive.log.read_text())
    first = events(archive, "self-audit")[0]
    assert (first["p"], first["o"], first.get("d")) == ("system:self-audit", "done", None)
    assert "ALARM" not in archive.log.read_text()


def test_a_door_that_is_open_is_an_alarm(furnished: Served, tmp_path: Path) -> None:
    folder = furnished.copy(tmp_path)
    with (
        opened(folder) as archive,
        scripted("127.0.0.1", TRUTH, Manners()) as (_, port),
        capture_logs() as logs,
    ):
        audit = SelfAudit(archive, [("0.0.0.0", port)], OFTEN)  # noqa: S104 - listening on all includes loopback
        audit.start()
        eventually(lambda: any(line["event"].startswith("ALARM") for line in logs))
        audit.close()
    event = events(folder, "self-audit")[0]
    assert event["o"] == "failed"
    assert event["d"]["findings"]
    assert not any(study.patient_id in str(event) for study in TRUTH.studies)


def test_the_scope_is_our_own_doors_and_nothing_else() -> None:
    scope = OwnScope.of([("0.0.0.0", 2762), ("::", 8443), ("8.8.8.8", 2762)])  # noqa: S104
    assert scope.networks == ("127.0.0.1/32", "8.8.8.8/32", "::1/128")
    assert scope.public == ("8.8.8.8/32",)
    assert scope.ports == (2762, 8443)


def test_a_look_that_saw_nothing_is_a_failure(furnished: Served, tmp_path: Path) -> None:
    folder = furnished.copy(tmp_path)
    with opened(folder) as archive, socket.socket() as bound, capture_logs() as logs:
        bound.bind(("127.0.0.1", 0))
        audit = SelfAudit(archive, [bound.getsockname()], OFTEN)
        audit.start()
        eventually(lambda: any("could not be looked at" in line["event"] for line in logs))
        audit.close()
    assert events(folder, "self-audit")[0]["o"] == "failed"

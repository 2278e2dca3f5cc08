"""Rules and ClamAV at the doors: what they find is held back, and while a configured one is down nothing passes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.dimse.status import OUT_OF_RESOURCES, SUCCESS
from leadglass.errors import Quarantined
from tests.clients import ROOT, ct, store
from tests.inspection.clamd import MARKER, STREAM_LIMIT, clamd
from tests.served import Served
from tests.server.web.dicomweb.test_store import file, send
from tests.web import as_user

RULE = 'rule marked { strings: $a = "LEADGLASS-RULE-TEST" condition: $a }\n'


@pytest.fixture
def scanning(furnished: Served, tmp_path: Path) -> Iterator[Served]:
    """An archive that scans with a rule of its own and with a clamd that is up until the test ends it."""
    rule = tmp_path / "own.yar"
    rule.write_text(RULE)
    with clamd() as socket:
        limit = STREAM_LIMIT // 1024**2
        settings = f'[inspection]\nextra_rules = ["{rule}"]\nclamd = "{socket}"\nclamd_limit_mib = {limit}\n'
        with furnished.copy(tmp_path, settings=settings) as served:
            yield served


def marked(number: int, marker: bytes) -> bytes:
    return ct(number, study=f"{ROOT}.74", ImageComments=f"measured {marker.decode()}")


def test_what_they_find_is_held_back(scanning: Served) -> None:
    sent = [marked(1, MARKER), marked(2, b"LEADGLASS-RULE-TEST"), ct(3, study=f"{ROOT}.74")]
    told = store(scanning, *sent)
    assert [each.status for each in told] == [Quarantined.dimse_status, Quarantined.dimse_status, SUCCESS]
    assert ["antivirus" in told[0].error_comment, "rule" in told[1].error_comment] == [True, True]
    # Beyond the limit of clamd nothing is scanned, and that is on record.
    big = ct(4, study=f"{ROOT}.74", pixels=bytes(2 * STREAM_LIMIT))
    assert store(scanning, big)[0].status == SUCCESS


def test_nothing_passes_unscanned(furnished: Served, tmp_path: Path) -> None:
    settings = f'[inspection]\nclamd = "{tmp_path / "no-socket"}"\n'
    with furnished.copy(tmp_path, settings=settings) as served:
        assert store(served, ct(1, study=f"{ROOT}.75"))[0].status == OUT_OF_RESOURCES
        with as_user(served, "steward") as client:
            answer = send(client, file(ct(1, study=f"{ROOT}.75")))
            assert answer.status_code == 503
            assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [OUT_OF_RESOURCES]
        (tmp_path / "one.dcm").write_bytes(file(ct(1, study=f"{ROOT}.75")))
        assert "ClamAV does not answer" in served.run("import", str(tmp_path / "one.dcm"), status=4)


def test_rules_that_do_not_compile_are_no_configuration(furnished: Served, tmp_path: Path) -> None:
    (tmp_path / "bad.yar").write_text("rule {")
    served = furnished.copy(tmp_path, settings=f'[inspection]\nextra_rules = ["{tmp_path / "bad.yar"}"]\n')
    with pytest.raises(AssertionError, match="do not compile"):
        served.start()

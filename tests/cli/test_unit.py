"""The unit that the README installs."""

import subprocess
import sys
from pathlib import Path

from tests.served import peer_program

UNIT = Path(__file__).parents[2] / "deploy" / "leadglass.service"


def test_systemd_finds_no_fault_with_it(tmp_path: Path) -> None:
    checked = tmp_path / UNIT.name
    # It checks that the program is there; here it lies elsewhere.
    installed = str(Path(sys.executable).with_name("leadglass"))
    checked.write_text(UNIT.read_text().replace("/opt/leadglass/.venv/bin/leadglass", installed))
    command = [peer_program("systemd-analyze"), "verify", "--man=no", str(checked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

"""Commands that open the archive themselves do so with its configuration."""

from pathlib import Path

import pytest

from tests.served import Served

COMMANDS = (("device", "list"), ("review", "list"), ("fsck",), ("import", "."))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_configuration_is_read_by_each_command(furnished: Served, tmp_path: Path, command: tuple[str, ...]) -> None:
    wrong = tmp_path / "leadglass.toml"
    wrong.write_text("[archive]\nreserve_mib = 1\n")
    assert "archive.reserve_mib" in furnished.run(*command, "--config", str(wrong), status=2)


def test_the_environment_names_it_too(furnished: Served, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[archive]\nreserve_mib = 1\n")
    served = furnished.copy(tmp_path)
    named = Served(tmp_path, environment={"LEADGLASS_CONFIG": str(wrong)})
    assert "archive.reserve_mib" in named.run("fsck", status=2)
    assert "0 problems" in served.run("fsck")

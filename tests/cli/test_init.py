"""`leadglass init` makes all of an archive or nothing."""

from pathlib import Path

import pytest

from tests.served import Served


@pytest.mark.parametrize("name", ["", "a..b", "pacs.example.org:2762", "https://pacs.example.org", "two words", "-a"])
def test_a_host_name_that_is_none_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    archive = Served(tmp_path)
    assert "is not a host name" in archive.run("init", "--hostname", name, status=2)
    assert not archive.keys.exists()
    assert not archive.data.exists()


def test_names_and_addresses_are_taken_and_a_second_archive_is_not(tmp_path: Path) -> None:
    archive = Served(tmp_path)
    names = ("pacs.example.org", "192.0.2.10", "2001:db8::1", "röntgen.example.org")
    made = archive.run("init", *(word for name in names for word in ("--hostname", name)))
    assert all(name in made for name in (*names, "localhost", "127.0.0.1"))
    kept = (archive.keys / "root.key").read_bytes()
    archive.run("init", status=3)
    assert (archive.keys / "root.key").read_bytes() == kept

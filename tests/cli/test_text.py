"""What peers wrote gives no orders to the terminal that shows it."""

from pathlib import Path

import pytest

from leadglass.cli.text import printable
from leadglass.dicom import uids
from leadglass.dicom.part10 import encode_file_meta
from tests.clients import CT, ROOT, ct
from tests.served import Served

HOSTILE = "head\x1b]0;owned\x07\x1b[2Jfoot"


@pytest.mark.parametrize("each", ["\x1b", "\x07", "\n", "\r", "\x9b", "\u202e", "\u2028", "\udcff", "\x7f"])
def test_what_is_not_printable_is_replaced(each: str) -> None:
    assert printable(f"a{each}b") == "a\N{REPLACEMENT CHARACTER}b"


def test_letters_of_all_languages_stay() -> None:
    assert printable("Müller 山田^太郎 Δ") == "Müller 山田^太郎 Δ"


def test_a_hostile_description_in_a_review(furnished: Served, tmp_path: Path) -> None:
    archive = furnished.copy(tmp_path)
    for name, description in (("first", "head"), ("second", HOSTILE)):
        (tmp_path / name).write_bytes(
            encode_file_meta(CT, f"{ROOT}.1.1.1", uids.EXPLICIT_LE) + ct(StudyDescription=description)
        )
        archive.run("import", str(tmp_path / name))
    told = archive.run("review", "show", "1")
    assert "head\N{REPLACEMENT CHARACTER}]0;owned" in told
    assert all(each.isprintable() for each in told.replace("\n", ""))

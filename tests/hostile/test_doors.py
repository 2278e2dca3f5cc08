"""An archive that is sent every hostile file goes on: it stores a clean one afterwards, and has not grown."""

from pathlib import Path

from tests.hostile.case import ROOT, whole
from tests.hostile.cases import all_cases
from tests.served import Served

_MEBIBYTE = 1024 * 1024


def resident(served: Served) -> int:
    """VmRSS of the server, in bytes."""
    assert served.process is not None
    for line in Path(f"/proc/{served.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def numbered(data: bytes, number: int) -> bytes:
    """The same file in a study of its own: the last digits of its UIDs' root are others."""
    return data.replace(ROOT.encode(), f"{ROOT[:-9]}{number:09}".encode())


def test_it_outlives_every_hostile_file(empty_archive: Served, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    for number, case in enumerate(case for case in all_cases() if not case.name.startswith("clean:")):
        (folder / f"{number:03}.dcm").write_bytes(numbered(case.make(), number))
    told = empty_archive.run("import", str(folder), status=1)
    assert "A defect" not in told
    first = resident(empty_archive)
    for _ in range(2):
        empty_archive.run("import", str(folder), status=1)
    assert resident(empty_archive) - first < 16 * _MEBIBYTE
    clean = tmp_path / "clean.dcm"
    clean.write_bytes(numbered(whole(), 999_999_999))
    assert "1 stored" in empty_archive.run("import", str(clean))

"""`leadglass inspect` as a user runs it: folders, ZIPs, media, reports, exit codes."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif

from leadglass.dicom.uids import MEDIA_STORAGE_DIRECTORY
from tests.dicom.builders import item, short
from tests.hostile import samples
from tests.hostile.case import clean, element, encode, part10, private, whole
from tests.hostile.cases import all_cases
from tests.inspection.clamd import MARKER, STREAM_LIMIT, clamd


def run(*words: str | Path, status: int) -> str:
    command = [sys.executable, "-m", "leadglass.cli", "inspect", *map(str, words), "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def records(path: Path) -> dict[str, dict[str, Any]]:
    return {record["path"]: record for record in map(json.loads, path.read_text().splitlines())}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "images"
    place.mkdir()
    (place / "clean.dcm").write_bytes(whole())
    (place / "README.txt").write_text("nothing to see")
    return place


def test_clean_and_not(folder: Path, tmp_path: Path) -> None:
    assert "1 accept" in run(folder, status=0)
    (folder / "program.dcm").write_bytes(whole(private(samples.pe())))
    (folder / "setup.exe").write_bytes(samples.pe())
    told = run(folder, "--json", tmp_path / "all.json", status=1)
    assert "quarantine" in told
    found = records(tmp_path / "all.json")
    assert {Path(path).name: record["verdict"] for path, record in found.items()} == {
        "clean.dcm": "accept",
        "README.txt": "reject",
        "program.dcm": "quarantine",
        "setup.exe": "reject",
    }
    assert set(found[str(folder / "setup.exe")]["counts"]) == {"not-dicom", "executable"}
    assert list(found[str(folder / "README.txt")]["counts"]) == ["not-dicom"]


def test_usage(tmp_path: Path) -> None:
    assert "is not a file or folder" in run(tmp_path / "none", status=2)
    assert "--resume needs" in run(tmp_path, "--resume", status=2)


def test_reports_are_safe_to_open(folder: Path, tmp_path: Path) -> None:
    hostile = "=cmd|calc\x1b[2J\n.dcm"
    (folder / hostile).write_bytes(whole({0x00100020: (b"LO", b"536-90-4399")}))
    out = {name: tmp_path / f"out.{name}" for name in ("csv", "sarif", "json")}
    told = run(folder, "--csv", out["csv"], "--sarif", out["sarif"], "--json", out["json"], status=1)
    assert "\x1b[2J" not in told
    everything = told + "".join(path.read_text() for path in out.values())
    assert "536-90-4399" not in everything
    assert "(0010,0020) ssn-formatted: 1" in told
    with out["csv"].open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][0] == "path"
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r") or not cell.isprintable()]
    (sarif_run,) = json.loads(out["sarif"].read_text())["runs"]
    (result,) = sarif_run["results"]
    rules = {rule["id"] for rule in sarif_run["tool"]["driver"]["rules"]}
    assert result["ruleId"] == "ssn-formatted"
    assert result["ruleId"] in rules
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].startswith("file:///")
    assert place["region"]["byteOffset"] > 132
    assert sarif_run["invocations"][0]["executionSuccessful"] is True


def test_sarif_is_what_its_schema_asks_for(tmp_path: Path) -> None:
    """The model is made from the schema of OASIS, and takes nothing that is not in it."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for number, case in enumerate(all_cases()):
        (folder / f"{number:03} %?#.dcm").write_bytes(case.make())
    out = tmp_path / "out.sarif"
    run(folder, "--sarif", out, status=1)
    log = Sarif.model_validate_json(out.read_text())
    (sarif_run,) = log.runs
    assert len(sarif_run.results or ()) > 150
    assert {result.level.value for result in sarif_run.results or () if result.level} == {"warning", "error"}


def test_it_goes_on_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    (folder / "program.dcm").write_bytes(whole(private(samples.ELF)))
    run(folder, "--json", log, status=1)
    before = log.read_text()
    (folder / "later.dcm").write_bytes(whole())
    # As a crash leaves it: the last line cut short.
    log.write_text(before + '{"path": "')
    told = run(folder, "--json", log, "--resume", status=1)
    assert "4 files" in told
    assert "1/1" in told
    assert len(records(log)) == len(log.read_text().splitlines()) == 4
    # A file that has changed since is looked at again, and what it was no longer counts.
    (folder / "program.dcm").write_bytes(whole())
    assert "4 files" in run(folder, "--json", log, "--resume", status=0)


def test_it_goes_on_only_with_the_same_options(folder: Path, tmp_path: Path) -> None:
    log, rules = tmp_path / "log.json", tmp_path / "own.yar"
    rules.write_text("rule own { condition: false }")
    run(folder, "--json", log, "--rules", rules, status=0)
    before = log.read_text()
    for others in ((), ("--no-rules",), ("--rules", rules, "--decode")):
        told = run(folder, "--json", log, "--resume", *others, status=2)
        assert "other options" in told
        assert "Give the same options" in told
    rules.write_text("rule own { condition: true }")  # the file has its name still
    assert "other options" in run(folder, "--json", log, "--resume", "--rules", rules, status=2)
    assert log.read_text() == before


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.dcm"
    outside.write_bytes(whole(private(samples.pe())))
    (folder / "link.dcm").symlink_to(outside)
    (folder / "folder").symlink_to(tmp_path)
    assert "2 files" in run(folder, status=0)


def test_zip(folder: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner.zip"
    with ZipFile(inner, "w") as archive:
        archive.writestr("deep.dcm", whole(private(samples.pe())))
    third = samples.zipped("a.zip", samples.zipped("b.zip", samples.zipped()))
    with ZipFile(folder / "study.zip", "w") as archive:
        archive.writestr("images/clean.dcm", whole())
        archive.writestr("inner.zip", inner.read_bytes())
        archive.writestr("../climbs.dcm", whole())
        archive.writestr("deeper.zip", third)
    (folder / "bomb.zip").write_bytes(samples.zipped("zeros.dcm", bytes(16 << 20)))
    (folder / "cut.zip").write_bytes(samples.zipped()[:-30])
    log = tmp_path / "log.json"
    run(folder, "--json", log, status=1)
    found = {path.partition("images/")[2]: set(record["counts"]) for path, record in records(log).items()}
    assert found["study.zip!images/clean.dcm"] == set()
    assert found["study.zip!inner.zip!deep.dcm"] == {"executable"}
    assert found["study.zip!../climbs.dcm"] == {"archive-path"}
    assert found["study.zip!deeper.zip!a.zip"] == {"archive-beyond-limit"}
    # 16 MiB of zeros: within the ratio that deflate reaches, and not DICOM.
    assert found["bomb.zip!zeros.dcm"] == {"not-dicom"}
    assert found["cut.zip"] == {"malformed"}


def directory(*file_ids: bytes) -> bytes:
    records_of = b"".join(item(element(0x00041500, b"CS", each)) for each in file_ids)
    body = short(0x00041130, b"CS", b"TEST") + encode({0x00041220: (b"SQ", records_of)})
    return part10(body, sop_class=MEDIA_STORAGE_DIRECTORY)


def test_directories_stay_in_their_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "IMAGE").write_bytes(whole())
    for file_ids, status, code in (
        ((b"IMAGE",), 0, None),
        ((b"IMAGE", b"GONE"), 0, "directory-missing"),
        ((b"..\\..\\ETC\\PASSWD",), 1, "directory-path"),
        ((b"/etc/passwd",), 1, "directory-path"),
        ((b"OUT\\secret",), 1, "directory-path"),
    ):
        (folder / "DICOMDIR").write_bytes(directory(*file_ids))
        if not (folder / "OUT").exists():
            (folder / "OUT").symlink_to(tmp_path)
        log = tmp_path / "log.json"
        run(folder, "--json", log, status=status)
        counts = set(records(log)[str(folder / "DICOMDIR")]["counts"])
        assert counts == {"directory", *([code] if code else [])}


def test_clamd(folder: Path) -> None:
    (folder / "marked.dcm").write_bytes(part10(encode(clean() | private(MARKER))))
    run(folder, status=0)
    with clamd() as socket:
        assert "antivirus 1" in run(folder, "--clamd", socket, "--clamd-limit", str(STREAM_LIMIT), status=1)
    assert "ClamAV does not answer" in run(folder, "--clamd", folder / "none", status=4)

"""`leadglass review` and `leadglass quarantine`: one shape, and a forgery told without a value or a picture."""

from pathlib import Path

from leadglass.dicom import uids
from leadglass.dicom.part10 import encode_file_meta
from tests.clients import CT, ROOT, ct
from tests.hostile.samples import EICAR_FILE
from tests.served import Served

PIXELS = bytes(range(256)) * 2


def test_what_waits_is_listed_shown_compared_and_decided(furnished: Served, tmp_path: Path) -> None:
    archive = furnished.copy(tmp_path)
    arriving = {
        "original": ct(pixels=PIXELS),
        "forgery": ct(pixels=PIXELS[:70] + b"\xff\x0f" + PIXELS[72:], patient_name="Forged^Name"),
        "virus": ct(2, ImageComments=EICAR_FILE.decode()),
    }
    for name, data_set in arriving.items():
        (tmp_path / name).write_bytes(encode_file_meta(CT, f"{ROOT}.1.1.1", uids.EXPLICIT_LE) + data_set)
    archive.run("import", *(str(tmp_path / name) for name in arriving), status=1)
    assert "other pixels under a known SOP Instance UID" in archive.run("review", "list")
    compared = archive.run("review", "compare", "1")
    assert "frame 1: 1 of 256 pixels differ by up to " in compared
    assert "in columns 3 to 3, rows 2 to 2" in compared
    assert "(0010,0010)  PatientName" in compared
    assert "PN 16 bytes" in compared
    assert "Forged" not in compared
    assert "Planted" not in compared
    assert archive.run("review", "reject", "1") == "rejected 1\n"
    assert "(0020,4000) at byte" in archive.run("quarantine", "show", "1")
    assert archive.run("quarantine", "destroy", "1") == "destroyed 1\n"
    assert archive.run("quarantine", "list") == "Nothing is held.\n"

"""The generated CT phantom: correct objects, equal for equal seeds, and recognisably a head."""

import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from leadglass.cli.phantom import RESCALE_INTERCEPT, phantom_series
from tests.served import peer_program


def _read(content: bytes) -> Dataset:
    return dcmread(BytesIO(content))


def _hounsfield(image: Dataset) -> NDArray[np.int32]:
    return image.pixel_array.astype(np.int32) + RESCALE_INTERCEPT


@pytest.mark.parametrize(("rows", "columns"), [(512, 512), (256, 256), (64, 80)])
def test_dciodvfy_complains_about_nothing(tmp_path: Path, rows: int, columns: int) -> None:
    for name, content in phantom_series(slices=3, rows=rows, columns=columns):
        (tmp_path / name).write_bytes(content)
        run = subprocess.run(
            [peer_program("dciodvfy"), str(tmp_path / name)], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "CTImage\n")


def test_equal_seeds_give_equal_files_and_other_seeds_share_no_uid() -> None:
    first, again, other = (list(phantom_series(slices=2, rows=64, columns=64, seed=seed)) for seed in (7, 7, 8))
    assert first == again
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
        uids = {str(_read(content)[keyword].value) for _, content in first}
        assert uids.isdisjoint({str(_read(content)[keyword].value) for _, content in other})
        assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


def test_a_series_has_ordered_slices_with_names_and_uids_of_their_own() -> None:
    files = list(phantom_series(slices=5, rows=64, columns=64))
    images = [_read(content) for _, content in files]
    assert [name for name, _ in files] == [f"CT000{number}.dcm" for number in range(1, 6)]
    assert [image.InstanceNumber for image in images] == [1, 2, 3, 4, 5]
    assert np.diff([image.ImagePositionPatient[2] for image in images]).tolist() == [2.5] * 4
    assert len({image.SOPInstanceUID for image in images}) == 5
    assert len({image.SeriesInstanceUID for image in images}) == 1


def test_the_middle_slice_shows_air_bone_and_brain_where_a_head_has_them() -> None:
    ((_, content),) = phantom_series(slices=1, rows=250, columns=250)
    head = _hounsfield(_read(content))  # 1 mm a pixel
    assert abs(head[2:12, 2:12].mean() + 1000) < 5
    assert abs(head[95:105, 123:127].mean() - 35) < 5
    assert abs(head[123:127, 52:55].mean() - 1000) < 5
    assert abs(head[97:103, 77:83].mean() - 0) < 5
    assert abs(head[97:103, 167:173].mean() - 900) < 5
    assert 4 < head[2:40, 2:40].std() < 9


@pytest.mark.parametrize(("slices", "rows", "columns"), [(0, 64, 64), (10_000, 64, 64), (1, 8, 64), (1, 64, 5000)])
def test_what_a_ct_object_cannot_hold_is_refused(slices: int, rows: int, columns: int) -> None:
    with pytest.raises(ValueError, match="slices"):
        next(phantom_series(slices, rows, columns))

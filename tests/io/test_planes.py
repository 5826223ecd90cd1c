"""One frame of each cube, and the integration time of rates."""

import numpy as np
import pytest
from astropy.io import fits

from tsogrid.errors import InputError, TsogridWarning
from tsogrid.io.frames import open_frames


def write_cube(path, data, error=None, **cards):
    units = [fits.PrimaryHDU(data, fits.Header(cards))]
    if error is not None:
        units.append(fits.ImageHDU(error, name="ERR"))
    fits.HDUList(units).writeto(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_only_one_plane_of_each_cube_is_a_frame(tmp_path, dtype):
    random = np.random.default_rng(1)
    cubes = random.integers(0, 200, (3, 4, 5, 6)).astype(dtype)
    for i, cube in enumerate(cubes):
        write_cube(tmp_path / f"{i}.fits", cube, cube.astype(np.float32) + 1, JD=2450000.5 + i, EXPTIME=0.0)
    for plane in (0, 3):
        frames = open_frames(tmp_path, plane=plane)
        np.testing.assert_array_equal(frames["data"], cubes[:, plane])
        np.testing.assert_array_equal(frames["error"], cubes[:, plane] + np.float32(1))
        np.testing.assert_array_equal(frames["data"][1:, 2:4, 1:3], cubes[1:, plane, 2:4, 1:3])
        assert frames["time"].values.tolist() == [2450000.5, 2450001.5, 2450002.5]


def test_a_plane_that_is_not_there(tmp_path):
    write_cube(tmp_path / "cube.fits", np.zeros((3, 4, 5)), JD=2450000.5, EXPTIME=0.0)
    write_cube(tmp_path / "flat.fits", np.ones((4, 5)), JD=2450001.5, EXPTIME=0.0)
    assert open_frames(tmp_path, plane=0)["data"][:, 0, 0].values.tolist() == [0, 1]
    with pytest.raises(InputError, match=r"cube\.fits: expected a cube with a plane 3 .*found 3 planes"):
        open_frames(tmp_path / "cube.fits", plane=3)
    with pytest.raises(InputError, match=r"flat\.fits: expected a cube with a plane 1 .*found a 2-D frame"):
        open_frames(tmp_path, plane=1)


def night(frame, *headers):
    for i, header in enumerate(headers):
        folder = frame(f"f{i}.fits", JD=2450000.5 + i, **header).parent
    return folder


def test_the_integration_time_is_that_of_its_keyword(frame):
    folder = night(frame, {"INTTIME": 2.5, "EXPTIME": 9.0}, {"INTTIME": 2.5 * (1 + 1e-7), "EXPTIME": 9.0})
    assert open_frames(folder, integration_time="INTTIME").attrs["integration_time_s"] == 2.5
    assert open_frames(folder, integration_time="exptime").attrs["integration_time_s"] == 9.0


def test_other_keywords_stand_in_for_the_integration_time(frame):
    folder = night(frame, {"INTTIME": 2.5, "EXPTIME": 9.0}, {"EFFINTTM": 2.5, "EXPTIME": 9.0})
    with pytest.warns(TsogridWarning, match=r"1 of 2 files have no INTTIME .*f1\.fits is one: EFFINTTM is taken"):
        assert open_frames(folder, integration_time="INTTIME").attrs["integration_time_s"] == 2.5
    with pytest.raises(InputError, match=r"an integration time of 9 s \(EXPTIME\) .*found 2\.5 s \(EFFINTTM\)"):
        open_frames(folder, integration_time="ITIME")


@pytest.mark.filterwarnings("ignore:1 of 2 files have no:tsogrid.errors.TsogridWarning")
def test_integration_times_that_differ_are_refused(frame):
    folder = night(frame, {"INTTIME": 2.5, "EXPTIME": 2.0}, {"INTTIME": 2.6, "EXPTIME": 2.0})
    message = r"f1\.fits: expected an integration time of 2\.5 s \(INTTIME\) as in f0\.fits, found 2\.6 s"
    with pytest.raises(InputError, match=message):
        open_frames(folder, integration_time="INTTIME")
    with pytest.raises(InputError, match=message):  # rates to be electrons: the time counts
        open_frames(folder, rate=True, units="electron", gain=1.0)
    assert open_frames(folder, rate=True).sizes["time"] == 2
    assert open_frames(folder, units="electron", gain=1.0).sizes["time"] == 2


def test_no_integration_time_at_all(frame):
    folder = night(frame, {"INTTIME": 2.5}, {"EXPTIME": "long"})
    with pytest.raises(InputError, match=r"f1\.fits: expected a positive number in header keyword INTTIME"):
        open_frames(folder, integration_time="INTTIME")
    with pytest.raises(InputError, match=r"input\.integration_time = 'INTTIME' names a header keyword"):
        open_frames(np.zeros((3, 4, 5)), integration_time="INTTIME")
    assert open_frames(np.zeros((3, 4, 5)), integration_time=2.0).attrs["integration_time_s"] == 2.0

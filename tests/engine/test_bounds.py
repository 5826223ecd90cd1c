"""Blocks fit in memory with the frames that they read beside their own; shapes stay near the size of the frame."""

import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tsogrid.engine import graph
from tsogrid.engine.block_size import BLOCK_BYTES, default_block, frames_in_memory
from tsogrid.engine.cluster import measured_block
from tsogrid.engine.plan_size import bytes_held, bytes_read
from tsogrid.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore::tsogrid.errors.TsogridWarning")


def planned(shape=(64, 64), **settings):
    frames = np.broadcast_to(np.zeros(shape, np.float32), (400, *shape))
    return graph.plan(
        tsogrid.open_frames(frames), graph.with_settings(None, x=30, y=30, **{"input": {"gain": 1}} | settings)
    )


def test_a_block_leaves_room_for_its_sides():
    assert frames_in_memory(1_000_000) == 96
    assert frames_in_memory(1_000_000, 5) == 86
    assert frames_in_memory(25_000_000, 5) == 3  # the sides fill the memory: fewer frames would hardly take less
    assert frames_in_memory(10**9, 5) == 1
    assert frames_in_memory(100) == 4096  # no more, however small
    assert default_block(10_000, 1_000_000, 2, 5) == 86
    assert measured_block(10_000, 1e-3, 1_000_000, 2, 5) == 86
    assert measured_block(10_000, 1.0, 100_000, 2, 5) == 5  # no shorter than what it reads beside


def test_blocks_of_long_runs_are_longer():
    assert measured_block(2_000, 1e-3, 1_000, 1) == 400  # 0.4 s
    assert measured_block(1_000, 1e-3, 1_000, 1) == 250  # four at least
    assert measured_block(9_600, 1e-3, 1_000, 1) == 600  # sixteen
    assert measured_block(9_600, 1e-3, 1_000, 2) == 400
    assert measured_block(1_000_000, 1e-3, 1_000, 2) == 1_000  # 1 s


def test_what_is_made_of_the_pixels_counts():
    plain = planned()
    ring = {"method": "colrow", "inner": 5, "outer": 12}
    assert bytes_held(plain) == 2 * bytes_read(plain)  # errors from the gain
    assert bytes_held(planned(sky=[ring])) > bytes_held(plain) + 8 * 25**2
    large = planned((512, 512), apertures=[{"shape": "frame"}], calibrate={"outliers": {}})
    assert (large.block + 2 * large.halo) * bytes_held(large) <= BLOCK_BYTES


@pytest.mark.parametrize(
    "settings",
    [
        {"apertures": [{"shape": "rectangle", "width": 1e7, "height": 3}]},
        {"sky": [{"method": "rectangle", "width": 20, "height": 300}]},
        {"sky": [{"method": "colrow", "width": 1e5, "height": 30}]},
        {"sky": [{"method": "colrow", "inner": 5, "outer": 1e5}]},
        {"sky": [{"method": "colrow", "inner": 5, "outer": 9, "offset": [-1e6, 0]}]},
    ],
)
def test_shapes_far_larger_than_the_frame_are_refused(settings):
    with pytest.raises(ConfigError, match=r"at most 128 pixels over frames of 64 × 64 \(x × y\), found"):
        planned(**settings)


def test_parts_of_a_pixel_are_few():
    with pytest.raises(ConfigError, match=r"subpixels.*less than or equal to 100"):
        planned(apertures=[{"radius": 3, "overlap": "subpixel", "subpixels": 100_000}])


def test_no_amplifier_is_no_layout():
    with pytest.raises(ConfigError, match=r"amplifiers.*at least 1 item"):
        planned(sky=[{"method": "rowamp", "amplifiers": []}])


def test_frames_of_diagnostics_are_known_before_the_run(star_frames, tmp_path):
    fits.writeto(tmp_path / "cube.fits", star_frames)
    content = {"input": {"files": [str(tmp_path / "cube.fits")]}, "sources": [{"name": "star", "x": 30, "y": 23}]}
    config = tsogrid.Config.from_mapping(content | {"output": {"store": str(tmp_path / "a.zarr"), "diagnostics": [99]}})
    with pytest.raises(ConfigError, match=r"output\.diagnostics: expected frames 0 … 19, found 99"):
        tsogrid.run(config)
    assert not (tmp_path / "a.zarr").exists()

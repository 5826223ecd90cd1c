"""The demo finds the transit that it put in, and leaves what it promises."""

import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tsogrid.demo import demo
from tsogrid.engine.run import Silent


@pytest.mark.slow
def test_the_demo_finds_its_transit(tmp_path):
    class Count(Silent):
        frames = 0

        def advance(self, frames):
            self.frames += frames

    count = Count()
    found = demo(tmp_path / "demo", seed=12, frames=60, progress=count)
    assert count.frames == 60
    assert found.depth_injected == 0.01
    assert abs(found.depth - 0.01) < 4 * found.depth_err
    assert 0.5 < found.scatter / found.photon_limit < 1.5
    result = tsogrid.open_result(found.store)
    assert dict(result.sizes) == {"time": 60, "source": 1, "aperture": 6, "sky": 2}
    assert result.time.attrs["scale"] == "tdb"
    assert np.isfinite(result.flux).all()
    assert found.plot.read_bytes().startswith(b"\x89PNG")
    assert found.report.read_text(encoding="utf-8").count("<img ") == 12
    segments = sorted(found.directory.glob("*_calints.fits"))
    assert [fits.getval(segment, "EXSEGNUM") for segment in segments] == [1, 2]


def test_seeds_differ_and_repeat(tmp_path):
    from tsogrid.simulate import simulate_exposure

    data = []
    for index, seed in enumerate((1, 1, 2)):
        truth = simulate_exposure(tmp_path / str(index), integrations=4, shape=(32, 64), seed=seed)
        data.append(tsogrid.open_frames(truth.files).data.to_numpy())
    np.testing.assert_array_equal(data[0], data[1])
    assert not np.array_equal(data[0], data[2])

"""A store that grows: whatever comes, in whatever order, the values are those of a fresh run, bit for bit."""

import os
import shutil

import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tests.engine.test_run import Count, kill_when, start
from tsogrid.engine import store
from tsogrid.errors import IdentityError

N = 12
RNG_SEED = 11


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Twelve frames of two drifting stars, one file each, with site and target in the headers."""
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(RNG_SEED)
    y, x = np.mgrid[:60, :70]
    for index in range(N):
        frame = rng.normal(50, 3, (60, 70))
        for x0, y0, height in ((25.0, 30.0, 900.0), (48.0, 22.0, 500.0)):
            frame += height * np.exp(-((x - x0 - 0.2 * index) ** 2 + (y - y0 + 0.1 * index) ** 2) / (2 * 1.7**2))
        unit = fits.PrimaryHDU(frame.astype(np.float32))
        unit.header["DATE-OBS"] = f"2020-03-01T{3 + index // 6:02}:{10 * (index % 6):02}:00.000"
        unit.header["EXPTIME"] = 60.0
        unit.header["RA"], unit.header["DEC"], unit.header["TELESCOP"] = "10:00:00.1", "+30:00:00.0", "lick"
        unit.writeto(folder / f"f{index:02}.fits")
    return folder


class Night:
    """A folder into which frames come, and its configuration."""

    def __init__(self, source, folder, settings):
        self.source, self.folder, self.settings = source, folder, settings
        (folder / "frames").mkdir()

    def add(self, *numbers):
        for number in numbers:
            shutil.copy(self.source / f"f{number:02}.fits", self.folder / "frames")

    def config(self, name="a.zarr", block=2):
        sources = [{"name": "one", "x": 25, "y": 30}, {"name": "two", "x": 48, "y": 22, "role": "reference"}]
        return tsogrid.Config.from_mapping({
            "input": {"files": str(self.folder / "frames"), "gain": 1.0, "read_noise": 3.0},
            "sources": sources,
            "apertures": [{"radius": [3, 4]}],
            "output": {"store": str(self.folder / name), "block": block},
            "cluster": {"kind": "none"},
            "center": {"search_box": 15, "fit_box": 9}, **self.settings,
        })  # fmt: skip

    def extend(self, **options):
        count = Count()
        said = []
        count.say = said.append
        result = tsogrid.run(self.config(), mode="extend", progress=count, **options)
        return result, count.frames, said

    def is_fresh(self):
        fresh = tsogrid.run(self.config(f"fresh{len(list(self.folder.iterdir()))}.zarr", block=64)).load()
        found = tsogrid.open_result(self.folder / "a.zarr").load()
        assert list(found.variables) == list(fresh.variables)
        for name in fresh.variables:
            assert found[name].to_numpy().tobytes() == fresh[name].to_numpy().tobytes() or (
                found[name].dtype.kind == "O" and (found[name] == fresh[name]).all()
            ), name
            assert found[name].attrs == fresh[name].attrs
        layout = {"layout"}
        assert {k: v for k, v in found.attrs.items() if k not in layout} == {
            k: v for k, v in fresh.attrs.items() if k not in layout
        }
        return found


SETTINGS = {
    "each frame by itself": {},
    "median": {"center": {"search_box": 15, "fit_box": 9, "position": "median"}},
    "smooth": {"center": {"search_box": 15, "fit_box": 9, "position": "smooth", "smooth_window": 5}},
    "filter along time": {"calibrate": {"outliers": {"window": 5}}},
    "median and filter": {
        "center": {"search_box": 15, "fit_box": 9, "position": "median", "guess": "median"},
        "calibrate": {"outliers": {"window": 5}},
    },
    "times from a day on": {"plot": {"time_reference": 2458000}},
}


@pytest.fixture
def growing(night, tmp_path, request):
    return Night(night, tmp_path, getattr(request, "param", {}))


@pytest.mark.parametrize("growing", SETTINGS.values(), ids=SETTINGS, indirect=True)
@pytest.mark.parametrize(
    "steps", [[(0, 1, 2, 3, 4), (5,), (6, 7, 8)], [(3, 4, 5, 7, 8), (9,), (1, 6), (0, 11)]], ids=["in order", "in disorder"]
)
def test_frames_that_come(growing, steps):
    for step in steps:
        growing.add(*step)
        growing.extend()
    growing.is_fresh()


def test_only_what_is_new_and_the_last_shard_is_measured(growing):
    growing.add(*range(7))
    growing.extend()  # shards of two frames
    growing.add(7, 8)
    _, measured, said = growing.extend()
    assert (measured, said) == (3, ["going on: 3 of 5 shards are done, 2 to measure"])
    growing.add(10)
    growing.extend()
    growing.add(9)
    _, measured, said = growing.extend()
    assert measured == 11 - 8
    assert "files have come before frame 9 of 10, or have changed there" in said[0]
    _, measured, said = growing.extend()
    assert measured == 0
    assert "nothing to do" in said[0]
    growing.is_fresh()


def test_a_changed_file_is_measured_again_and_what_comes_after_it(growing):
    growing.add(*range(8))
    growing.extend()
    path = growing.folder / "frames" / "f05.fits"
    with fits.open(path, mode="update") as units:
        units[0].data = units[0].data + np.float32(1000)
        units[0].header["HISTORY"] = "flat-fielded"
    _, measured, said = growing.extend()
    assert measured == 8 - 4
    assert "frame 5 of 8" in said[0]
    growing.is_fresh()
    with fits.open(path, mode="update") as units:  # the same header: nobody but the caller can know
        units[0].data = units[0].data * np.float32(1.5)
    assert growing.extend()[1] == 0
    assert growing.extend(changed=["f05.fits"])[1] == 4
    growing.is_fresh()


def test_a_file_that_is_gone_is_refused(growing):
    growing.add(*range(6))
    growing.extend()
    (growing.folder / "frames" / "f02.fits").unlink()
    growing.add(6)
    with pytest.raises(IdentityError, match=r"measured already some are gone: f02\.fits\. Put them back"):
        growing.extend()
    growing.add(2)
    growing.extend()
    growing.is_fresh()


def test_another_configuration_is_refused(growing):
    growing.add(*range(4))
    growing.extend()
    growing.settings = {"center": {"search_box": 17, "fit_box": 9}}
    growing.add(4)
    with pytest.raises(IdentityError, match=r"--extend adds files only\. It differs in:\n  config\.center\.search_box"):
        growing.extend()


def test_frames_that_change_how_all_are_read(growing):
    growing.add(*range(4))
    growing.extend()
    with fits.open(growing.source / "f04.fits") as units:
        fits.PrimaryHDU(units[0].data.astype(np.float64), units[0].header).writeto(growing.folder / "frames" / "f04.fits")
    _, measured, said = growing.extend()
    assert measured == 5
    assert "reading.data" in said[0]
    growing.is_fresh()


def test_world_coordinates_that_move(growing):
    """The first frame alone has one WCS for all; the second brings its own, and every frame has its own positions."""
    growing.settings = {"center": {"method": "none", "position": "fixed"}}
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 30.0, "CDELT1": 1e-3, "CDELT2": 1e-3}

    def solved(number):
        with fits.open(growing.source / f"f{number:02}.fits") as units:
            header = units[0].header
            header.update(cards | {"CRPIX1": 26.0 + 0.2 * number, "CRPIX2": 31.0 - 0.1 * number})
            fits.PrimaryHDU(units[0].data, header).writeto(growing.folder / "frames" / f"f{number:02}.fits")

    plain = growing.config
    star = [{"name": "one", "ra": 150.0, "dec": 30.0}]
    growing.config = lambda *given, **options: plain(*given, **options).model_copy(
        update={"sources": [tsogrid.Config.from_mapping({"sources": star}).sources[0]]}
    )
    for number in (1, 2, 3, 0):
        solved(number)
        growing.extend()
        growing.is_fresh()
    assert "bjd_tdb_source" in tsogrid.open_result(growing.folder / "a.zarr").coords


def test_a_store_that_grew_frame_by_frame_has_few_shards(growing, monkeypatch):
    monkeypatch.setattr("tsogrid.engine.store.MOST_SHARDS", 3)
    monkeypatch.setattr("tsogrid.engine.extension.MOST_SHARDS", 3)
    plain = growing.config
    growing.config = lambda name="a.zarr", block=1: plain(name, block)
    for number in range(N):
        growing.add(number)
        growing.extend()
        assert store.existing(growing.folder / "a.zarr").n_shards <= 6
    growing.is_fresh()


def test_a_store_that_grew_has_shards_that_fit_in_memory(growing, monkeypatch):
    monkeypatch.setattr("tsogrid.engine.store.MOST_SHARDS", 1)
    monkeypatch.setattr("tsogrid.engine.extension.MOST_SHARDS", 1)
    monkeypatch.setattr("tsogrid.engine.store.SHARD_BYTES", 1.0)
    plain = growing.config
    growing.config = lambda name="a.zarr", block=2: plain(name, block)
    for number in range(6):
        growing.add(number)
        growing.extend()
        assert store.existing(growing.folder / "a.zarr").shard <= 2
    growing.is_fresh()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("growing", [SETTINGS["each frame by itself"], SETTINGS["median and filter"]], indirect=True)
def test_killed_in_the_midst_of_an_extension(growing, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.engine.test_run.SCRIPT", SCRIPT)
    growing.add(*range(6))
    growing.extend()
    growing.add(*range(6, 10))
    for wanted in (4, 4, 5):
        kill_when(start(growing.config(), tmp_path), tmp_path / "a.zarr", wanted)
    growing.add(10, 11)
    growing.extend()
    growing.is_fresh()


SCRIPT = """
import sys, tsogrid
if __name__ == "__main__":
    tsogrid.run(tsogrid.Config.from_yaml(sys.argv[1]), mode="extend")
"""


def test_time_goes_on_in_the_attributes(growing):
    growing.settings = SETTINGS["times from a day on"]
    growing.add(4, 5)
    growing.extend()
    growing.add(*range(4))
    result, _, _ = growing.extend()
    assert result.attrs["time_reference"] == 2458000
    assert result["time"].attrs["scale"] == "tdb"
    assert (np.diff(result["time"]) > 0).all()
    assert result.sizes["time"] == 6
    assert not [name for name in os.listdir(growing.folder) if name.startswith(".")]

"""Frames over a web server: the same bits as from the disk for few bytes, and plain errors where a server gives none."""

import gzip
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import tsogrid
from tests.remote_servers import failing, nginx
from tsogrid.errors import ConfigError, ForbiddenError, InputError, MissingError, SourceFailingError
from tsogrid.io import remote_client

pytestmark = pytest.mark.slow


def night(number=0):
    return {"DATE-OBS": f"2024-01-01T00:{number:02d}:00", "EXPTIME": 10.0, "OBJECT": "a star"}


def frame(shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(300, 20, shape).astype(dtype)


def write(path, *images, header=None, primary=None):
    units = [fits.PrimaryHDU(primary, fits.Header(header or night()))]
    units += [fits.ImageHDU(image, name=name) for name, image in images]
    fits.HDUList(units).writeto(path)
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory, exposure):
    """What the server shows: a JWST exposure, and frames of every way in which pixels are stored."""
    folder = tmp_path_factory.mktemp("root")
    for path in exposure.files:
        (folder / Path(path).name).write_bytes(Path(path).read_bytes())
    for number in range(3):
        image = frame((90, 1500), np.int16, number)
        image[5, 7] = -1
        write(folder / f"wide{number}.fits", primary=image, header=night(number) | {"BSCALE": 0.5, "BZERO": 7, "BLANK": -1})
    write(folder / "cube.fits", ("SCI", frame((4, 30, 40), np.float32)), ("ERR", frame((4, 30, 40), np.float32)))
    write(folder / "words.fits", primary=frame((64, 700), np.uint16))
    (folder / "packed.fits.gz").write_bytes(gzip.compress((folder / "words.fits").read_bytes()))
    tiled = fits.CompImageHDU(frame((60, 80), np.int16), name="SCI")
    fits.HDUList([fits.PrimaryHDU(None, fits.Header(night())), tiled]).writeto(folder / "tiled.fits.fz")
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("TIME", "D", array=np.arange(50.0)),
            fits.Column("PAD", "300D", array=np.zeros((50, 300))),
            fits.Column("FLUX", "99E", dim="(9,11)", array=frame((50, 99), np.float32)),
        ]
    )
    table.header.update({"TELESCOP": "TESS", "BJDREFI": 2457000})
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(folder / "target.fits")
    return folder


@pytest.fixture(scope="module")
def web(root, tmp_path_factory):
    with nginx(root, tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
def quick(monkeypatch):
    """No long waits between tries."""
    monkeypatch.setattr(remote_client, "FIRST_WAIT", 0.01)


def opened(names, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tsogrid.open_frames(names, **settings)


AS_ONE = {"retries": 4}  # a client of its own: it remembers that this server answers to one range at a time
SERIES = [
    ["small-seg001_calints.fits", "small-seg002_calints.fits"],
    ["wide0.fits", "wide1.fits", "wide2.fits"],
    ["cube.fits"],
    ["words.fits"],
    ["packed.fits.gz"],
    ["tiled.fits.fz"],
    ["target.fits"],
]


@pytest.mark.parametrize("place", ["", "single/", "moved/"])
@pytest.mark.parametrize("names", SERIES, ids=[each[0] for each in SERIES])
def test_the_same_frames_as_from_the_disk(web, root, names, place):
    here = opened([str(root / name) for name in names])
    there = opened([f"{web.url}/{place}{name}" for name in names], storage=AS_ONE if place == "single/" else {})
    xr.testing.assert_identical(there.load(), here.load())


@pytest.mark.parametrize("names", SERIES[:2], ids=["exposure", "wide"])
def test_any_part_has_the_same_bits(web, root, names):
    here = opened([str(root / name) for name in names])
    there = pickle.loads(pickle.dumps(opened([f"{web.url}/{name}" for name in names])))

    @settings(max_examples=15)
    @given(st.data())
    def same(data):
        name = data.draw(st.sampled_from(list(here.data_vars)))
        part = data.draw(npst.basic_indices(here[name].shape, allow_ellipsis=False, allow_newaxis=False))
        np.testing.assert_array_equal(there[name][part].values, here[name][part].values)
        rows = data.draw(st.lists(st.integers(0, here.sizes["y"] - 1), max_size=5))
        np.testing.assert_array_equal(there[name][:, rows].values, here[name][:, rows].values)

    same()


@pytest.mark.parametrize(("size", "dtype", "stamp"), [(2048, np.float32, 64), (1024, np.int16, 40), (1500, np.float64, 101)])
@pytest.mark.parametrize("place", ["", "single/"])
def test_a_stamp_costs_little(web, root, size, dtype, stamp, place):
    path = root / f"large{size}.fits"
    if not path.exists():
        image = frame((size, size), dtype)
        write(path, ("SCI", image), ("ERR", image)) if size == 2048 else write(path, primary=image)
    box = {"y": slice(500, 500 + stamp), "x": slice(431, 431 + stamp)}
    asked = AS_ONE if place else {}
    opened(f"{web.url}/{place}wide0.fits", storage=asked).isel(
        y=slice(0, 3), x=slice(0, 3)
    ).load()  # how this server answers is known now
    web.sent()
    there = opened(f"{web.url}/{place}{path.name}", storage=asked).isel(box).load()
    sent = web.sent()
    xr.testing.assert_identical(there, opened(str(path)).isel(box).load())
    assert sent.bytes < 0.02 * path.stat().st_size
    assert sent.requests <= (10 if not place else 6 + stamp * len(there.data_vars))


def test_packed_files_are_fetched_whole_and_that_is_said(web):
    with pytest.warns(tsogrid.errors.TsogridWarning, match=r"1 of 1 files are remote and packed, packed.fits.gz is one"):
        tsogrid.open_frames(f"{web.url}/packed.fits.gz")


def test_headers_cost_few_bytes_and_no_pixel(web, root):
    name = "small-seg001_calints.fits"
    web.sent()
    opened(f"{web.url}/{name}")
    sent = web.sent()
    assert sent.bytes < 70_000
    assert sent.requests < 15


@pytest.mark.parametrize(
    ("place", "kind", "said"),
    [
        ("nothing.fits", MissingError, "no such file"),
        ("forbidden/wide0.fits", ForbiddenError, "forbidden"),
        ("unknown/wide0.fits", ForbiddenError, "HTTP 401"),
        ("failing/wide0.fits", SourceFailingError, "HTTP 503, in each of 3 tries"),
        ("noranges/wide0.fits", InputError, "HTTP 200"),
        ("*.fits", InputError, "tells no list of its files"),
        ("", InputError, "tells no list of its files"),
    ],
)
def test_what_a_server_does_not_give(web, quick, place, kind, said):
    with pytest.raises(InputError) as error:
        opened(f"{web.url}/{place}", storage={"retries": 2})
    assert type(error.value) is kind
    assert said in str(error.value)
    assert web.url in str(error.value)


def test_a_missing_file_is_asked_for_once_and_a_failing_one_again(web, quick):
    web.sent()
    for place, count in (("nothing.fits", 1), ("forbidden/wide0.fits", 1), ("failing/wide0.fits", 4)):
        with pytest.raises(InputError):
            opened(f"{web.url}/{place}", storage={"retries": 3})
        assert web.sent().requests == count


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("http://127.0.0.1:1/a.fits", SourceFailingError, "no connection"),
        ("https:///a.fits", InputError, "no host"),
        ("ftp://host/a.fits", ConfigError, "found ftp://"),
        ("http://[/a.fits", InputError, "no host"),
    ],
)
def test_urls_that_lead_nowhere(quick, name, kind, said):
    with pytest.raises(kind, match=said):
        opened(name, storage={"retries": 1})


def test_a_server_that_comes_back_is_waited_for(web, root):
    ready = root / "ready"
    timer = threading.Timer(0.8, ready.touch)
    timer.start()
    try:
        there = opened(f"{web.url}/later/wide0.fits", storage={"retries": 12})
        np.testing.assert_array_equal(there["data"].values, opened(str(root / "wide0.fits"))["data"].values)
    finally:
        timer.join()
        ready.unlink()


FAULTS = [[503, 500], [429], ["cut"], ["drop"], ["another"], [None, None, "cut", "drop", 502, "cut"]]


@pytest.mark.parametrize("faults", FAULTS, ids=str)
def test_passing_faults_are_got_over(root, quick, faults):
    content = (root / "wide0.fits").read_bytes()
    with failing(content, faults) as (url, remaining):
        there = opened(url, storage={"connections": 2, "retries": 6})
        box = {"y": slice(3, 20), "x": slice(0, 30)}
        part = there.isel(box).load()
        assert not remaining
    np.testing.assert_array_equal(part["data"], opened(str(root / "wide0.fits")).isel(box)["data"])


def test_a_server_that_is_silent_is_given_up(root, quick):
    content = (root / "wide0.fits").read_bytes()
    for fault, said in (("stall", r"no byte in 0\.2 s, in each of 2 tries"), ("cut", "cut"), ("drop", "cut")):
        with failing(content, [fault] * 9) as (url, _), pytest.raises(SourceFailingError, match=said):
            opened(url, storage={"timeout": 0.2, "retries": 1})


def test_a_file_that_changes_meanwhile_is_refused(root, quick):
    content = (root / "wide0.fits").read_bytes()
    with failing(content, [None, *["changed"] * 99]) as (url, _):
        there = opened(url)
        with pytest.raises(InputError, match="changed since it was opened"):
            there["data"][:, 3:20, :30].load()


def test_a_file_that_is_replaced_or_cut_meanwhile_is_refused(web, tmp_path, root):
    for content in (frame((90, 1500), np.int16, 9).tobytes(), b"short"):
        path = root / "changing.fits"
        path.unlink(missing_ok=True)
        write(path, primary=frame((90, 1500), np.float32))
        there = opened(f"{web.url}/changing.fits")
        path.write_bytes(path.read_bytes()[:2880] + content)
        with pytest.raises(InputError, match="changed since it was opened"):
            there["data"][:, 3:20, :30].load()


def test_files_that_are_no_whole_fits_files(web, root):
    (root / "cut.fits").write_bytes((root / "wide0.fits").read_bytes()[:20000])
    (root / "empty.fits").write_bytes(b"")
    (root / "text.fits").write_text("<html>" * 1000)
    for name, said in (("cut", "truncated"), ("empty", "an empty file"), ("text", "expected a FITS file")):
        with pytest.raises(InputError, match=said):
            opened(f"{web.url}/{name}.fits")


def test_nothing_secret_is_told(web, root, quick, tmp_path):
    secret = web.url.replace("http://", "http://me:pass-word@")
    store = tmp_path / "a.zarr"
    names = [f"{secret}/wide{number}.fits?Signature=pass-word" for number in range(3)]
    config = {
        "input": {"files": names},
        "sources": [{"name": "a", "x": 700, "y": 40}],
        "center": {"method": "none", "position": "fixed"},
        "apertures": [{"radius": 3}],
        "output": {"store": str(store)},
        "cluster": {"kind": "none"},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = tsogrid.run(tsogrid.Config.from_mapping(config))
    assert result["file"].values.tolist() == ["wide0.fits", "wide1.fits", "wide2.fits"]
    result.close()
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"pass-word" not in path.read_bytes(), path
    write(root / "other.fits", primary=frame((9, 9), np.int16))
    for name in ("nothing.fits", "noranges/wide0.fits", "other.fits"):
        with pytest.raises(InputError) as error:
            opened([*names, f"{secret}/{name}?Signature=pass-word"])
        assert "pass-word" not in str(error.value)
        assert name in str(error.value)


def test_the_address_of_a_server_holds_no_secret():
    for wrong in ("http://me:word@host", "host", "ftp://host", "http://["):
        with pytest.raises(ConfigError, match="endpoint_url"):
            tsogrid.Config.from_mapping({"input": {"storage": {"endpoint_url": wrong}}})


def test_a_run_with_workers_is_that_from_the_disk(web, exposure, tmp_path):
    names = [Path(path).name for path in exposure.files]
    config = {
        "input": {"files": [f"{web.url}/{name}" for name in names]},
        "apertures": [{"radius": [3, 4]}],
        "output": {"store": str(tmp_path / "there.zarr"), "block": 7},
        "cluster": {"kind": "local", "workers": 2},
    }
    there = tsogrid.run(tsogrid.Config.from_mapping(config)).load()
    config |= {"input": {"files": [str(path) for path in exposure.files]}, "cluster": {"kind": "none"}}
    # The same frames, however they are reached: there is nothing to do.
    again = tsogrid.run(tsogrid.Config.from_mapping(config), mode="resume").load()
    xr.testing.assert_identical(again, there)
    config["output"] = {"store": str(tmp_path / "here.zarr"), "block": 7}
    here = tsogrid.run(tsogrid.Config.from_mapping(config)).load()
    xr.testing.assert_identical(here.drop_attrs(), there.drop_attrs())
    assert here.attrs["identity"] == there.attrs["identity"]


def test_only_folders_of_this_machine_are_watched():
    from tsogrid.watch import watch

    for name in ("https://host/night", Path("s3://bucket/night")):
        with pytest.raises(InputError, match="only local folders can be watched"):
            watch(name, tsogrid.Config())


def test_a_url_is_text(web):
    with pytest.raises(InputError, match="give it as text"):
        tsogrid.open_frames(Path(f"{web.url}/cube.fits"))
    with pytest.raises(InputError, match="on this machine"):
        tsogrid.open_frames(f"{web.url}/cube.fits", gain=f"{web.url}/gain.fits")


def test_the_engine_of_xarray_takes_urls(web, root):
    there = xr.open_dataset(f"{web.url}/words.fits", engine="tsogrid", storage={"retries": 1})
    np.testing.assert_array_equal(there["data"].values, opened(str(root / "words.fits"))["data"].values)


def test_inspect_takes_urls(web, capsys):
    from tsogrid.cli.main import main

    with pytest.raises(SystemExit) as left:
        main(["inspect", f"{web.url}/cube.fits", "--set", "input.storage.retries=0"])
    assert not left.value.code
    assert "4 of 30 × 40 pixels" in capsys.readouterr().out

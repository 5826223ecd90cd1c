"""Frames in object stores: with keys and without, by name, folder and pattern; each refusal in its own words."""

import warnings

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import tsogrid
from tests.remote_servers import fill, nginx, object_store
from tsogrid.errors import ConfigError, ForbiddenError, InputError, MissingError, SourceFailingError
from tsogrid.io import remote_client, remote_places

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Some frames of one night; their rows lie so close that a stamp is one range."""
    folder = tmp_path_factory.mktemp("frames")
    for number in (0, 1, 2, 10):
        image = np.random.default_rng(number).normal(300, 20, (120, 200)).astype(np.float32)
        header = fits.Header({"DATE-OBS": f"2024-01-01T00:{number:02d}:00", "EXPTIME": 10.0})
        fits.PrimaryHDU(image, header).writeto(folder / f"frame{number}.fits")
    return sorted(folder.glob("*.fits"), key=lambda path: int(path.stem[5:]))


@pytest.fixture(scope="module")
def store(frames):
    """An object store with a public and a private bucket; gives its address."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "a-name"),
            ("AWS_SECRET_ACCESS_KEY", "a-secret"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/nowhere"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
        ):
            patch.setenv(name, value)
        with object_store() as url:
            contents = {f"a night/{path.name}": path.read_bytes() for path in frames}
            fill(url, "public", contents, public=True)
            more = {"a night/notes.txt": b"clear", "a night/more/frame+20.fits": frames[3].read_bytes()}
            fill(url, "private", contents | more)
            yield url


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(remote_client, "FIRST_WAIT", 0.01)


def opened(names, store, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tsogrid.open_frames(names, storage={"endpoint_url": store, "retries": 1, **settings})


BOX = {"y": slice(20, 36), "x": slice(100, 120)}


@pytest.mark.parametrize(
    "name", ["s3://private/a night/", "s3://private/a night", "s3://private/a night/frame*.fits", "S3://private/*/*.fits"]
)
def test_folders_and_patterns_in_natural_order(store, frames, name):
    there = opened(name, store)
    xr.testing.assert_identical(there.isel(BOX).load(), opened([str(path) for path in frames], store).isel(BOX).load())


def test_patterns_go_into_folders_and_names_may_hold_signs(store, frames):
    assert opened("s3://private/a night/**/*.fits", store, region="us-east-1").sizes["time"] == len(frames) + 1
    one = opened("s3://private/a night/more/frame+20.fits", store)
    np.testing.assert_array_equal(one["data"].values, opened(str(frames[3]), store)["data"].values)
    left = opened("s3://private/a night/", store).sizes["time"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fewer = tsogrid.open_frames("s3://private/a night/", storage={"endpoint_url": store}, exclude=["*1*.fits"])
    assert fewer.sizes["time"] == left - 2


def test_a_public_bucket_needs_no_keys(store, frames, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    there = opened([f"s3://public/a night/{path.name}" for path in frames[:2]], store, anon=True)
    xr.testing.assert_identical(there.isel(BOX).load(), opened([str(path) for path in frames[:2]], store).isel(BOX).load())
    with pytest.raises(ForbiddenError, match=r"s3://public/a night/frame0.fits: forbidden .*anon: true"):
        opened("s3://public/a night/frame0.fits", store, timeout=29)
    with pytest.raises(ForbiddenError, match=r"s3://private/a night/frame0.fits: forbidden \(HTTP 403"):
        opened("s3://private/a night/frame0.fits", store, anon=True)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("s3://private/a night/frame99.fits", MissingError, "no such file"),
        ("s3://nowhere/a night/frame0.fits", MissingError, "no such bucket"),
        ("s3://nowhere/*.fits", MissingError, "no such bucket or folder"),
        ("s3://nowhere/night/", MissingError, "no such bucket or folder"),
        ("s3://private/a night/x*.fits", InputError, "found none"),
        ("s3://private/", InputError, "found none"),
        ("s3://private*/a.fits", InputError, "one bucket only"),
        ("s3:///a.fits", InputError, "no bucket"),
    ],
)
def test_what_is_not_there(store, name, kind, said):
    with pytest.raises(InputError, match=said) as error:
        opened(name, store)
    assert type(error.value) is kind
    assert name in str(error.value)


def test_a_store_that_does_not_answer(store, quick):
    for name in ("s3://private/a.fits", "s3://private/*.fits"):
        with pytest.raises(SourceFailingError, match=name.replace("*", r"\*")):
            opened(name, "http://127.0.0.1:1")
    with pytest.raises(InputError, match="ProfileNotFound"):
        opened("s3://private/a.fits", store, profile="nobody")


def test_nothing_secret_is_told(store, frames, tmp_path):
    """The links that are signed stay in the process that signs them."""
    config = {
        "input": {"files": ["s3://private/a night/frame1*.fits"], "storage": {"endpoint_url": store, "retries": 1}},
        "sources": [{"name": "a", "x": 100, "y": 40}],
        "center": {"method": "none", "position": "fixed"},
        "apertures": [{"radius": 3}],
        "output": {"store": str(tmp_path / "a.zarr")},
        "cluster": {"kind": "none"},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = tsogrid.run(tsogrid.Config.from_mapping(config)).load()
        here = tsogrid.measure(tsogrid.open_frames([str(frames[1]), str(frames[3])]), x=100, y=40, radius=3)
    assert result["file"].values.tolist() == ["frame1.fits", "frame10.fits"]
    assert result["flux"].shape == here["flux"].shape
    for path in tmp_path.rglob("*"):
        content = b"" if path.is_dir() else path.read_bytes()
        assert not any(word in content for word in (b"a-secret", b"Signature", b"127.0.0.1")), path


def test_links_are_signed_and_public_ones_are_not(store):
    from tsogrid.config import Storage
    from tsogrid.io.remote import _wait

    signed = _wait(remote_places.S3(Storage(endpoint_url=store)).address("s3://private/a b.fits"))
    assert "X-Amz-Signature" in signed.url
    assert "a-secret" not in signed.url
    plain = _wait(remote_places.S3(Storage(endpoint_url=store, anon=True)).address("s3://private/a b.fits"))
    assert plain.url == f"{store}/private/a%20b.fits"


def test_googles_store(frames, tmp_path):
    """What its server would be asked, of a web server with the same paths."""
    objects = tmp_path / "download" / "storage" / "v1" / "b" / "bucket" / "o"
    objects.mkdir(parents=True)
    (objects / "frame 3.fits").write_bytes(frames[3].read_bytes())
    work = tmp_path / "work"
    work.mkdir()
    with nginx(tmp_path, work) as server:
        there = opened("gs://bucket/frame 3.fits", server.url, anon=True)
        np.testing.assert_array_equal(there["data"].values, opened(str(frames[3]), None)["data"].values)
        with pytest.raises(MissingError, match=r"gs://bucket/none.fits: no such file"):
            opened("gs://bucket/none.fits", server.url, anon=True)
        with pytest.raises(MissingError, match="no such bucket or folder"):
            opened("gs://bucket/*.fits", server.url, anon=True)


@pytest.mark.parametrize(("name", "package"), [("s3://b/a.fits", "s3fs"), ("gs://b/a.fits", "gcsfs")])
def test_a_package_that_is_missing_is_named(monkeypatch, name, package):
    import sys

    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.core", None)
    with pytest.raises(ConfigError, match=rf"{package}, which is not installed: pip install 'tsogrid\["):
        opened(name, None, timeout=17)

"""What a store that is wrong, spoilt or without room gets: one message, and nothing that stood there is lost."""

import resource
from contextlib import contextmanager

import pytest
import xarray as xr

from tests.cli.test_bad_input import bound_by_permissions


@pytest.fixture
def measured(tsogrid, write_config, data, here):
    """A finished run: its configuration; the store is night.zarr."""
    config = write_config()
    outcome = tsogrid("run", config, "--block", 2)
    assert outcome.status == 0, outcome
    return config


def test_a_store_of_another_run(refused, measured):
    words = ["night.zarr", "holds another run", "config.sky", "--overwrite"]
    refused("run", measured, "--set", "sky.0.inner=8", words=words)
    refused("run", measured, "--set", "sky.0.inner=8", "--dry-run", words=words)


def test_not_a_store(refused, write_config, data, here):
    config = write_config()
    (here / "night.zarr").mkdir()
    (here / "night.zarr" / "thesis.tex").write_text("years of work")
    for mode in ((), ("--overwrite",), ("--resume",), ("--extend",), ("--dry-run",)):
        refused("run", config, *mode, words=["night.zarr", "expected a tsogrid store", "Nothing was changed"])
    refused("export", "night.zarr", words=["night.zarr", "expected a tsogrid store"])
    refused("export", "gone.zarr", words=["gone.zarr", "expected a tsogrid store"])


def test_no_folder_for_the_store(refused, write_config, data):
    refused("run", write_config(), "--store", "no/such/night.zarr", words=["no/such", "existing folder"])


def test_a_read_only_folder(tsogrid, write_config, data, here):
    config = write_config()
    locked = here / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    with bound_by_permissions():
        outcome = tsogrid("run", config, "--store", "locked/night.zarr")
        beside = tsogrid("init", "data", "--output", "locked/night.yaml")
    locked.chmod(0o755)
    for each in (outcome, beside):
        assert each.status == 1, each
        assert each.err.startswith("error: ")
        assert each.err.count("\n") == 1
        assert "locked" in each.err
    assert not list(locked.iterdir())


@contextmanager
def files_no_longer_than(limit):
    """Let every write beyond so many bytes of a file fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_disk_is_full_when_the_store_is_made(measured, tsogrid, here):
    before = sorted(here.iterdir())
    with files_no_longer_than(2000):
        outcome = tsogrid("run", measured, "--store", "other.zarr")
    assert outcome.status == 1, outcome
    assert outcome.err.count("error: ") == 1
    assert "other.zarr" in outcome.err
    assert "File too large" in outcome.err
    assert sorted(here.iterdir()) == before


def test_the_disk_is_full_in_the_middle(measured, tsogrid, write_config, here):
    radii = [{"shape": "circle", "radius": f"{start}:{start + 4}:0.005"} for start in (1, 5)]
    config = write_config("many.yaml", apertures=radii, sky=[{"method": "annulus", "inner": 12, "outer": 16}])
    with files_no_longer_than(100_000):
        outcome = tsogrid("run", config, "--block", FEW)
    assert outcome.status == 1, outcome
    assert outcome.err.count("error: ") == 1
    assert "could not be written" in outcome.err
    assert "run again" in outcome.err
    again = tsogrid("run", config, "--block", FEW)
    assert again.status == 0, again
    with xr.open_zarr(here / "many.zarr") as result:
        assert int(result["flux"].isel(time=[0, 9], source=0, sky=0).notnull().sum()) == 2 * result.sizes["aperture"]


FEW = 10


def spoil(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def test_a_corrupted_chunk(measured, tsogrid, here):
    with xr.open_zarr(here / "night.zarr") as result:
        flux = result["flux"].load()
    chunk = next((here / "night.zarr" / "flux").glob("c.1.*"))
    healthy = chunk.read_bytes()
    spoil(chunk)
    outcome = tsogrid("run", measured)
    assert outcome.status == 0, outcome
    assert "damaged" in outcome.out
    assert "flux frames 2 … 3" in outcome.out
    assert chunk.read_bytes() == healthy
    with xr.open_zarr(here / "night.zarr") as result:
        xr.testing.assert_identical(result["flux"].load(), flux)


def test_exporting_a_corrupted_chunk(measured, refused, here):
    spoil(next((here / "night.zarr" / "flux").glob("c.1.*")))
    refused("export", "night.zarr", words=["night.zarr", "damaged", "tsogrid run"])


def test_a_corrupted_header_of_the_store(measured, refused, here):
    (here / "night.zarr" / "zarr.json").write_text('{"attributes": {"iden')
    refused("run", measured, words=["night.zarr", "expected a tsogrid store"])

"""Whole results as netCDF and HDF5, and Eureka's names: read back by xarray, h5netcdf and h5py."""

import sys

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray as xr

from tsogrid.errors import ConfigError, StoreError
from tsogrid.export import export
from tsogrid.export.chosen import choose
from tsogrid.export.provenance import provenance


@pytest.mark.parametrize(("to", "suffix"), [("netcdf", "nc"), ("hdf5", "h5")])
def test_a_whole_result_comes_back(night, tmp_path, to, suffix):
    path = export(night, tmp_path / f"night.{suffix}", to)
    known = night.compute()
    with xr.open_dataset(path, engine="h5netcdf") as found:
        assert provenance(night).items() <= found.attrs.items()
        assert set(provenance(night)) == {"creator", "config_identity", "input_identity"}
        xr.testing.assert_equal(found.load(), known)
        for name, variable in known.variables.items():
            assert found[name].dtype == variable.dtype or variable.dtype.kind in "OTU"
            for key, value in variable.attrs.items():
                np.testing.assert_array_equal(found[name].attrs[key], value)
        assert found["time"].attrs["scale"] == "utc"
        assert found["flux"].attrs["units"] == "adu"
        assert "no_data" in found["flags"].attrs["flag_meanings"]
        assert found.attrs["config"] == night.attrs["config"]
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["flux"][()], known["flux"])
        assert file["flux"].attrs["units"] == "adu"
        assert [label.decode() for label in file["aperture"][()]] == ["r3", "r5"]
    with h5netcdf.File(path) as file:
        assert file["flux"].dimensions == ("time", "source", "aperture", "sky")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_an_exposure_of_the_jwst_comes_back(space, tmp_path):
    with xr.open_dataset(export(space, tmp_path / "space.nc", "netcdf"), engine="h5netcdf") as found:
        xr.testing.assert_equal(found.load(), space)
        assert found["time"].attrs["scale"] == "tdb"
        for name, value in space.attrs.items():
            np.testing.assert_array_equal(found.attrs[name], value, err_msg=name)


def test_a_part_of_a_result(night, tmp_path):
    path = export(night, tmp_path / "part.nc", "netcdf", source="c1", aperture=5)
    with xr.open_dataset(path, engine="h5netcdf") as found:
        assert dict(found.sizes) == {"time": 14, "source": 1, "aperture": 1, "sky": 2}
        np.testing.assert_array_equal(found["flux"][:, 0, 0], night["flux"].sel(source="c1", aperture="r5"))


def test_eureka_names(space, tmp_path):
    one = space.isel(source=0, aperture=0, sky=0)
    with xr.open_dataset(export(space, tmp_path / "s3.h5", "hdf5", "eureka"), engine="h5netcdf") as found:
        for name, variable in (
            ("aplev", "flux"), ("aperr", "flux_err"), ("nappix", "aperture_area"), ("skylev", "sky_level"),
            ("skyerr", "sky_level_err"), ("nskypix", "sky_area"), ("centroid_x", "x_fit"), ("centroid_y", "y_fit"),
            ("centroid_sx", "sigma_x"), ("centroid_sy", "sigma_y"),
        ):  # fmt: skip
            np.testing.assert_array_equal(found[name], one[variable], err_msg=name)
            assert found[name].attrs["time_units"] == "BMJD_TDB"
        np.testing.assert_allclose(found["time"] + 2400000.5, one["bjd_tdb"], rtol=0, atol=1e-9)
        assert found["aplev"].attrs["flux_units"] == space["flux"].attrs["units"]
        assert not found["betaper"].any()
        lost = ~np.isfinite(one["flux"].to_numpy())
        assert lost.sum() == 1
        assert (found["status"].to_numpy()[lost].astype(int) & 1).all()
        assert not found["status"].to_numpy()[~lost].astype(int).any() or (one["aperture_flags"] != 0).any()
        assert found.attrs["aperture"] == "r3"
        assert found.attrs["config"] == space.attrs["config"]


def test_of_several_the_quietest_is_chosen(night, tmp_path):
    best = night.tso.best()
    chosen = choose(night)
    assert chosen.labels == {"source": "star", "aperture": best["aperture"].item(), "sky": best["sky"].item()}
    with xr.open_dataset(export(night, tmp_path / "s3.h5", "hdf5", "eureka", sky="none"), engine="h5netcdf") as found:
        assert found.attrs["sky"] == "none"
        assert "the least clipped" in found.attrs["choice"]
    single = night.isel(time=[0])
    assert choose(single).reason.endswith("the first aperture and sky")
    assert choose(single, aperture="r5", sky=0).reason.endswith("aperture and sky given")


def test_a_file_is_whole_or_as_it_was(night, tmp_path, monkeypatch):
    path = tmp_path / "night.nc"
    path.write_text("older")

    def half(dataset, to, **options):
        to.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", half)
    with pytest.raises(StoreError, match="No space left"):
        export(night, path, "netcdf")
    assert path.read_text() == "older"
    assert [each.name for each in tmp_path.iterdir()] == ["night.nc"]


def test_a_missing_package_is_named(night, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    for profile, to in ((None, "netcdf"), ("eureka", "hdf5")):
        with pytest.raises(ConfigError, match=r"no h5netcdf. .*tsogrid\[hdf5\]"):
            export(night, tmp_path / "x", to, profile)
    assert not list(tmp_path.iterdir())

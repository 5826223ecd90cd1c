"""The data set: old files load, ours come back as they were, and every number stands at its image's time."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from tsogrid.errors import InputError
from tsogrid.survey.lco import AperturePhotometryDataset
from tsogrid.survey.lco.dataset_files import LAYOUT, write_zarr
from tsogrid.survey.lco.stars import FieldStars

REFERENCE = Path(__file__).parents[1] / "data" / "lco" / "reference_aperture_photometry.hdf5"
N, TIMES = 5, np.array([61201.4, 61201.1, 61201.3, 61201.2])


def stars():
    count = np.arange(N)
    sky = 268.4 + count / 3600 * 1.5, -29.3 + 0.0 * count
    return FieldStars(4056000000000000001 + count, *sky, {"G": 1e5 / (count + 1)}, np.zeros((N, 2)), np.full(N, 2016.0))


def catalogues(order, failed=()):
    """Catalogues whose every number tells its image: flux of star s in image i is 100 (s + 1) + i."""
    rows = {name: [] for name in ("x", "y", "raw_flux", "raw_err_flux", "star_flags")}
    for image in order:
        flux = np.full(N, np.nan) if image in failed else 100.0 * (np.arange(N) + 1) + image
        for name, values in zip(rows, (flux + 0.1, flux + 0.2, flux, flux / 50, np.full(N, image)), strict=True):
            rows[name].append(values)
    facts = {
        "path": [f"im{image}.fits" for image in order],
        "row_size": [N] * len(order),
        "image_flags": [64 if image in failed else 0 for image in order],
        "message": ["no WCS: clouds" if image in failed else "" for image in order],
        "mjd": TIMES[list(order)],
        "exptime": [60.0 + image for image in order],
        "filter": ["ip"] * len(order),
        **{name: [268.4] * len(order) for name in ("ra", "longitude")},
        **{name: [-29.3] * len(order) for name in ("dec", "latitude", "height")},
    }
    variables = {name: ("image", np.array(values)) for name, values in facts.items()}
    variables |= {name: ("row", np.concatenate([*values, np.zeros(0)])) for name, values in rows.items()}
    return xr.Dataset(variables)


@settings(max_examples=40)
@given(st.permutations(range(4)), st.sets(st.integers(0, 3), max_size=2))
def test_times_are_never_permuted(order, failed):
    data = AperturePhotometryDataset.from_catalogues(catalogues(order, failed), stars())
    mjd = np.asarray(data.timestamps["MJD"])
    assert (np.diff(mjd) > 0).all()
    for place, image in enumerate(np.argsort(TIMES)):
        assert data.files[place] == f"im{image}.fits"
        assert data.exptimes[place] == 60 + image
        expected = np.full(N, np.nan) if image in failed else 100.0 * (np.arange(N) + 1) + image
        np.testing.assert_array_equal(data.raw_flux[:, place], expected)
        np.testing.assert_array_equal(data.positions[:, place, 0], expected + 0.1)
        assert (data.star_flags[:, place] == image).all()
        assert data.image_flags[place] == (64 if image in failed else 0)
        assert np.isnan(data.pscale[1, place]) == (image in failed)
    curve = data.get_lightcurve(2, "ip")
    np.testing.assert_array_equal(curve["MJD"], mjd)
    np.testing.assert_allclose(curve["flux"], data.raw_flux[2] / data.pscale[1])


def test_old_files_load():
    data = AperturePhotometryDataset(REFERENCE)
    with h5py.File(REFERENCE) as file:
        for name in ("positions", "flux", "err_flux", "raw_flux", "raw_err_flux", "pscale", "epscale"):
            np.testing.assert_array_equal(getattr(data, name), file[name][()])
        np.testing.assert_array_equal(np.asarray(data.source_id), file["source_id"][()])
        np.testing.assert_array_equal(np.asarray(data.wcs_positions), file["source_wcs"][()])
        np.testing.assert_array_equal(np.asarray(data.timestamps), file["HJD"][()])
    assert data.wcs_positions.colnames == ["ra", "dec"]
    assert np.isnan(data.exptimes).all()
    curve = data.get_lightcurve(1, "TESTEV_ip")
    assert curve.colnames[:5] == ["MJD", "flux", "err_flux", "mag", "err_mag"]
    # Its HJD, less the light's time, is the middle of the exposure: 03:12:00 and half a minute, to 21 ms.
    assert (curve["MJD"][0] - (61201 + (3 * 3600 + 12 * 60 + 30) / 86400)) * 86400 == pytest.approx(0, abs=0.03)
    np.testing.assert_allclose(curve["mag"], 25 - 2.5 * np.log10(data.flux[1]))
    np.testing.assert_allclose(curve["err_mag"], 1.0857 * data.err_flux[1] / data.flux[1], rtol=1e-4)


def test_ours_come_back_as_they_were(tmp_path):
    data = AperturePhotometryDataset.from_catalogues(catalogues([2, 0, 1, 3], {1}), stars(), (268.4, -29.3))
    data.save_hdf5(tmp_path / "a.hdf5")
    again = AperturePhotometryDataset(tmp_path / "a.hdf5")
    for name, values in data.arrays.items():
        np.testing.assert_array_equal(values, again.arrays[name], name)
        assert values.dtype.kind == again.arrays[name].dtype.kind
    with h5py.File(REFERENCE) as old, h5py.File(tmp_path / "a.hdf5") as new:
        for name in old:
            assert new[name].dtype == old[name].dtype
            assert new[name].ndim == old[name].ndim
    assert [path.name for path in tmp_path.iterdir()] == ["a.hdf5"]
    write_zarr(data.arrays, tmp_path / "a.zarr")
    write_zarr(data.arrays, tmp_path / "a.zarr")
    with xr.open_zarr(tmp_path / "a.zarr") as found:
        np.testing.assert_array_equal(found["flux"], data.flux)
        assert found["positions"].dims == ("source", "time", "axis")
        assert set(found.variables) >= set(LAYOUT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hdf5", "a.zarr"]


def test_the_nearest_star_is_taken_and_not_the_first():
    data = AperturePhotometryDataset.from_catalogues(catalogues(range(4)), stars())
    ra, dec = (float(each) for each in data.wcs_positions[3])
    # Star 2 is 1.3 arcsec away, and comes first.
    assert data.find_star((ra - 0.2 / 3600, dec)) == 3
    assert data.find_star(SkyCoord(ra, dec, unit="deg")) == 3
    assert data.find_star(f"{ra},{dec}") == 3
    assert data.find_star("17:53:36.4,-29:18:00") == 4
    assert data.find_star(4056000000000000003) == 2
    assert data.find_star("4056000000000000003") == 2
    assert data.find_star(np.int64(1)) == 1
    assert data.get_lightcurve(3).meta["source_id"] == 4056000000000000004
    for unknown in (-1, N, 77, (ra, dec + 0.01), "nonsense", None):
        with pytest.raises(InputError, match="expected"):
            data.find_star(unknown)
    with pytest.raises(InputError, match=r"within 0\.1 arcsec, found the nearest, number 3"):
        data.find_star((ra - 0.2 / 3600, dec), radius=0.1)


def test_filters():
    two = catalogues(range(4))
    two["filter"] = ("image", np.array(["ip", "gp", "ip", "gp"]))
    data = AperturePhotometryDataset.from_catalogues(two, stars())
    assert len(data.get_lightcurve(0, "gp")) == 2
    assert len(data.get_lightcurve(0, "TESTEV_ip")) == 2
    assert len(data.get_lightcurve(0)) == 4
    with pytest.raises(InputError, match="expected one of gp, ip"):
        data.get_lightcurve(0, "zs")


def test_an_empty_data_set_and_what_is_none(tmp_path):
    assert AperturePhotometryDataset().flux.shape == (0, 0)
    none = AperturePhotometryDataset.from_catalogues(catalogues([]), stars())
    assert none.flux.shape == (N, 0)
    assert len(none.get_lightcurve(0)) == 0
    with pytest.raises(InputError, match="no such file"):
        AperturePhotometryDataset(tmp_path / "none.hdf5")
    (tmp_path / "text.hdf5").write_text("hello")
    with pytest.raises(InputError, match="expected an HDF5 file"):
        AperturePhotometryDataset(tmp_path / "text.hdf5")
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["flux"] = np.zeros((2, 2))
    with pytest.raises(InputError, match="found no source_id"):
        AperturePhotometryDataset(tmp_path / "other.hdf5")

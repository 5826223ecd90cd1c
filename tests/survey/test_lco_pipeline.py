"""A folder of images becomes a data set: once, again, after new images, in place, and whatever lies in the folder."""

import os
import shutil
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from tests.lco_fields import field, folder_of, write, write_catalogue
from tsogrid.config import NoCluster
from tsogrid.errors import IdentityError, InputError
from tsogrid.flags import ImageFlag
from tsogrid.survey.lco import AperturePhotometryAnalyst, AperturePhotometryDataset, reduce
from tsogrid.survey.lco.products import TABLE_UNIT, WCS_UNIT

SIZE, STARS = 200, 70


def frames(number=4, **told):
    """Frames of one field, out of order in time, with clouds and a dither."""
    return [
        field(
            1,
            SIZE,
            STARS,
            mjd=61201.1 + 0.01 * ((3 * each) % number),
            transparency=1.0 - 0.1 * each,
            dither=(2.3 * each, -1.7 * each),
            photon_seed=each,
            **told,
        )
        for each in range(number)
    ]


def reduced(folder, **told):
    return reduce(folder, cluster=NoCluster(), **told)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("field")
    made = frames()
    folder_of(folder, made)
    return folder, made, reduced(folder)


def test_positions_fluxes_and_scales_are_those_of_the_truth(done):
    _, made, found = done
    data = found.dataset
    order = np.argsort([frame.header["MJD-OBS"] for frame in made], kind="stable")
    assert data.files.tolist() == [f"{each:02d}.fits" for each in order]
    for place, frame in enumerate(made[each] for each in order):
        on = frame.on
        off = np.hypot(data.positions[on, place, 0] - frame.x[on], data.positions[on, place, 1] - frame.y[on])
        assert np.sqrt(np.mean(off**2)) < 0.03
        assert np.isnan(data.positions[~on, place]).all()
        assert data.pscale[1, place] / data.pscale[1, 0] == pytest.approx(
            frame.flux[0] / made[order[0]].flux[0], abs=4 * np.hypot(data.scale_err[place], data.scale_err[0])
        )
    bright = (data.star_flags == 0).all(axis=1) & (made[0].magnitude < 15.5)
    assert bright.sum() > 5
    assert np.std(data.flux[bright] / np.median(data.flux[bright], axis=1)[:, None]) < 0.01
    assert found.failure is None
    assert (data.image_flags == 0).all()


def test_files_and_products(done):
    folder, made, found = done
    assert [path.name for path in found.written] == ["aperture_photometry.hdf5", "aperture_photometry.zarr"]
    again = AperturePhotometryDataset(folder / "aperture_photometry.hdf5")
    np.testing.assert_array_equal(again.flux, found.dataset.flux)
    with fits.open(folder / "products" / "00.fits") as copy, fits.open(folder / "00.fits") as image:
        copy.verify("exception")
        assert [unit.name for unit in copy][-2:] == [WCS_UNIT, TABLE_UNIT]
        assert len(copy) == len(image) + 2
        table = copy[TABLE_UNIT].data
        place = found.dataset.files.tolist().index("00.fits")
        np.testing.assert_array_equal(table["aperture_sum"], found.dataset.raw_flux[:, place])
        header = copy[WCS_UNIT].header
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the unit has no pixels of its own
            pixels = WCS(header).world_to_pixel_values(table["ra"], table["dec"])
        on = made[0].on
        np.testing.assert_allclose(pixels[0][on], found.dataset.positions[on, place, 0], atol=1e-5)
    start = (folder / "00.fits").read_bytes()
    assert (folder / "products" / "00.fits").read_bytes().startswith(start)


def test_a_second_run_measures_new_and_changed_images_only(done, tmp_path):
    source, _, first = done
    folder = tmp_path / "field"
    shutil.copytree(source, folder)
    assert reduced(folder).measured == []
    write(folder / "09.fits", frames(5)[4])
    later = reduced(folder)
    assert [os.path.basename(path) for path in later.measured] == ["09.fits"]
    assert later.dataset.flux.shape[1] == 5
    kept = np.isin(later.dataset.files, first.dataset.files)
    np.testing.assert_array_equal(later.dataset.raw_flux[:, kept], first.dataset.raw_flux)
    assert len(reduced(folder, everything=True).measured) == 5
    with pytest.raises(IdentityError, match=r"aperture_arcsec(.|\n)*--all"):
        reduced(folder, config={"photometry": {"aperture_arcsec": 3.0}})
    other = reduced(folder, config={"photometry": {"aperture_arcsec": 3.0}}, everything=True)
    assert (other.dataset.raw_flux[0] > 1.05 * later.dataset.raw_flux[0]).all()


def test_a_single_image_and_one_of_another_field(tmp_path):
    folder_of(tmp_path / "one", [field(1, SIZE, STARS, noise=1500)])
    one = reduced(tmp_path / "one").dataset
    assert one.flux.shape[1] == 1
    assert one.pscale.ravel().tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(one.epscale[0])
    assert np.isfinite(one.get_lightcurve(0)["err_flux"]).all() or np.isnan(one.positions[0]).all()
    folder_of(tmp_path / "two", [field(1, SIZE, STARS), field(77, SIZE, STARS, mjd=61201.3)])
    two = reduced(tmp_path / "two")
    assert two.solved.tolist() == [True, False]
    assert two.dataset.image_flags[1] == ImageFlag.WCS_FAILED
    assert two.dataset.messages[1].startswith("no WCS: ")
    assert np.isnan(two.dataset.flux[:, 1]).all()
    assert np.isfinite(two.dataset.flux[:, 0]).sum() > 30
    assert not (tmp_path / "two" / "products" / "01.fits").exists()


def test_bad_files_are_named_and_set_aside(tmp_path):
    paths = folder_of(tmp_path, frames(2))
    content = (tmp_path / "00.fits").read_bytes()
    (tmp_path / "10_half.fits").write_bytes(content[: len(content) // 3])
    (tmp_path / "11_text.fits").write_text("hello")
    found = reduced(tmp_path)
    assert found.dataset.files.tolist() == ["00.fits", "01.fits"]
    assert "2 of 4 images" in str(found.failure)
    assert "10_half.fits: " in str(found.failure)
    assert "11_text.fits: " in str(found.failure)
    (tmp_path / "10_half.fits").unlink()
    (tmp_path / "11_text.fits").unlink()
    assert reduced(tmp_path).failure is None
    assert len(paths) == 2


def test_in_place_is_done_once_and_leaves_the_rest_as_it_is(tmp_path):
    folder_of(tmp_path, frames(2))
    before = (tmp_path / "00.fits").read_bytes()
    found = reduced(tmp_path, in_place=True)
    assert len(found.measured) == 2
    after = (tmp_path / "00.fits").read_bytes()
    assert after.startswith(before)
    with fits.open(tmp_path / "00.fits") as image:
        assert image[-1].name == TABLE_UNIT
        place = found.dataset.files.tolist().index("00.fits")
        np.testing.assert_array_equal(image[-1].data["aperture_sum"], found.dataset.raw_flux[:, place])
        np.testing.assert_array_equal(image[-1].data["aperture_sum_err"], found.dataset.raw_err_flux[:, place])
        assert np.isfinite(image[-1].data["sky_err"]).sum() > 30
    assert not (tmp_path / "products").exists()
    again = reduced(tmp_path, in_place=True)
    assert again.measured == []
    np.testing.assert_array_equal(again.dataset.raw_flux, found.dataset.raw_flux)
    once_more = reduced(tmp_path, in_place=True, everything=True)
    np.testing.assert_array_equal(once_more.dataset.raw_flux, found.dataset.raw_flux)
    with fits.open(tmp_path / "00.fits") as image:
        assert [unit.name for unit in image].count(TABLE_UNIT) == 1
    wider = reduced(tmp_path, in_place=True, everything=True, config={"photometry": {"aperture_arcsec": 3.0}})
    assert (wider.dataset.raw_flux[0] > 1.05 * found.dataset.raw_flux[0]).all()
    assert not list(tmp_path.glob(".part*"))


def test_folders_that_are_none(tmp_path):
    with pytest.raises(InputError, match="expected a folder of images, found nothing"):
        reduced(tmp_path / "none")
    with pytest.raises(InputError, match="expected FITS files"):
        reduced(tmp_path)
    (tmp_path / "ip").mkdir()
    write(tmp_path / "ip" / "a.fits", field(1, 120, 20))
    with pytest.raises(InputError, match=r"Images are in .*ip: give one of these"):
        reduced(tmp_path)


def test_the_old_class_measures_the_same(done):
    folder, made, found = done
    from astropy.table import Table

    catalogue = Table.read(folder / "Gaia_catalog.dat", format="ascii")
    analyst = AperturePhotometryAnalyst("02.fits", folder, catalogue, {"photometry": {"aperture_arcsec": 2.0}})
    assert analyst.status == "OK"
    place = found.dataset.files.tolist().index("02.fits")
    np.testing.assert_array_equal(analyst.aperture_photometry_table["aperture_sum"], found.dataset.raw_flux[:, place])
    assert analyst.phot_aperture == pytest.approx(2.0 / 0.389)
    assert analyst.image_data.shape == analyst.image_errors.shape == (SIZE, SIZE)
    assert analyst.find_image_layer("CAT") == 1
    assert analyst.find_image_layer("nothing") == -1
    assert analyst.star_catalog[:, 0].min() == pytest.approx(made[2].listed[:, 0].min() - 1)
    assert analyst.image_original_wcs.wcs.crpix == pytest.approx(made[2].wcs.wcs.crpix)
    before = (folder / "02.fits").read_bytes()
    copy = analyst.save_new_products_in_image(folder / "copy" / "02.fits")
    assert (folder / "02.fits").read_bytes() == before
    with fits.open(copy) as units:
        assert units[-1].name == TABLE_UNIT


def test_the_old_class_says_error_and_goes_on(tmp_path):
    frame, other = field(1, SIZE, STARS), field(50, SIZE, STARS)
    write(tmp_path / "a.fits", frame)
    write_catalogue(tmp_path / "Gaia_catalog.dat", other)
    lost = AperturePhotometryAnalyst("a.fits", tmp_path, tmp_path / "Gaia_catalog.dat")
    assert lost.status == "ERROR"
    assert lost.message.startswith("no WCS")
    assert lost.image_new_wcs is None
    assert lost.save_new_products_in_image() is None
    none = AperturePhotometryAnalyst("b.fits", tmp_path, tmp_path / "Gaia_catalog.dat")
    assert none.status == "ERROR"
    assert "no such file" in none.message

"""``tsogrid lco``: what a user sees, what is in the folder then, and how it leaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from tests.lco_fields import FIRST_ID, field, folder_of
from tsogrid.cli.main import main
from tsogrid.survey.lco import AperturePhotometryDataset

SIZE, STARS = 200, 70
TARGET = """
target: {{name: 'TEST EV', RA: '{ra}', Dec: '{dec}'}}
photometry: {{aperture_arcsec: 2.0}}
tom: {{data_label: TESTEV}}
"""


def night(folder, number=3):
    made = [field(1, SIZE, STARS, mjd=61201.1 + 0.01 * each, photon_seed=each) for each in range(number)]
    paths = folder_of(folder, made)
    ra, dec = made[0].sky[np.flatnonzero(made[0].on)[4]]
    (folder / "reduction_config.yaml").write_text(TARGET.format(ra=ra, dec=dec))
    return made, paths


def said(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["lco", *map(str, arguments)])
    found = capsys.readouterr()
    return left.value.code or 0, found.out, found.err


def test_a_folder_becomes_light_curves(tmp_path, capsys):
    made, _ = night(tmp_path)
    code, out, _ = said(capsys, tmp_path, "--cluster", "none", "--star", "0", "--star", str(FIRST_ID + 1))
    assert code == 0, out
    assert "3 images (3 measured now)" in out
    assert "photometric scale" in out
    target = int(np.flatnonzero(made[0].on)[4])
    assert f"TEST EV: star {target}, " in out
    curve = Table.read(tmp_path / "TEST_EV_lc.dat", format="ascii")
    assert curve.colnames[:5] == ["MJD", "flux", "err_flux", "mag", "err_mag"]
    np.testing.assert_allclose(curve["MJD"], [61201.1 + 0.01 * each + 30 / 86400 for each in range(3)], atol=1e-9)
    tom = Table.read(tmp_path / "TEST_EV_lc.csv", format="ascii.csv")
    assert tom.colnames == ["time", "filter", "magnitude", "error"]
    assert set(tom["filter"]) == {"TESTEV_ip"}
    assert (tmp_path / "star_0_lc.dat").exists()
    assert (tmp_path / f"star_{FIRST_ID + 1}_lc.dat").exists()
    code, out, _ = said(capsys, tmp_path, "--cluster", "none")
    assert (code, "(0 measured now)" in out) == (0, True)
    other = tmp_path / "elsewhere"
    code, out, _ = said(capsys, tmp_path, "--output", other, "--no-products", "--cluster", "none", "--all")
    assert code == 0
    assert (other / "aperture_photometry.hdf5").exists()
    assert not (other / "products").exists()


def test_failures_are_told_and_leave_with_1(tmp_path, capsys):
    night(tmp_path, 2)
    (tmp_path / "09_text.fits").write_text("hello")
    code, out, err = said(capsys, tmp_path, "--cluster", "none")
    assert code == 1
    assert "09_text.fits" in err
    assert "2 images (2 measured now)" in out
    (tmp_path / "09_text.fits").unlink()
    folder_of(tmp_path / "other", [field(5, SIZE, STARS)])
    code, out, err = said(capsys, tmp_path / "other", "--catalog", tmp_path / "Gaia_catalog.dat", "--cluster", "none")
    assert code == 1
    assert "00.fits: no WCS: " in out
    assert "none of 1 images could be placed" in err
    assert said(capsys, tmp_path / "nowhere")[0] == 1
    (tmp_path / "bad.yaml").write_text("photometry: {aperture: 2}\n")
    code, _, err = said(capsys, tmp_path, "--config", tmp_path / "bad.yaml")
    assert (code, "did you mean aperture_arcsec" in err) == (2, True)


@pytest.mark.slow
@pytest.mark.long
def test_a_killed_run_goes_on_over_workers(tmp_path):
    """Killed with some images done, with local workers: the same command ends with what an undisturbed run gives."""
    night(tmp_path / "one", 12)
    night(tmp_path / "two", 12)
    command = [sys.executable, "-m", "tsogrid.cli.main", "lco"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.Popen(
        [*command, str(tmp_path / "one"), "--cluster", "none"],
        env=environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    pieces = tmp_path / "one" / "lco_catalogues.zarr" / "progress" / "images"
    until = time.monotonic() + 240
    while len(list(pieces.rglob("*.npz"))) < 3 and run.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    for name in ("one", "two"):
        subprocess.run([*command, str(tmp_path / name), "--workers", "2", "--cluster", "local"], env=environment, check=True)
    found = [AperturePhotometryDataset(tmp_path / name / "aperture_photometry.hdf5") for name in ("one", "two")]
    for name, values in found[0].arrays.items():
        np.testing.assert_array_equal(values, found[1].arrays[name], name)
    assert not list((tmp_path / "one").rglob("*.part*"))

"""``tsogrid detect``: the table, its files, and a trial that finds the variable star."""

import json

import numpy as np
import pytest
import yaml
from astropy.io import fits

import tsogrid
from tsogrid.cli.main import main
from tsogrid.errors import ConfigError
from tsogrid.simulate import simulate_stars

X, Y = np.array([40.0, 100.0, 60.0, 120.0, 30.0, 90.0]), np.array([30.0, 40.0, 80.0, 90.0, 110.0, 120.0])


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Thirty frames of six stars, the second of which pulsates."""
    folder = tmp_path_factory.mktemp("night")
    flux = np.tile(np.array([9e4, 8e4, 7e4, 6e4, 5e4, 4e4]), (30, 1))
    flux[:, 1] *= 1 + 0.1 * np.sin(np.arange(30) / 3)
    data = simulate_stars(30, (150, 160), X, Y, flux, fwhm=3, sky=100, read_noise=4, seed=2).data
    for number, image in enumerate(data):
        header = fits.Header({"JD": 2460000.5 + number / 1000, "EXPTIME": 0.0})
        fits.PrimaryHDU(image.astype(np.float32), header).writeto(folder / f"f{number:02d}.fits")
    (folder / "night.yaml").write_text(
        f"input: {{files: {folder}/f*.fits, gain: 1}}\nsources: {{detect: {{threshold: 8}}}}\n"
    )
    return folder


def said(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["detect", *map(str, arguments)])
    found = capsys.readouterr()
    return left.value.code or 0, found.out, found.err


def test_the_table(night, capsys):
    code, out, _ = said(capsys, night / "night.yaml")
    assert code == 0
    assert out.splitlines()[0].split() == ["name", "x", "y", "flux", "S/N", "FWHM", "verdict"]
    assert out.count(" good\n") == 6
    assert "f00.fits: 6 found, 6 good for comparison, FWHM 2.9" in out or "FWHM 3.0" in out


def test_a_trial_refuses_the_star_that_varies(night, capsys, tmp_path):
    code, out, _ = said(capsys, night / "night.yaml", "--trial", 30, "--json")
    assert code == 0
    stars = json.loads(out)["stars"]
    assert [star["accepted"] for star in stars] == [True, False, True, True, True, True]
    assert stars[1]["reason"].startswith("in the trial: ")
    assert stars[1]["scatter"] > 0.05
    assert max(star["scatter"] for star in stars if star["accepted"]) < 0.03
    assert stars[0]["ra"] is None


def test_files_that_can_be_used(night, capsys, tmp_path):
    code, out, _ = said(capsys, night, "-o", tmp_path / "refs.yaml", "--saturation", 6000)
    assert code == 0
    assert "saturated" in out
    written = yaml.safe_load((tmp_path / "refs.yaml").read_text())
    assert {star["role"] for star in written["sources"]} == {"reference"}
    assert len(written["sources"]) == len(tsogrid.Config.from_mapping(written).stars) == 6 - out.count("  saturated") == 3
    for name in ("all.csv", "all.ecsv"):
        assert said(capsys, night, "-o", tmp_path / name)[0] == 0
        config = tsogrid.Config.from_mapping(
            {"sources": str(tmp_path / name), "input": {"files": [str(night / "f*.fits")], "gain": 1}}
        )
        result = tsogrid.measure(config.input, config)
        assert result.sizes["source"] == 6
    code, _, err = said(capsys, night, "-o", tmp_path / "all.doc")
    assert code == 2
    assert "expected an output named .yaml, .csv or .ecsv" in err


def test_the_function(night):
    table = tsogrid.detect(str(night / "f*.fits"), reference_frame="f03.fits")
    assert table.attrs["frame"] == 3
    assert table.attrs["file"] == "f03.fits"
    np.testing.assert_allclose(table["x"], X, atol=0.1)
    with pytest.raises(ConfigError, match="unknown key; did you mean threshold"):
        tsogrid.detect(str(night), treshold=3)
    with pytest.raises(ConfigError, match="expected 20 frames or more"):
        tsogrid.detect(str(night), trial=5)
    nothing = tsogrid.detect(np.zeros((2, 40, 40)))
    assert len(nothing) == 0

"""tshirt's parameter files on the command line: wherever a configuration is taken, and `convert`."""

import shutil

import numpy as np
import pytest
import xarray as xr
import yaml

import tsogrid as package
from tests.compat.goldens import SMALL

STARS = [[72.0, 96.0], [130.0, 60.0], [51.0, 150.0], [149.0, 160.0]]


@pytest.fixture
def parameters(here):
    """A folder of frames, and a parameter file; keys given by name are added."""
    shutil.copytree(SMALL / "a", here / "frames")

    def write(name="kic.yaml", **more):
        content = {
            "procFiles": "frames/*.fits",
            "srcNameShort": "kic",
            "nightName": "n1",
            "refStarPos": STARS,
            "apRadius": 8,
            "backStart": 12,
            "backEnd": 18,
            "boxFindSize": 14,
        }
        (here / name).write_text(yaml.safe_dump(content | more))
        return name

    return write


def opened(path):
    with xr.open_zarr(path) as result:
        return result.load()


def test_a_parameter_file_runs_as_it_is(tsogrid, parameters, here):
    outcome = tsogrid("run", parameters(), "--cluster", "none")
    assert outcome.status == 0, outcome
    result = opened("kic_n1.zarr")
    assert result["flux"].shape == (2, 4, 1, 1)
    assert list(result["source"].values) == ["target", "ref1", "ref2", "ref3"]
    assert outcome.err.count("--set calibrate.nan=0") == 1
    again = tsogrid("run", parameters(), "--cluster", "none")
    assert again.status == 0
    assert "measured" not in again.out
    # Another configuration does not take the store of the first, as it does in tshirt.
    other = tsogrid("run", parameters(apRadius=7), "--cluster", "none")
    assert other.status == 1
    assert "radius" in other.err


def test_what_is_converted_is_the_same_run(tsogrid, parameters, here):
    name = parameters()
    made = tsogrid("convert", name, "--output", "night.yaml")
    assert made.status == 0, made
    assert "tsogrid run night.yaml" in made.out
    printed = tsogrid("convert", name)
    assert printed.out == (here / "night.yaml").read_text()
    assert "files: [frames/*.fits]" in printed.out
    assert tsogrid("run", name, "--cluster", "none").status == 0
    outcome = tsogrid("run", "night.yaml", "--cluster", "none")  # the same identity: it is complete
    assert outcome.status == 0, outcome
    assert "measured" not in outcome.out


def test_settings_over_a_parameter_file(tsogrid, parameters):
    outcome = tsogrid("run", parameters(), "--cluster", "none", "--set", "apertures.0.radius=5", "--store", "five.zarr")
    assert outcome.status == 0, outcome
    assert list(opened("five.zarr")["aperture"].values) == ["r5"]
    outcome = tsogrid("run", parameters(), "frames/a_001.fits", "--set", "apertures.0.radios=5")
    assert outcome.status == 2
    assert "did you mean radius?" in outcome.err


def test_inspect_and_dry_run_take_it(tsogrid, parameters, here):
    assert "2 of 220 × 200 pixels" in tsogrid("inspect", parameters()).out
    outcome = tsogrid("run", parameters(), "--dry-run")
    assert "r8" in outcome.out
    assert "annulus12-18-mean" in outcome.out
    assert not list(here.glob("*.zarr"))


def test_a_batch_goes_on_where_one_run_fails(tsogrid, parameters, here):
    name = parameters(procFiles=["frames/*.fits", "gone/*.fits", "frames/a_001.fits"], apRadius=[8, 8, 6])
    outcome = tsogrid("run", name, "--cluster", "none")
    assert outcome.status == 1
    assert "run 2 of 3: " in outcome.err
    assert "gone" in outcome.err
    assert "1 of 3 runs failed: 2" in outcome.err
    assert opened("kic_n1_1.zarr").sizes["time"] == 2
    assert list(opened("kic_n1_3.zarr")["aperture"].values) == ["r6"]
    assert not (here / "kic_n1_2.zarr").exists()
    assert outcome.err.count("--set calibrate.nan=0") == 1
    both = tsogrid("inspect", parameters("two.yaml", apRadius=[8, 6]))
    assert both.out.count("2 of 220 × 200 pixels") == 2
    assert "run 2 of 2" in both.out
    assert tsogrid("run", "two.yaml", "--dry-run").out.count("nothing was written") == 2


def test_a_key_that_is_set_is_not_advised(tsogrid, parameters):
    name = parameters()
    assert "--set calibrate.nan=0" in tsogrid("run", name, "--dry-run").err
    told = tsogrid("run", name, "--dry-run", "--set", "calibrate.nan=0", "--set", "input.time_stamp=start").err
    assert "--set" not in told


def test_a_batch_is_converted_into_numbered_files(tsogrid, parameters, here):
    name = parameters(apRadius=[8, 6])
    printed = tsogrid("convert", name).out
    assert "batch of 2 runs" in printed
    assert len(list(yaml.safe_load_all(printed))) == 2
    assert tsogrid("convert", name, "--output", "made.yaml").status == 0
    configs = [package.Config.from_yaml(here / f"made-{n}.yaml") for n in (1, 2)]
    assert [config.radii for config in configs] == [[8.0], [6.0]]
    assert len({config.output.store for config in configs}) == 2


def test_refusals(tsogrid, refused, parameters, write_config, here):
    refused("run", parameters(apRadus=3), status=2, words=["kic.yaml", "apRadus", "did you mean apRadius?"])
    refused("run", parameters(apRadius=[3, 4]), "--store", "x.zarr", status=2, words=["batch of 2 runs", "--store"])
    refused("convert", write_config(), status=2, words=["expected tshirt's parameters", "input"])
    refused("convert", "gone.yaml", status=2, words=["gone.yaml", "no such file"])
    refused("convert", parameters(), "--output", "no/made.yaml", words=["no/made.yaml", "could not be written"])
    (here / "made.yaml").write_text("")
    refused("convert", parameters(), "--output", "made.yaml", status=2, words=["made.yaml", "new files"])


def test_the_photometry_file(tsogrid, parameters):
    from astropy.io import fits

    tsogrid("run", parameters(), "--cluster", "none")
    outcome = tsogrid("export", "kic_n1.zarr", "--to", "fits", "--profile", "tshirt")
    assert outcome.status == 0, outcome
    with fits.open("kic_n1.tshirt.fits") as units:
        np.testing.assert_array_equal(units["PHOTOMETRY"].data, opened("kic_n1.zarr")["flux"].values[:, :, 0, 0])
    outcome = tsogrid("export", "kic_n1.zarr", "--to", "fits", "--profile", "tshirt", "--sky", "x")
    assert outcome.status == 2
    assert "annulus12-18-mean" in outcome.err

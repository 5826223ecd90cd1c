"""The page for users of LCO's microlensing pipeline runs as it stands: its commands and its Python, in its order."""

import re
import shlex
from pathlib import Path

import pytest

from tests.lco_fields import field, folder_of
from tsogrid.cli.main import main

PAGE = Path(__file__).parents[1] / "docs" / "lco.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "field", [field(1, 200, 70, mjd=61201.1 + 0.01 * each, photon_seed=each) for each in range(2)])
    (tmp_path / "field" / "reduction_config.yaml").write_text("target: {name: TARGET, RA: 268.4195, Dec: -29.3102}\n")
    names: dict = {}
    for language, body in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(body, PAGE.name, "exec"), names)
            continue
        for line in body.splitlines():
            arguments = shlex.split(line, comments=True)[1:]
            # Any star does for the page: the nearest of this made-up field is farther than 2 arcsec.
            arguments = [_near(each) for each in arguments] + ([] if "--cluster" in arguments else ["--cluster", "none"])
            with pytest.raises(SystemExit) as left:
                main(arguments)
            assert not left.value.code, (line, capsys.readouterr())
    assert len(names["curve"]) == 2
    assert names["image"].status == "OK"
    assert names["solution"].matched > 20
    assert (tmp_path / "copy.fits").exists()
    assert names["found"].dataset.flux.shape == names["data"].flux.shape
    assert len(names["steady"])
    for name in ("aperture_photometry.hdf5", "aperture_photometry.zarr", "products/00.fits", "lco_catalogues.zarr"):
        assert (tmp_path / "field" / name).exists()


def _near(argument):
    return "2" if argument.startswith("268.") else argument

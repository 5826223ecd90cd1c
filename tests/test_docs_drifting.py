"""The page on nights: its drifting night runs as it stands."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tsogrid.cli.main import main
from tsogrid.simulate.wandering import simulate_wandering

PAGE = Path(__file__).parents[1] / "docs" / "nights.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The frames carry no errors")
def test_the_drifting_night_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    section = PAGE.read_text(encoding="utf-8").partition("## Drifting nights")[2].partition("\n## ")[0]
    (language, configuration), (shell, commands) = FENCE.findall(section)
    assert (language, shell) == ("yaml", "sh")
    Path(configuration.split("\n", 1)[0].removeprefix("# ")).write_text(configuration, encoding="utf-8")
    night = simulate_wandering(16, (300, 320), stars=50, faintest=8e3, jump=0.15, cloudy=0.25, hot_pixels=60, seed=21)
    Path("night").mkdir()
    for index, data in enumerate(night.data):
        header = fits.Header([("DATE-OBS", f"2024-03-14T03:{index:02d}:00"), ("EXPTIME", 30.0)])
        fits.PrimaryHDU(np.rint(data).astype(np.uint16), header).writeto(f"night/{index:04d}.fits")
    printed = []
    for line in commands.splitlines():
        with pytest.raises(SystemExit) as left:
            main(shlex.split(line, comments=True)[1:])
        printed.append(capsys.readouterr())
        assert not left.value.code, (line, printed[-1])
    assert "register   auto: by " in printed[0].out
    assert "not_registered" in printed[1].out + printed[1].err
    result = tsogrid.open_result("drifting.zarr").compute()
    assert (np.isfinite(result.frame_scale.to_numpy()) == night.good).all()
    distance = np.hypot(result.x.to_numpy()[..., None] - night.x[:, None], result.y.to_numpy()[..., None] - night.y[:, None])
    assert distance[night.good].min(axis=2).max() < 0.2

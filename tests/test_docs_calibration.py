"""What the page on nights says of calibration frames runs as it stands, on a simulated night."""

import re
import shlex
from pathlib import Path

import pytest

import tsogrid
from tests.raw_nights import Camera, night
from tsogrid.cli.main import main

PAGE = Path(__file__).parents[1] / "docs" / "nights.md"


@pytest.mark.slow
def test_the_section_on_calibration_frames_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    places, _ = night(tmp_path / "night", Camera(), frames=12, wander=0.2, counts=(5, 3, 3))
    section = PAGE.read_text(encoding="utf-8").partition("## Calibration frames")[2].partition("\n## ")[0]
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert abs(places[0] - [64.2, 36.1]).max() < 1
    Path("night.yaml").write_text(text, encoding="utf-8")
    said = ""
    for command in [*re.findall(r"`tsogrid (\S+ night\.yaml[^`]*)`", section), "run night.yaml"]:
        with pytest.raises(SystemExit) as left:
            main(shlex.split(command))
        captured = capsys.readouterr()
        said += captured.out + captured.err
        assert not left.value.code, (command, said)
        assert Path("masters").exists() == (command == "run night.yaml")
    assert "flat from 3 raw frames" in said
    assert "calibration: bias of 5 frames" in said
    result = tsogrid.open_result("night.zarr")
    assert (result["flux"].mean() * 1.4 / 6e4) == pytest.approx(0.93, abs=0.03)
    assert "bias " in result.attrs["calibration"]
    result.tso.report("report.html")
    assert "expected files that match" not in Path("report.html").read_text(encoding="utf-8")

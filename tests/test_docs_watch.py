"""The parts of the page on nights that concern times and nights that go on run as they stand."""

import re
import shlex
import warnings
from pathlib import Path

import pytest

import tsogrid
from tests.engine.test_extension import night  # noqa: F401 (a fixture)
from tsogrid.cli.main import main
from tsogrid.errors import TsogridWarning

PAGE = Path(__file__).parents[1] / "docs" / "nights.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def parts(heading):
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1].partition("\n## ")[0]
    return FENCE.findall(text)


@pytest.mark.slow
def test_the_parts_on_times_and_watching_run(night, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").symlink_to(night)
    [(_, configuration)] = parts("Times")
    (tmp_path / "night.yaml").write_text(configuration, encoding="utf-8")
    config = tsogrid.Config.from_yaml(tmp_path / "night.yaml")
    assert config.input.site == "Lick Observatory"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TsogridWarning)  # no gain; and with the offset of the example the star is not up
        result = tsogrid.run(config)
    assert result["time"].attrs["scale"] == "tdb"
    (tmp_path / "night.yaml").write_text(configuration.replace("times.zarr", "night.zarr"), encoding="utf-8")
    for language, body in parts("While the night goes on"):
        assert language == "sh"
        for line in body.splitlines():
            with pytest.raises(SystemExit) as left:
                main(shlex.split(line, comments=True)[1:])
            assert not left.value.code, (line, capsys.readouterr())
    assert tsogrid.open_result("night.zarr").sizes["time"] == 12
    assert (tmp_path / "night.png").is_file()

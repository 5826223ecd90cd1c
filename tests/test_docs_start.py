"""The page for the first five minutes runs as it stands: its commands and its Python, in its order."""

import glob
import re
import shlex
from pathlib import Path

import matplotlib
import pytest

from tsogrid.cli.main import main

PAGE = Path(__file__).parents[1] / "docs" / "start.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_page_runs(tmp_path, monkeypatch, capsys):
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for language, body in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(body, PAGE.name, "exec"), names)
            continue
        for line in body.splitlines():
            program, *arguments = shlex.split(line, comments=True)
            if program != "tsogrid":
                continue
            arguments = [each for word in arguments for each in (sorted(glob.glob(word)) if "*" in word else [word])]
            if arguments[0] == "run" and "--dry-run" not in arguments:
                arguments += ["--cluster", "none"]
            with pytest.raises(SystemExit) as left:
                main(arguments)
            assert not left.value.code, (line, capsys.readouterr())
    assert names["result"].sizes["time"] == 300
    assert len(names["curve"]["flux"]) == 300
    for name in ("tsogrid-demo/lightcurve.png", "exposure.zarr/zarr.json", "exposure.html", "exposure.ecsv"):
        assert (tmp_path / name).stat().st_size > 0

"""The page on analysis runs as it stands: its commands, its configuration, its Python, in its order."""

import re
import shlex
from pathlib import Path

import matplotlib
import pytest

from tsogrid.cli.main import main

PAGE = Path(__file__).parents[1] / "docs" / "analysis.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_page_on_analysis_runs(tmp_path, monkeypatch, capsys):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for language, body in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "yaml":
            Path(body.split("\n", 1)[0].removeprefix("# ")).write_text(body, encoding="utf-8")
        elif language == "python":
            exec(compile(body, PAGE.name, "exec"), names)
        else:
            for line in body.splitlines():
                arguments = shlex.split(line, comments=True)[1:]
                if arguments == ["demo"]:
                    arguments += ["--frames", "40"]
                with pytest.raises(SystemExit) as left:
                    main(arguments)
                assert not left.value.code, (line, capsys.readouterr())
    from matplotlib import pyplot

    assert len(pyplot.get_fignums()) >= 3
    pyplot.close("all")
    assert (tmp_path / "binned.ecsv").is_file()
    for page in ("night.html", "tsogrid-demo/report.html"):
        assert (tmp_path / page).read_text(encoding="utf-8").count("<img ") >= 10
    assert (tmp_path / "lightcurve.pdf").is_file()
    assert names["curve"].attrs["time_reference"] == 2460383
    assert names["curve"]["used"].all()
    told = capsys.readouterr().out
    assert "over the reference stars" in told
    assert "unknown: nothing" in told

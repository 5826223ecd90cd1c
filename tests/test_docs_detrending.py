"""The page on detrending runs as it stands; configurations are written before the commands that read them."""

import re
import shlex
from pathlib import Path

import matplotlib
import pytest
from astropy.table import QTable

from tsogrid.cli.main import main

PAGE = Path(__file__).parents[1] / "docs" / "detrending.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_page_on_detrending_runs(tmp_path, monkeypatch, capsys):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    found = FENCE.findall(PAGE.read_text(encoding="utf-8"))
    for body in (body for language, body in found if language == "yaml"):
        Path(body.split("\n", 1)[0].removeprefix("# ")).write_text(body, encoding="utf-8")
    for language, body in found:
        if language == "python":
            exec(compile(body, PAGE.name, "exec"), names)
        elif language == "sh":
            for line in body.splitlines():
                with pytest.raises(SystemExit) as left:
                    main(shlex.split(line, comments=True)[1:])
                assert not left.value.code, (line, capsys.readouterr())
    from matplotlib import pyplot

    assert len(pyplot.get_fignums()) >= 1
    pyplot.close("all")
    curve = names["curve"]
    assert abs(float(curve["depth"]) - 0.01) < 5 * float(curve["depth_err"])
    assert float(curve["depth_err"]) < 0.002
    assert names["more"].attrs["selection"].startswith("the least BIC of")
    assert len(QTable.read(tmp_path / "flat.ecsv")) == 80
    assert "nothing is known of a transit" in capsys.readouterr().err

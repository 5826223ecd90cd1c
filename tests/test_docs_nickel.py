"""The page for users of the Nickel telescope runs as it stands: its commands and its Python, in its order."""

import re
import shlex
from pathlib import Path

import pytest

from tests.survey.nights import logger_restored, write_night
from tsogrid.cli.main import main

PAGE = Path(__file__).parents[1] / "docs" / "nickel.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {"pipnick_photometry": ["nickel"], "tsogrid": []}


@pytest.mark.slow
def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_night(tmp_path / "2024-06-26")
    write_night(tmp_path / "MAINDIR")
    names: dict = {}
    with logger_restored():
        for language, body in FENCE.findall(PAGE.read_text(encoding="utf-8")):
            if language == "python":
                exec(compile(body, PAGE.name, "exec"), names)
                continue
            for line in body.splitlines():
                program, *arguments = shlex.split(line, comments=True)
                arguments = KINDS[program] + arguments
                arguments += [] if "--cluster" in arguments else ["--cluster", "none"]
                with pytest.raises(SystemExit) as left:
                    main(arguments)
                assert not left.value.code, (line, capsys.readouterr())
    assert [path.name for path in names["paths"]] == ["d1031_photsrcs.csv"]
    assert len(names["bright"]) > 3
    assert list((tmp_path / "2024-06-26" / "photometric" / "plots").rglob("*.png"))
    assert (tmp_path / "MAINDIR" / "photometric" / "unconsolidated" / "SA110_R" / "d1031_photsrcs.csv").exists()
    assert (tmp_path / "photometry.log").exists()

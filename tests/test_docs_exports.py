"""The page on exports runs as it stands: its commands and its Python, in its order."""

import re
import shlex
from pathlib import Path

import pytest

from tsogrid.cli.main import main
from tsogrid.export import FORMS

PAGE = Path(__file__).parents[1] / "docs" / "exports.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_form_is_in_the_table():
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]*)\|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {(to, profile.strip(" `") or None) for formats, profile in rows for to in re.findall(r"`(\w+)`", formats)}
    assert named - {("--to", "--profile")} == set(FORMS)


@pytest.mark.slow
def test_the_page_on_exports_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for language, body in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(body, PAGE.name, "exec"), names)
            continue
        for line in body.splitlines():
            arguments = shlex.split(line, comments=True)[1:]
            if arguments[0] == "run":
                arguments += ["--cluster", "none"]
            with pytest.raises(SystemExit) as left:
                main(arguments)
            assert not left.value.code, (line, capsys.readouterr())
    for name in ("everything", "stage3"):
        names[name].close()
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} == {
        ".yaml", ".ecsv", ".csv", ".nc", ".h5", ".fits", ".txt", ".tbl", ".log",
    }  # fmt: skip
    assert len(names["measured"]) == len(names["curve"]) == len(names["table"]) == 20
    assert "aperture r5" in str(names["stage3"].attrs["choice"]) or names["stage3"].attrs["aperture"] == "r5"

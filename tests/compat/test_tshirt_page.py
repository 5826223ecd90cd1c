"""docs/tshirt.md, walked as a user walks it: every command runs, in its order, and the Python after them."""

import re
import shlex
from pathlib import Path

import pytest

from tsogrid.cli.main import main
from tsogrid.compat.tshirt import convert
from tsogrid.compat.tshirt_keys import ALIASES, PARAMETERS
from tsogrid.config_file import load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tshirt.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_block_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ran = []
    for language, body in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "yaml":
            name = re.match(r"# (\S+\.yaml)\n", body).group(1)
            (tmp_path / name).write_text(body)
            run = convert(load(tmp_path / name), tmp_path / name).runs[0]
            assert len(run.config.sources) == 5
        elif language == "python":
            exec(compile(body, "docs/tshirt.md", "exec"), {})
        for line in body.splitlines() if language == "sh" else []:
            _, *words = shlex.split(line, comments=True)
            with pytest.raises(SystemExit) as left:
                main([*words, "--cluster", "none"] if words[0] == "run" else words)
            captured = capsys.readouterr()
            assert left.value.code in (0, None), f"{line}\n{captured.err}"
            ran.append((words[0], captured.out))
    assert [name for name, _ in ran].count("run") == 4
    assert "measured" not in next(out for name, out in reversed(ran[:-1]) if name == "run")  # night.yaml is the same run
    assert {"kic1255_UT2024_03_14.zarr", "kic1255_UT2024_03_14.tshirt.fits", "night.yaml", "other.zarr"} <= {
        each.name for each in tmp_path.iterdir()
    }


def test_every_parameter_has_its_row():
    named = set(re.findall(r"`([\w-]+)", PAGE.read_text(encoding="utf-8")))
    assert PARAMETERS.keys() | ALIASES.keys() <= named

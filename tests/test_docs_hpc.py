"""The commands of docs/hpc.md, one after another, in a folder with a night of its own and a batch system that is played."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from tests.test_docs import ROOT, blocks
from tsogrid.cli.main import main
from tsogrid.config import Config
from tsogrid.io.manifest import read_manifest

PAGE = ROOT / "docs" / "hpc.md"


@pytest.fixture
def night(exposure, tmp_path, monkeypatch):
    """A working folder with night.yaml, whose cluster is the page's own."""
    section = next(yaml.safe_load(body) for body in blocks(PAGE, "yaml") if "kind: slurm" in body)
    content = {"input": {"files": list(exposure.files)}, "center": {"search_box": 11, "fit_box": 9}, **section}
    (tmp_path / "night.yaml").write_text(yaml.safe_dump(content))
    program, shell = tmp_path / "bin" / "sbatch", shutil.which("sh")
    program.parent.mkdir()
    program.write_text(f"#!{shell}\necho Submitted batch job 7\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # of bokeh
def test_the_commands_run(night, capsys):
    pytest.importorskip("bokeh")
    lines = [line.partition(" # ")[0].strip() for body in blocks(PAGE, "sh") for line in body.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("tsogrid ")]
    assert [words[0] for words in commands] == ["run", "inspect", "submit", "submit", "status", "run"]
    # Nobody runs the job that was submitted: the last command measures, and status comes after it.
    for words in [*commands[:4], commands[5], commands[4]]:
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 0, (words, capsys.readouterr())
    assert "night.zarr: complete" in capsys.readouterr().out
    assert "measure_and_time" in Path("report.html").read_text()
    events = [json.loads(line)["event"] for line in Path("night.jsonl").read_text().splitlines()]
    assert (events[0], events[-1]) == ("command", "end")
    assert read_manifest(Path("night.manifest"))[1] == ""
    script = Path("night.jobs", "night.sh").read_text()
    assert "source ~/tsogrid/bin/activate" in script


def test_what_it_names_is_there():
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"deploy/[\w./-]+", text):
        assert (ROOT / name.rstrip(".")).exists(), name
    for kind in ("slurm", "kubernetes", "address"):
        assert kind in text
    section = Config.from_mapping({"cluster": "slurm"}).cluster
    assert section.worker_timeout == 86400  # "a day for queues"
    assert section.security == "temporary"

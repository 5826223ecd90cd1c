"""The page on catalogues and detection runs as it stands: its Python, its files and its commands, in its order."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

import tsogrid
from tsogrid.cli.main import main

PAGE = Path(__file__).parents[1] / "docs" / "forced.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for language, body in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(body, PAGE.name, "exec"), names)
        elif language == "yaml":
            store = Path(yaml.safe_load(body)["output"]["store"])
            store.with_suffix(".yaml").write_text(body)
        else:
            for line in body.splitlines():
                arguments = shlex.split(line, comments=True)[1:]
                arguments += ["--cluster", "none"] if arguments[0] == "run" else []
                with pytest.raises(SystemExit) as left:
                    main(arguments)
                assert not left.value.code, (line, capsys.readouterr())
    assert names["result"].sizes["source"] == 40
    assert float(names["one"].mean()) > 0.9 * names["flux"][7] * (1 - 0.5 ** (4 * (3 / 3) ** 2))
    assert names["table"]["accepted"].sum() > 10
    written = yaml.safe_load(Path("references.yaml").read_text())["sources"]
    assert len(written) > 10
    assert {star["role"] for star in written} == {"reference"}
    assert tsogrid.Config.from_mapping({"sources": "all.ecsv"}).sources
    found = tsogrid.run(tsogrid.Config.from_yaml("found.yaml", {"cluster.kind": "none"}))
    assert found["role"].values.tolist() == ["target"] + 10 * ["reference"]
    found.close()

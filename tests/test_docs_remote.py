"""The page on remote frames runs as it stands, against servers on this machine that stand for those it names."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

import tsogrid
from tests.remote_servers import fill, nginx, object_store
from tsogrid.cli.main import main

PAGE = Path(__file__).parents[1] / "docs" / "remote.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def servers(exposure, tmp_path, monkeypatch):
    """A web server and an object store, both with the exposure; gives the address of the first."""
    night = tmp_path / "root" / "night"
    night.mkdir(parents=True)
    for path in exposure.files:
        (night / Path(path).name).write_bytes(Path(path).read_bytes())
    for name, value in (("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    work = tmp_path / "nginx"
    work.mkdir()
    with nginx(tmp_path / "root", work) as web, object_store() as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL", store)
        fill(store, "public-bucket", {f"night/{path.name}": path.read_bytes() for path in night.iterdir()}, public=True)
        yield web.url


@pytest.mark.slow
def test_the_page_runs(servers, exposure, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for language, body in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        body = body.replace("https://archive.example", servers)
        if language == "python":
            exec(compile(body, PAGE.name, "exec"), names)
        elif language == "yaml":
            content = yaml.safe_load(body)
            tsogrid.Config.from_mapping(content)
            if "output" in content:
                Path(content["output"]["store"]).with_suffix(".yaml").write_text(body)
        elif "pip" not in body:
            for line in body.splitlines():
                arguments = shlex.split(line)[1:]
                arguments += ["--cluster", "none"] if arguments[0] == "run" else []
                with pytest.raises(SystemExit) as left:
                    main(arguments)
                assert not left.value.code, (line, capsys.readouterr())
    here = tsogrid.open_frames(list(exposure.files))["data"].isel(y=slice(10, 40), x=slice(20, 50))
    np.testing.assert_array_equal(names["stamp"].values, here.values)
    assert tsogrid.open_result("night.zarr").sizes["time"] == here.sizes["time"]

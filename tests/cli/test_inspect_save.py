"""``tsogrid inspect --save``: a manifest, from this process or from workers, that a run then opens its frames by."""

import json
import time

import numpy as np
import pytest
import yaml

import tsogrid as package
from tsogrid.io.manifest import read_manifest


@pytest.fixture
def settled(night_files):
    time.sleep(0.08)  # what has just been written is not kept: it may change again without a sign
    return night_files


def test_a_manifest_is_written_and_used(tsogrid, settled, tmp_path):
    names = [str(path) for path in settled]
    plain = tsogrid("inspect", *names, "--json")
    outcome = tsogrid("inspect", *names, "--json", "--save", str(tmp_path / "night.npz"))
    assert outcome.status == 0
    assert json.loads(outcome.out) == json.loads(plain.out)
    manifest, note = read_manifest(tmp_path / "night.npz")
    assert (manifest.paths, note) == (names, "")
    x, y = 20.0, 15.0
    content = {"input": {"files": names}, "sources": [{"name": "s", "x": x, "y": y}], "cluster": "none"}
    (tmp_path / "night.yaml").write_text(yaml.safe_dump(content))
    first = tsogrid("run", str(tmp_path / "night.yaml"))
    assert first.status == 0, first.err
    again = tsogrid("run", str(tmp_path / "night.yaml"), "--set", f"input.manifest={tmp_path / 'night.npz'}")
    assert "is complete: nothing to do" in again.out + again.err  # the same identity
    with_manifest = ["--set", f"input.manifest={tmp_path / 'night.npz'}", "--store", str(tmp_path / "b.zarr")]
    assert tsogrid("run", str(tmp_path / "night.yaml"), *with_manifest).status == 0
    found, other = (package.open_result(tmp_path / f"{name}.zarr") for name in ("night", "b"))
    for name in found.variables:
        np.testing.assert_array_equal(found[name], other[name])


def test_wrong_usage(tsogrid, settled, tmp_path):
    names = [str(path) for path in settled]
    assert tsogrid("inspect", *names, "--cluster", "local").status == 2
    outcome = tsogrid("inspect", *names, "--save", str(tmp_path / "no" / "m.npz"))
    assert outcome.status == 2
    assert "expected a folder that can be written" in outcome.err
    outcome = tsogrid("inspect", *names, "--save", names[0])
    assert outcome.status == 1
    assert "expected a manifest" in outcome.err


@pytest.mark.slow
def test_workers_read_the_headers(tsogrid, settled, tmp_path, monkeypatch):
    from tsogrid.engine import manifests

    monkeypatch.setattr(manifests, "FILES_A_TASK", 2)
    names = [str(path) for path in settled]
    save = str(tmp_path / "night.npz")
    outcome = tsogrid("inspect", *names, "--save", save, "--cluster", "local", "--workers", "2")
    assert outcome.status == 0, outcome.err
    with_workers = read_manifest(tmp_path / "night.npz")[0]
    assert sorted(with_workers.paths) == sorted(names)
    tsogrid("inspect", *names, "--save", str(tmp_path / "alone.npz"))
    alone = read_manifest(tmp_path / "alone.npz")[0]
    for name in names:
        assert with_workers.file(name).hash == alone.file(name).hash

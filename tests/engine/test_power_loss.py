"""What is marked is on the disk: the order of writing, naming, flushing and marking, and a store after a cut of power."""

import os
import re
import shutil

import pytest

import tsogrid
from tests.engine.test_store import assert_same_bytes, config_for
from tsogrid.engine import store


@pytest.fixture
def events(monkeypatch):
    """What is named and what is flushed, in order."""
    seen = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def noted(move):
        def moved(source, target, **options):
            move(source, target, **options)
            seen.append(("named", os.fspath(target)))

        return moved

    def flushed(handle):
        fsync(handle)
        seen.append(("flushed", os.readlink(f"/proc/self/fd/{handle}")))

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", noted(replace))
    monkeypatch.setattr(os, "rename", noted(rename))
    return seen


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="names of open files are looked up in /proc")
def test_a_mark_is_written_after_its_chunks_are_on_the_disk(exposure, tmp_path, events):
    where = tmp_path / "a.zarr"
    tsogrid.run(config_for(exposure.files, where))
    marks = [place for place, (what, path) in enumerate(events) if what == "named" and "/progress/done/c." in path]
    assert len(marks) == 8
    for mark in marks:
        path = events[mark][1]
        shard = path.rpartition(".")[2]
        chunks = [
            place
            for place, (what, name) in enumerate(events)
            if what == "named" and re.search(rf"a\.zarr/\w+/c\.{shard}(\.0)*$", name)
        ]
        assert len(chunks) > 20
        for chunk in chunks:
            name = events[chunk][1]
            for needed in (name, os.path.dirname(name)):
                assert ("flushed", needed) in events[chunk + 1 : mark], needed
        after = events[mark + 1 :]
        assert ("flushed", path) in after
        assert ("flushed", os.path.dirname(path)) in after
        following = min((other for other in marks if other > mark), default=len(events))
        assert ("flushed", os.path.dirname(path)) in events[mark + 1 : following]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="names of open files are looked up in /proc")
def test_a_store_has_its_name_after_all_of_it_is_on_the_disk(exposure, tmp_path, events):
    where = tmp_path / "a.zarr"
    config = config_for(exposure.files, where)
    tsogrid.run(config)
    named = events.index(("named", str(where)))
    making = tmp_path / ".a.zarr.making"
    flushed = {path for what, path in events[:named] if what == "flushed"}
    laid_out = list(where.rglob("zarr.json"))
    assert len(laid_out) > 20
    for path in laid_out:
        assert str(making / path.relative_to(where)) in flushed
    assert str(making) in flushed
    assert ("flushed", str(tmp_path)) in events[named:]


def test_after_a_cut_of_power_the_same_command_goes_on(exposure, tmp_path):
    """What was not flushed may have its name and be empty: times, notes, chunks without a mark, a mark under way."""
    config = config_for(exposure.files, tmp_path / "a.zarr")
    tsogrid.run(config)
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "whole.zarr")
    where = tmp_path / "a.zarr"
    for path in where.glob("progress/blocks/c.*"):
        path.write_bytes(b"")
    (where / "progress" / "run.json").write_bytes(b"")
    for shard in (2, 7):  # the last one is shorter than its chunk
        for path in where.glob(f"*/c.{shard}*"):
            path.write_bytes(b"")
    (where / "progress" / "done" / "c.0.2").unlink()
    (where / "progress" / "done" / "c.0.7").write_bytes(b"")
    (where / "flux" / f"c.2.0.0.0.{'0' * 32}.partial").write_bytes(b"half")
    assert store.existing(where) is not None
    tsogrid.run(config)
    assert_same_bytes(where, tmp_path / "whole.zarr")
    assert store.pending(store.existing(where), 0) == []
    from tsogrid.engine.status import status

    assert status(where).state == "complete"

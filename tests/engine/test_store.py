"""The store: laid out first, written in whole shards, marked after the flush, checked when read."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr

import tsogrid
from tsogrid.engine import store
from tsogrid.engine.file_lock import lock_path
from tsogrid.engine.identity import difference
from tsogrid.engine.lock import locked
from tsogrid.engine.run import Silent, measure_missing, prepared
from tsogrid.errors import IdentityError, StoreError, TsogridWarning

# A store of the first segment alone is a store all the same.
pytestmark = pytest.mark.filterwarnings("ignore:segment:tsogrid.errors.TsogridWarning")


def config_for(files, path, **sections):
    center = {"search_box": 15, "fit_box": 9} | sections.pop("center", {})
    content = {
        "input": {"files": [str(file) for file in files]},
        "output": {"store": str(path), "block": 4},
        "cluster": {"kind": "none"},
        "center": center,
        **sections,
    }
    return tsogrid.Config.from_mapping(content)


@pytest.fixture
def made(exposure, tmp_path):
    """A plan and its store, laid out and empty."""
    _, plan = prepared(config_for(exposure.files, tmp_path / "a.zarr"))
    return plan, store.prepare(tmp_path / "a.zarr", plan)


def test_a_store_is_laid_out_before_work_begins(made):
    _, target = made
    assert (target.n_shards, target.shard, target.block) == (8, 4, 4)
    assert store.pending(target, 0) == list(range(8))
    with pytest.warns(TsogridWarning, match="8 of 8 shards are not measured"):
        result = store.open_result(target.path)
    assert result.flux.dims == ("time", "source", "aperture", "sky")
    assert np.isnan(result.flux).all()


def test_shards_are_marked_one_by_one(made):
    plan, target = made
    for shard in (5, 2):
        blocks = [plan.measure(start, stop) for start, stop in target.blocks(shard)]
        store.write(target, 0, shard, blocks, np.zeros((len(blocks), 3)))
    assert store.pending(target, 0) == [0, 1, 3, 4, 6, 7]
    flux = xr.open_zarr(target.path).flux
    assert np.isfinite(flux[8:11]).all()  # frame 11 is bad
    assert np.isnan(flux[:8]).all()


def test_a_misaligned_block_is_refused(made):
    plan, target = made
    with pytest.raises(StoreError, match="holds frames 0 … 3, its blocks hold 3"):
        store.write(target, 0, 0, [plan.measure(0, 3)])


def test_the_result_reads_back_as_it_was_measured(made):
    plan, target = made
    measure_missing(plan, target, None, Silent())
    stored = store.open_result(target.path).load()
    lazy = tsogrid.measure(tsogrid.open_frames(plan.config.input), plan.config).compute()
    for name in lazy.data_vars:
        assert stored[name].to_numpy().tobytes() == lazy[name].to_numpy().tobytes(), name
        assert stored[name].attrs == lazy[name].attrs
    for name in lazy.coords:
        assert stored[name].to_numpy().tolist() == pytest.approx(lazy[name].to_numpy().tolist(), nan_ok=True) or (
            stored[name].dtype.kind not in "fi"
        )
        assert stored[name].attrs == lazy[name].attrs
    assert json.loads(stored.attrs["config"])["center"]["fit_box"] == 9


def test_every_number_has_a_unit_and_a_meaning(made):
    _, target = made
    for name, variable in xr.open_zarr(target.path).data_vars.items():
        assert variable.attrs["units"], name
        assert variable.attrs["long_name"], name


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damage_is_found_and_measured_again(exposure, tmp_path, damage):
    config = config_for(exposure.files, tmp_path / "a.zarr")
    tsogrid.run(config)
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "whole.zarr")
    chunk = tmp_path / "a.zarr" / "flux" / "c.3.0.0.0"
    content = bytearray(chunk.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 4
        chunk.write_bytes(content)
    elif damage == "truncate":
        chunk.write_bytes(content[:-7])
    else:
        chunk.unlink()
    target = store.existing(tmp_path / "a.zarr")
    lines = store.verify(target, prepared(config)[1])
    assert len(lines) == 1
    assert "flux frames 12 … 15" in lines[0]
    assert store.pending(target, 0) == [3]
    tsogrid.run(config)
    assert_same_bytes(tmp_path / "a.zarr", tmp_path / "whole.zarr")


def assert_same_bytes(first, second):
    """Two stores hold the same files with the same bytes, beside what progress/ says of times."""
    files = [
        {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file() and "progress" not in path.parts}
        for root in (first, second)
    ]
    assert files[0].keys() == files[1].keys()
    for name in files[0]:
        assert files[0][name].read_bytes() == files[1][name].read_bytes(), name


def test_another_identity_is_refused_with_the_difference(exposure, tmp_path):
    tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a.zarr").rglob("*")}
    with pytest.raises(IdentityError, match=r"config.center.fit_box: 9 in the store, 11 now"):
        tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", center={"fit_box": 11}))
    with pytest.raises(IdentityError, match="input files gone: small-seg002"):
        tsogrid.run(config_for(exposure.files[:1], tmp_path / "a.zarr"))
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "a.zarr").rglob("*")}
    tsogrid.run(config_for(exposure.files[:1], tmp_path / "a.zarr"), mode="overwrite")
    assert tsogrid.open_result(tmp_path / "a.zarr").sizes["time"] == 15


def test_how_it_is_shown_may_change_later(exposure, tmp_path):
    first = tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr")).load()
    again = tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", plot={"time_reference": 2460000}))
    assert again.attrs.pop("time_reference") == 2460000
    xr.testing.assert_identical(again.load(), first)
    kept = tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr"))
    assert kept.attrs["time_reference"] == 2460000
    assert not list((tmp_path / "a.zarr").glob("*.part"))


def test_resume_needs_a_store(exposure, tmp_path):
    with pytest.raises(StoreError, match="--resume expects a store"):
        tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr"), mode="resume")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_store_is_left_alone(exposure, tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "thesis.tex").write_text("years of work")
    for mode in ("run", "overwrite", "extend"):
        with pytest.raises(StoreError, match="expected a tsogrid store or nothing"):
            tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr"), mode=mode)
    assert (tmp_path / "a.zarr" / "thesis.tex").read_text() == "years of work"
    with pytest.raises(StoreError, match="found nothing"):
        tsogrid.open_result(tmp_path / "b.zarr")


@pytest.mark.parametrize("position", ["frame", "median"])
def test_extend_equals_a_fresh_run(exposure, tmp_path, position):
    center = {"position": position}
    tsogrid.run(config_for(exposure.files[:1], tmp_path / "a.zarr", center=center))
    with pytest.raises(IdentityError, match="--extend"):
        tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", center=center))
    tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", center=center), mode="extend")
    tsogrid.run(config_for(exposure.files, tmp_path / "b.zarr", center=center))
    assert_same_bytes(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_extend_measures_anew_what_a_filter_along_time_had_not_seen(exposure, tmp_path):
    calibrate = {"outliers": {"window": 9}}
    tsogrid.run(config_for(exposure.files[:1], tmp_path / "a.zarr", calibrate=calibrate))
    tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", calibrate=calibrate), mode="extend")
    tsogrid.run(config_for(exposure.files, tmp_path / "b.zarr", calibrate=calibrate))
    assert_same_bytes(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_extend_measures_only_what_is_new(exposure, tmp_path):
    tsogrid.run(config_for(exposure.files[:1], tmp_path / "a.zarr"))

    class Count(Silent):
        frames = 0

        def advance(self, frames):
            self.frames += frames

    count = Count()
    tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr"), mode="extend", progress=count)
    assert count.frames == 30 - 12  # three whole shards of four frames were there


def test_extend_measures_files_that_come_before(exposure, tmp_path):
    tsogrid.run(config_for(exposure.files[1:], tmp_path / "a.zarr"))
    tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr"), mode="extend")
    tsogrid.run(config_for(exposure.files, tmp_path / "b.zarr"))
    assert_same_bytes(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_two_runs_on_one_store(tmp_path):
    with locked(tmp_path / "a.zarr"):
        with pytest.raises(StoreError, match="another run is writing"), locked(tmp_path / "a.zarr"):
            pass
        assert lock_path(tmp_path / "a.zarr").exists()
    assert not lock_path(tmp_path / "a.zarr").exists()


def test_a_dead_runs_lock_is_taken_over(tmp_path):
    path = lock_path(tmp_path / "a.zarr")
    with locked(tmp_path / "a.zarr"):
        owner = json.loads(path.read_text())
    path.write_text(json.dumps(owner | {"born": owner["born"] - 1000}))  # our number, used by an older process
    with locked(tmp_path / "a.zarr"):
        assert json.loads(path.read_text())["born"] == owner["born"]


def test_a_store_that_died_between_two_renames_is_found(exposure, tmp_path):
    config = config_for(exposure.files, tmp_path / "a.zarr")
    tsogrid.run(config)
    (tmp_path / "a.zarr").rename(tmp_path / ".a.zarr.old")
    (tmp_path / ".a.zarr.making").mkdir()
    assert tsogrid.run(config).sizes["time"] == 30


def test_difference_names_the_place():
    assert difference({"a": {"b": 1}}, {"a": {"b": 2}}) == ["a.b: 1 in the store, 2 now"]
    assert difference({"a": [1]}, {"a": [1]}) == []


def test_inputs_that_share_a_name_are_told_apart():
    old = [{"name": "f0.fits", "size": 1, "hash": "a"}, {"name": "f0.fits", "size": 1, "hash": "b"}]
    new = [{"name": "f0.fits", "size": 1, "hash": "c"}, {"name": "f0.fits", "size": 1, "hash": "b"}]
    assert difference({"inputs": old}, {"inputs": new}) == ["input files changed: f0.fits"]
    assert difference({"inputs": old}, {"inputs": old[::-1]}) == [
        "input files in another order, or one of them more than once"
    ]


def test_edited_positions_are_another_run(exposure, tmp_path):
    table = tmp_path / "positions.csv"
    center = {"position": "file", "position_file": str(table), "method": "none"}
    config = config_for(exposure.files, tmp_path / "a.zarr", center=center)
    table.write_text("\n".join(["frame,x,y", *(f"{i},64,24" for i in range(30))]))
    tsogrid.run(config)
    table.write_text("\n".join(["frame,x,y", *(f"{i},62,24" for i in range(30))]))
    with pytest.raises(IdentityError, match="positions"):
        tsogrid.run(config)


def test_a_missing_chunk_of_the_first_pass_is_found(exposure, tmp_path):
    config = config_for(exposure.files, tmp_path / "a.zarr", center={"position": "median"})
    tsogrid.run(config)
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "whole.zarr")
    for mark in (tmp_path / "a.zarr" / "progress" / "done").glob("c.1.*"):
        mark.unlink()
    (tmp_path / "a.zarr" / "x_fit" / "c.2.0").unlink()
    (tmp_path / "a.zarr" / "progress" / "done" / "c.0.5").write_bytes(b"")  # and a mark that is torn
    tsogrid.run(config)
    assert_same_bytes(tmp_path / "a.zarr", tmp_path / "whole.zarr")


def test_what_a_replaced_store_left_behind_does_not_come_back(exposure, tmp_path):
    config = config_for(exposure.files, tmp_path / "a.zarr")
    tsogrid.run(config)
    shutil.copytree(tmp_path / "a.zarr", tmp_path / ".a.zarr.old")
    tsogrid.run(config)
    assert not (tmp_path / ".a.zarr.old").exists()


def test_a_link_to_a_store_stays_a_link(exposure, tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "link.zarr").symlink_to(tmp_path / "scratch" / "a.zarr")
    for mode in ("run", "overwrite", "overwrite"):
        tsogrid.run(config_for(exposure.files, tmp_path / "link.zarr"), mode=mode)
    assert (tmp_path / "link.zarr").is_symlink()
    assert (tmp_path / "scratch" / "a.zarr" / "zarr.json").exists()

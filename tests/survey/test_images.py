"""Images as tasks, their catalogues as one ragged store: what it holds, in which order, and what becomes of bad images."""

import json
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.survey.images import TextTask, tree, write_images
from tsogrid.config import NoCluster
from tsogrid.errors import IdentityError, InputError, RunError, StoreError
from tsogrid.flags import ImageFlag
from tsogrid.survey import catalogue_of, measure_images, open_catalogues, ragged, to_dataframe
from tsogrid.survey.catalogue import Catalogue, checked

HERE = NoCluster()


def measured(paths, store, factor=1.0, **options):
    return measure_images(paths, TextTask(factor), store, identity={"factor": factor}, cluster=HERE, **options)


@pytest.fixture
def few(tmp_path):
    return write_images(tmp_path, [3, 0, 5, 2])


def test_rows_stand_in_the_order_of_the_images(few, tmp_path):
    found = measured(few[::-1], tmp_path / "c.zarr", words={"x": ("pixel", "position")}).load()
    assert found["row_size"].values.tolist() == [2, 5, 0, 3]
    assert found["row_size"].attrs["sample_dimension"] == "row"
    assert found["x"].attrs == {"units": "pixel", "long_name": "position"}
    assert found["path"].values.tolist() == ["d1003.txt", "d1002.txt", "d1001.txt", "d1000.txt"]
    assert found["image_flags"].values.tolist() == [0, 0, int(ImageFlag.NO_STARS), 0]
    for path in few:
        of_one, wanted = catalogue_of(found, os.path.basename(path)), checked(TextTask()(path))
        assert of_one.image == wanted.image
        assert (of_one.flags, of_one.message) == (wanted.flags, wanted.message)
        for name, values in wanted.columns.items():
            np.testing.assert_array_equal(of_one.columns[name], values)
            assert of_one.columns[name].dtype.kind == values.dtype.kind
    table = to_dataframe(found)
    assert len(table) == 10
    assert table["time"].tolist() == [60002.0] * 2 + [60005.0] * 5 + [60003.0] * 3
    assert table["name"].iloc[2] == "s5-0"
    assert "filter" not in to_dataframe(found, facts=False)
    with pytest.raises(InputError, match="expected the path of one of 4 images"):
        catalogue_of(found, "d9.txt")


@settings(max_examples=8)
@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=8), more=st.lists(st.integers(0, 9), max_size=4))
def test_any_raggedness_and_any_increment_give_what_one_run_gives(tmp_path_factory, sizes, more):
    folder = tmp_path_factory.mktemp("ragged")
    before, ragged.ROWS = ragged.ROWS, 4
    try:
        paths = write_images(folder, sizes + more)
        measured(paths[: len(sizes)], folder / "a.zarr").close()
        measured(paths, folder / "a.zarr").close()
        found = measured(paths, folder / "b.zarr").load()
    finally:
        ragged.ROWS = before
    assert tree(folder / "a.zarr") == tree(folder / "b.zarr")
    assert found["row_size"].values.tolist() == sizes + more
    expected = [TextTask()(path).columns["x"] for path in paths]
    np.testing.assert_array_equal(found["x"].values, np.concatenate(expected))


def test_bad_images_are_named_and_set_aside_and_tried_again(tmp_path):
    paths = write_images(tmp_path, [3, "raise", 2, "unreadable"])
    paths.append(str(tmp_path / "missing.txt"))
    with pytest.raises(
        RunError, match=r"3 of 5 images .*\n.*d1001.txt: ValueError: a defect of two lines\n.*d1003.*\n.*missing"
    ):
        measured(paths, tmp_path / "c.zarr")
    found = open_catalogues(tmp_path / "c.zarr").load()
    assert found["row_size"].values.tolist() == [3, 0, 2, 0, 0]
    expected = [0, ImageFlag.FAILED, 0, ImageFlag.UNREADABLE, ImageFlag.UNREADABLE]
    assert found["image_flags"].values.tolist() == [int(flag) for flag in expected]
    assert np.isnan(found["time"].values[1])
    assert found["filter"].values[3] == ""
    told = []
    for path, content in zip(paths, [3, 1, 2, 4, 0], strict=True):
        if not os.path.exists(path) or content in (1, 4):
            Path(path).write_text(f"{content}\n")
    measured(paths, tmp_path / "c.zarr", done=lambda path, catalogue: told.append(os.path.basename(path))).close()
    assert told == ["d1001.txt", "d1003.txt", "missing.txt"]
    measured(paths, tmp_path / "fresh.zarr").close()
    assert tree(tmp_path / "c.zarr") == tree(tmp_path / "fresh.zarr")


def test_only_what_is_new_or_has_changed_is_measured(few, tmp_path):
    told = []

    def again(paths, **options):
        told.clear()
        options["done"] = lambda path, catalogue: told.append(os.path.basename(path))
        return measured(paths, tmp_path / "c.zarr", **options)

    again(few[:3]).close()
    again(few[:3]).close()
    assert told == []
    again(few).close()
    assert told == ["d1003.txt"]
    Path(few[1]).write_text("7 \n")
    found = again(few)
    assert told == ["d1001.txt"]
    assert found["row_size"].values.tolist() == [3, 7, 5, 2]
    beside = tmp_path / "d1002.wcs"
    beside.write_text("solved")
    again(few, beside={few[2]: [str(beside)]}).close()
    assert told == ["d1002.txt"]
    again(few, mode="all").close()
    assert len(told) == 4
    assert again(few[2:])["row_size"].values.tolist() == [3, 7, 5, 2]  # not listed, kept
    assert again(few[2:], others="drop")["row_size"].values.tolist() == [5, 2]


def test_other_settings_are_refused_or_replace_the_store(few, tmp_path):
    measured(few, tmp_path / "c.zarr").close()
    before = tree(tmp_path / "c.zarr")
    with pytest.raises(IdentityError, match=r"factor: 1.0 in the store, 2.0 now"):
        measured(few, tmp_path / "c.zarr", factor=2.0)
    assert tree(tmp_path / "c.zarr") == before
    found = measured(few[:1], tmp_path / "c.zarr", factor=2.0, mode="overwrite")
    assert found.sizes == {"image": 1, "row": 3}


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("tsogrid.survey.image_tasks.PAUSE", 0.0)
    paths = write_images(tmp_path, [3, 5])
    seen = []

    def task(path):
        seen.append(path)
        result = TextTask()(path)
        if (path == paths[0] and len(seen) < 3) or path == paths[1]:
            time.sleep(0.01)
            Path(path).write_text(f"{4 if path == paths[0] else 5} {len(seen)}\n")
        return result

    with pytest.raises(RunError, match=r"1 of 2 images .*\n.*d1001.txt: the file changed 3 times while it was read"):
        measure_images(paths, task, tmp_path / "c.zarr", identity={}, cluster=HERE)
    assert [os.path.basename(path) for path in seen] == ["d1000.txt"] * 3 + ["d1001.txt"] * 3
    found = open_catalogues(tmp_path / "c.zarr")
    assert found["row_size"].values.tolist() == [4, 0]
    assert found["image_flags"].values.tolist() == [0, int(ImageFlag.CHANGED)]


def test_wrong_use_is_said(few, tmp_path):
    with pytest.raises(InputError, match="expected at least one image"):
        measured([], tmp_path / "c.zarr")
    with pytest.raises(InputError, match="expected each image once"):
        measured([few[0], few[0]], tmp_path / "c.zarr")
    with pytest.raises(StoreError, match="expected an existing folder"):
        measured(few, tmp_path / "none" / "c.zarr")
    with pytest.raises(StoreError, match="expected a store to go on with"):
        measured(few, tmp_path / "c.zarr", mode="resume")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        xr.Dataset({"a": ("x", [1.0])}).to_zarr(tmp_path / "other.zarr")
    for mode in ("run", "overwrite"):
        with pytest.raises(StoreError, match="something else"):
            measured(few, tmp_path / "other.zarr", mode=mode)
    with pytest.raises(StoreError, match="found nothing"):
        open_catalogues(tmp_path / "c.zarr")
    with pytest.raises(ValueError, match="expected each name once, found x twice"):
        checked(Catalogue({"x": np.zeros(1)}, {"x": 1.0}))
    with pytest.raises(ValueError, match=r"column y: expected shape \(1,\)"):
        checked(Catalogue({"x": np.zeros(1), "y": np.zeros(2)}))


def test_a_damaged_piece_is_measured_again_and_damaged_rows_are_named(few, tmp_path, monkeypatch):
    store = tmp_path / "c.zarr"

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tsogrid.survey.images.assemble", stop)
    monkeypatch.setattr("tsogrid.survey.images._laid_out", lambda store, *_: store.mkdir())
    with pytest.raises(KeyboardInterrupt):
        measured(few, store)
    monkeypatch.undo()
    kept = sorted((store / "progress" / "images").rglob("*.npz"))
    assert len(kept) == 4
    kept[0].write_bytes(kept[0].read_bytes()[:-40])
    (kept[1].parent / "half.npz.partial").write_bytes(b"PK")
    (store / "progress" / "inputs.json").write_text(json.dumps([]))
    monkeypatch.setattr("tsogrid.survey.images._laid_out", lambda *_: None)
    told = []
    found = measured(few, store, done=lambda path, _: told.append(path))
    assert len(told) == 1
    assert found["row_size"].values.tolist() == [3, 0, 5, 2]
    monkeypatch.undo()
    found.close()
    chunk = store / "x" / "c.0"
    content = bytearray(chunk.read_bytes())
    content[8] ^= 1
    chunk.write_bytes(bytes(content))
    Path(few[0]).write_text("2 \n")
    with pytest.raises(StoreError, match=r"rows 3 … 9 are damaged"):
        measured(few, store)

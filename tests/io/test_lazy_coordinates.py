"""Coordinates that are made when they are asked for: every way of indexing gives what whole arrays give."""

import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from xarray.core import indexing

import tsogrid
from tsogrid.io.lazy import make_runs
from tsogrid.io.lazy_coordinates import OfFiles, Shifted
from tsogrid.io.placing import integrations, joined, runs_of


class Part:
    """What of the frames of a file counts here."""

    def __init__(self, rows, chosen=None, first=1):
        self.rows, self.chosen = rows, chosen
        self.row_numbers = np.arange(rows) if chosen is None else chosen
        self.integration = first + self.row_numbers
        self.mjd_utc = 60000.0 + self.integration


def whole(parts):
    """File and number of every frame, one by one."""
    file = np.repeat(np.arange(len(parts)), [part.rows for part in parts])
    return file, np.concatenate([part.integration for part in parts])


@st.composite
def series(draw):
    parts, first = [], 1
    for _ in range(draw(st.integers(1, 5))):
        length = draw(st.integers(1, 9))
        chosen = draw(st.none() | st.sets(st.integers(0, length - 1), min_size=1).map(sorted).map(np.array))
        parts.append(Part(length if chosen is None else chosen.size, chosen, first))
        first += length
    return parts


@settings(max_examples=40, deadline=None)
@given(parts=series(), data=st.data())
def test_any_index_gives_what_arrays_give(parts, data):
    file, number = whole(parts)
    count = file.size
    order = data.draw(st.just(slice(None)) | st.permutations(range(count)).map(np.array))
    runs = runs_of(parts, order)
    labels = np.array([f"file {i}" for i in range(len(parts))], dtype=object)
    cases = [
        (OfFiles(labels, runs, count), labels[file[order]]),
        (Shifted(number[order] + 0.25, 2400000.5), number[order] + 2400000.75),
    ]
    index = data.draw(
        st.integers(-count, count - 1)
        | st.slices(count)
        | st.lists(st.integers(-count, count - 1), max_size=2 * count).map(lambda each: np.array(each, int))
    )
    for lazy, array in cases:
        variable = xr.Variable("time", indexing.LazilyIndexedArray(pickle.loads(pickle.dumps(lazy))))
        assert variable.dtype == array.dtype
        np.testing.assert_array_equal(variable[index].to_numpy(), array[index])
        np.testing.assert_array_equal(variable[::2][:3].to_numpy(), array[::2][:3])
    numbers = xr.Variable("time", integrations(parts, order, runs))
    assert numbers.dtype == np.int64
    np.testing.assert_array_equal(numbers[index].to_numpy(), number[order][index])


def test_runs_of_files_in_order_are_those_of_every_frame():
    parts = [Part(4), Part(1, first=5), Part(3, first=6)]
    file, _ = whole(parts)
    row = np.concatenate([part.row_numbers for part in parts])
    for found, expected in zip(runs_of(parts, slice(None)), make_runs(file, row), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_numbers_that_do_not_count_are_kept():
    parts = [Part(3), Part(2)]
    parts[0].integration = np.array([3, 1, 7])
    found = integrations(parts, slice(None), runs_of(parts, slice(None)))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, [3, 1, 7, 1, 2])


def test_joined_files_keep_views():
    parts = [Part(3), Part(2, first=4)]
    found = joined(parts, "mjd_utc")
    np.testing.assert_array_equal(found, 60000.0 + np.arange(1, 6))
    assert all(np.shares_memory(part.mjd_utc, found) for part in parts)
    np.testing.assert_array_equal(parts[1].mjd_utc, [60004.0, 60005.0])


@pytest.mark.parametrize("name", ["file", "integration", "jd_utc"])
def test_frames_are_chosen_with_their_coordinates(exposure, name):
    frames = tsogrid.open_frames(exposure.files)
    every = frames[name].to_numpy()
    some = frames.isel(time=[4, 1, 1])
    np.testing.assert_array_equal(some[name], every[[4, 1, 1]])

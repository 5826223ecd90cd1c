"""Compiled functions that are only parts of kernels."""

import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tsogrid
from tsogrid.kernels.compile import by_type, kernel, part


@part
def _double(value):
    return 2.0 * value


@kernel
def _quadruple(value):
    return _double(_double(value))


def test_a_part_works_inside_a_kernel_and_is_refused_outside():
    assert _quadruple(1.5) == 6.0
    with pytest.raises(TypeError, match="_double is a part"):
        _double(1.5)


@by_type
def _width(value):
    """Bits of a number."""
    bits = value.bitwidth
    return lambda value: bits


@kernel
def _bits(value):
    return _width(value)


def test_types_choose_inside_a_kernel():
    assert [_bits(np.float32(1)), _bits(1.0), _bits(np.int16(1))] == [32, 64, 16]
    assert _width.__doc__ == "Bits of a number."
    with pytest.raises(TypeError, match="_width is a part"):
        _width(1.0)


def test_kernels_travel_by_name_and_are_made_once():
    assert pickle.loads(pickle.dumps(_quadruple)) is _quadruple
    with ThreadPoolExecutor(4) as pool:
        assert len({id(each) for each in pool.map(lambda _: _bits.compiled, range(8))}) == 1


def test_who_imports_kernels_does_not_load_numba():
    names = sorted(path.stem for path in (Path(tsogrid.__file__).parent / "kernels").glob("*.py"))
    names = [
        f"tsogrid.kernels.{name}"
        for name in names
        if name not in ("__init__", "machine_code", "system_calls") and not name.endswith("_instructions")
    ]
    script = f"import sys, {', '.join(names)}; assert 'numba' not in sys.modules"
    environment = os.environ | {"PYTHONPATH": str(Path(tsogrid.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


SCRIPT = """
import numpy as np
from tsogrid.kernels import centroid
data = np.ones((1, 9, 9))
data[0, 4, 5] = 3
found = centroid.center_of_mass(data, np.full((1, 1), 4.0), np.full((1, 1), 4.0), 5, 0.0)
print(found.x[0, 0], sum(centroid._center_of_mass.compiled.stats.cache_hits.values()))
"""


def test_an_edit_of_any_kernel_file_makes_all_machine_code_stale(tmp_path):
    package = Path(tsogrid.__file__).parent
    shutil.copytree(package, tmp_path / "tsogrid", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}

    def found():
        command = [sys.executable, "-c", SCRIPT]
        output = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        x, hits = output.stdout.split()
        return float(x), int(hits)

    first = found()
    assert first[1] == 0
    assert found() == (first[0], 1)
    # The kernel's own file stays as it is; numba looks at no other.
    box = tmp_path / "tsogrid" / "kernels" / "box.py"
    text = box.read_text()
    assert "nearest = math.ceil(" in text
    box.write_text(text.replace("nearest = math.ceil(", "nearest = 1 + math.ceil("))
    moved = found()
    assert moved[1] == 0
    assert moved[0] != first[0]

"""Where machine code is kept: folders that are missing, that cannot be written, that were filled before, or are damaged."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tsogrid

SCRIPT = """
import sys, tempfile
locked = [folder for folder in sys.argv[1].split(",") if folder]
def temporary(dir=None, make=tempfile.TemporaryFile, **options):
    if any(str(dir).startswith(folder) for folder in locked):
        raise PermissionError(13, "locked for the test", str(dir))
    return make(dir=dir, **options)
tempfile.TemporaryFile = temporary  # how numba tries whether a folder can be written; who is root can write everywhere
from tsogrid.kernels.tiny import double
print(double(1.5), sum(double.compiled.stats.cache_hits.values()))
"""


KERNEL = """
from tsogrid.kernels.compile import kernel

@kernel
def double(value):
    return 2 * value
"""


@pytest.fixture
def measured(tmp_path):
    """Run a kernel in a process, a package and a home of its own; gives its number, and the hits of the cache."""
    package = Path(tsogrid.__file__).parent
    (tmp_path / "tsogrid" / "kernels").mkdir(parents=True)
    for name in ("__init__.py", "kernels/__init__.py", "kernels/compile.py", "kernels/machine_code.py"):
        shutil.copy(package / name, tmp_path / "tsogrid" / name)
    (tmp_path / "tsogrid" / "kernels" / "tiny.py").write_text(KERNEL)
    environment = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
    environment |= {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / "cache")}

    def run(*locked, cache=None):
        more = {} if cache is None else {"NUMBA_CACHE_DIR": str(cache)}
        command = [sys.executable, "-B", "-c", SCRIPT, ",".join(map(str, locked))]
        done = subprocess.run(command, cwd=tmp_path, env=environment | more, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-1000:]
        x, hits = done.stdout.split()
        return float(x), int(hits)

    return run


def test_folders_that_are_missing_locked_or_filled(measured, tmp_path):
    given = tmp_path / "no" / "such" / "folder"
    first = measured(cache=given)
    assert first[1] == 0
    assert measured(cache=given) == (first[0], 1)  # it was made
    assert measured(given, cache=given) == (first[0], 0)  # locked: numba goes on to the package's own folder
    assert list((tmp_path / "tsogrid" / "kernels" / "__pycache__").glob("*.nbc"))
    everywhere = [tmp_path]
    assert measured(*everywhere, cache=given) == (first[0], 1)  # nothing can be written, but something read
    assert measured(*everywhere) == (first[0], 1)  # beside the package
    shutil.rmtree(tmp_path / "tsogrid" / "kernels" / "__pycache__")
    assert measured(*everywhere, cache=tmp_path / "nowhere") == (first[0], 0)  # in memory


def test_a_damaged_cache_is_no_cache(measured, tmp_path):
    given = tmp_path / "cache"
    first = measured(cache=given)
    for name in ("nbi", "nbc"):
        for path in given.rglob(f"*.{name}"):
            path.write_bytes(b"" if name == "nbi" else path.read_bytes()[:50])
        assert measured(cache=given) == (first[0], 0)

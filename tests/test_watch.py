"""A night that is watched: frames in pieces, in disorder, broken, changed; kills; and the result of a fresh run."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import yaml
from astropy.io import fits

import tsogrid
from tests.engine.test_extension import Night, night  # noqa: F401 (a fixture)
from tsogrid.engine.run import Silent
from tsogrid.errors import ConfigError, IdentityError, InputError
from tsogrid.io.arrivals import Arrivals
from tsogrid.watch import Patience, watch

QUICK = Patience(every=0.1, settle=0.3, broken=1.0, idle=3.0)

# A process that writes frames as a camera over a slow network: in pieces, with pauses inside header and pixels.
SLOW_CAMERA = """
import sys, time
from pathlib import Path
source, folder, pieces, pause = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
for name in sys.argv[5:]:
    content = (source / name).read_bytes()
    step = len(content) // pieces + 1
    with open(folder / name, "wb", buffering=0) as file:
        for start in range(0, len(content), step):
            file.write(content[start : start + step])
            time.sleep(pause)
"""


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, message):
        self.lines.append(message)


@pytest.fixture
def growing(night, tmp_path, request):  # noqa: F811
    return Night(night, tmp_path, getattr(request, "param", {}))


def camera(growing, *numbers, pieces=5, pause=0.05):
    names = [f"f{number:02}.fits" for number in numbers]
    arguments = [str(growing.source), str(growing.folder / "frames"), str(pieces), str(pause), *names]
    return subprocess.Popen([sys.executable, "-c", SLOW_CAMERA, *arguments])


def follow(growing, patience=QUICK, **options):
    said = Said()
    result = watch(growing.folder / "frames", growing.config(), patience=patience, progress=said, **options)
    return result, said.lines


FILTERED = {"calibrate": {"outliers": {"window": 5}}, "center": {"search_box": 15, "fit_box": 9, "position": "median"}}


@pytest.mark.parametrize("growing", [{}, FILTERED], indirect=True)
def test_a_slow_camera(growing):
    growing.add(3)
    process = camera(growing, 4, 5, 1, 6, 0, 2)
    result, said = follow(growing, until=7, plot=growing.folder / "night.png")
    assert process.wait() == 0
    assert result.sizes["time"] == 7
    assert sum("frames (" in line for line in said) > 1  # not all at the end
    assert not [line for line in said if "set aside" in line or "truncated" in line]
    growing.is_fresh()
    assert (growing.folder / "night.png").read_bytes().startswith(b"\x89PNG")
    assert not list(growing.folder.glob(".night*"))


def test_what_is_no_frame_holds_nobody_up(growing):
    folder = growing.folder / "frames"
    whole = (growing.source / "f05.fits").read_bytes()
    growing.add(0, 1)
    (folder / "f03.fits").write_bytes(whole[:9000])  # stays broken
    (folder / "notes.txt").write_text("clouds")
    (folder / "f04.fits.part").write_bytes(whole[:9000])
    (folder / ".f05.fits.Xy12ab").write_bytes(whole[:9000])  # as rsync writes
    fits.PrimaryHDU(np.ones((9, 9), np.float32), fits.Header({"DATE-OBS": "2020-03-01T04:00:00"})).writeto(
        folder / "f06.fits"
    )
    result, said = follow(growing, once=True)
    assert result["file"].values.tolist() == ["f00.fits", "f01.fits"]
    aside = [line for line in said if line.startswith("set aside until it changes")]
    assert len(aside) == 2
    assert any("f03.fits: truncated FITS file" in line for line in aside)
    assert any("f06.fits: expected frames of 60 × 70 pixels" in line for line in aside)
    (folder / "f03.fits").write_bytes((growing.source / "f03.fits").read_bytes())
    os.rename(folder / ".f05.fits.Xy12ab", folder / "f05.fits")
    (folder / "f05.fits").write_bytes(whole)
    (folder / "f06.fits").unlink()
    result, _ = follow(growing, once=True)
    assert result["file"].values.tolist() == ["f00.fits", "f01.fits", "f03.fits", "f05.fits"]
    (folder / "f04.fits.part").unlink()
    growing.is_fresh()


@pytest.mark.parametrize("measured", [False, True])
def test_a_file_of_another_kind_that_comes_first(growing, measured):
    """By its name it is the first of all; still the others are the series."""
    growing.add(0, 1, 2)
    if measured:
        follow(growing, once=True)
    header = fits.Header({"DATE-OBS": "2020-03-01T02:00:00"})
    fits.PrimaryHDU(np.ones((9, 9), np.float32), header).writeto(growing.folder / "frames" / "acquisition.fits")
    growing.add(3)
    result, said = follow(growing, once=True)
    assert result.sizes["time"] == 4
    assert len([line for line in said if "set aside" in line]) == 1
    assert any("acquisition.fits: expected frames of 60 × 70 pixels" in line for line in said)


def test_once_ends_with_what_is_wrong(growing):
    growing.add(0, 1)
    follow(growing, once=True)
    (growing.folder / "frames" / "f00.fits").unlink()
    with pytest.raises(IdentityError, match="some are gone: f00"):
        follow(growing, once=True)


def test_a_file_that_changes_is_measured_again(growing):
    growing.add(0, 1, 2, 3)
    follow(growing, once=True)
    path = growing.folder / "frames" / "f02.fits"
    with fits.open(path, mode="update") as units:  # the header stays as it is
        units[0].data = units[0].data * np.float32(1.25)
    _, said = follow(growing, once=True)  # another watch, which must know it from the last one
    assert any("measured again: f02.fits" in line for line in said)
    growing.is_fresh()
    assert follow(growing, once=True)[1] == ["4 frames (+0) in a.zarr"]


def test_a_file_that_changes_while_it_is_measured(growing):
    """A camera that makes room first: the file is whole and stands still, but its pixels are not there yet."""
    growing.add(0, 1, 2)
    path = growing.folder / "frames" / "f02.fits"
    whole = path.read_bytes()
    path.write_bytes(whole[:2880] + bytes(len(whole) - 2880))

    def fill():
        time.sleep(1.2)
        with path.open("r+b") as file:
            file.seek(2880)
            file.write(whole[2880:])

    thread = threading.Thread(target=fill)
    thread.start()
    follow(growing, Patience(every=0.1, settle=0.2, broken=1.0, idle=4.0))
    thread.join()
    growing.is_fresh()


def test_files_that_are_gone_are_said_and_the_result_stays(growing):
    growing.add(0, 1, 2)
    follow(growing, once=True)
    (growing.folder / "frames" / "f01.fits").unlink()
    growing.add(3)
    _, said = follow(growing, Patience(0.1, 0.2, 1.0, 1.0))
    assert len([line for line in said if "some are gone: f01.fits" in line]) == 1
    assert tsogrid.open_result(growing.folder / "a.zarr").sizes["time"] == 3
    growing.add(1)
    assert follow(growing, once=True)[0].sizes["time"] == 4
    growing.is_fresh()


def test_what_a_watch_refuses(growing, tmp_path):
    with pytest.raises(InputError, match="expected a folder into which frames come"):
        watch(tmp_path / "nowhere", growing.config())
    growing.add(0)
    lost = growing.config().model_copy(update={"sources": []})
    with pytest.raises(ConfigError, match="sources: expected at least one star"):
        watch(growing.folder / "frames", lost, once=True, patience=QUICK)


def test_patterns_of_the_configuration(growing):
    growing.add(0, 1, 2)
    shutil.copy(growing.source / "f03.fits", growing.folder / "frames" / "flat.fits")
    config = growing.config()
    files = {"files": [str(growing.folder / "frames" / "f0*.fits")], "exclude": ["f01*"]}
    config = config.model_copy(update={"input": config.input.model_copy(update=files)})
    result = watch(growing.folder / "frames", config, once=True, patience=QUICK)
    assert result["file"].values.tolist() == ["f00.fits", "f02.fits"]


def test_a_file_without_its_last_block_is_waited_for(tmp_path):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((50, 50))).writeto(path)
    path.write_bytes(path.read_bytes()[: 2880 + 20000])
    arrivals = Arrivals(tmp_path, lambda _: True, settle=0.2, patience=9.0)
    time.sleep(0.3)
    assert arrivals.look().waiting == [str(path)]
    time.sleep(1.0)
    assert list(arrivals.look().whole) == [str(path)]
    os.utime(path)
    assert arrivals.look().whole == {}


def command(growing, *options):
    config = growing.config().model_dump(mode="json", exclude_unset=True)
    (growing.folder / "a.yaml").write_text(yaml.safe_dump(config))
    line = [
        sys.executable,
        "-m",
        "tsogrid.cli.main",
        "watch",
        "frames",
        "a.yaml",
        "--every",
        "0.1",
        "--settle",
        "0.3",
        *options,
    ]
    return subprocess.Popen(
        line, cwd=growing.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.02)
    assert condition()


@pytest.mark.slow
@pytest.mark.long
def test_killed_again_and_again(growing):
    store = growing.folder / "a.zarr"
    process = camera(growing, 2, 3, 0, 4, 1, 5, 6, 8, 7, 9, pieces=4, pause=0.25)
    for wait in (0.4, 1.0):
        watcher = command(growing)
        wait_for(lambda: (store / "zarr.json").exists())
        time.sleep(wait)
        os.killpg(watcher.pid, signal.SIGKILL)
        watcher.communicate()
    watcher = command(growing, "--until", "10")
    output, _ = watcher.communicate(timeout=120)
    assert process.wait() == 0
    assert watcher.returncode == 0, output
    assert "done: 10 frames" in output
    assert (growing.folder / "a.png").exists()
    growing.is_fresh()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_watch_that_is_stopped_leaves_cleanly(growing, how):
    growing.add(0, 1, 2)
    watcher = command(growing)
    wait_for(lambda: (growing.folder / "a.png").exists())
    watcher.send_signal(how)
    output, _ = watcher.communicate(timeout=30)
    assert watcher.returncode == 0
    assert "stopped: what is measured is safe" in output
    assert "Traceback" not in output
    assert sorted(name for name in os.listdir(growing.folder) if name.startswith(".")) == [".a.zarr.seen"]
    growing.is_fresh()

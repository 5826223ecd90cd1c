"""The commands end to end, on small simulated files."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy.table import Table

import tsogrid as package
from tsogrid.cli.main import app
from tsogrid.cli.progress import Bar, Lines, duration, progress_on, size

HEAVY = ("numpy", "pandas", "xarray", "dask", "distributed", "numba", "astropy", "zarr", "matplotlib")


def opened(path):
    with xr.open_zarr(path) as result:
        return result.load()


# The program


def test_help_and_version_import_nothing_heavy():
    code = (
        "import sys, tsogrid.cli.main as m\n"
        "try: m.main(sys.argv[1:])\n"
        f"finally: print('loaded:', [name for name in {HEAVY} if name in sys.modules])"
    )
    for arguments in (["--help"], ["run", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert done.stdout.endswith("loaded: []\n"), done.stdout[-300:]


def test_version(tsogrid):
    assert tsogrid("--version").out == f"tsogrid {package.__version__}\n"


@pytest.mark.parametrize("command", ["", *(each.callback.__name__ for each in app.registered_commands)])
def test_help_fits_a_screen(tsogrid, command):
    outcome = tsogrid(*command.split(), "--help")
    lines = outcome.out.splitlines()
    assert outcome.status == 0
    assert len(lines) <= 38
    assert max(map(len, lines)) <= 100
    assert not command or f"tsogrid {command} " in lines[0]


def test_wrong_usage(tsogrid):
    for arguments in (
        ["rn"],
        ["run"],
        ["run", "a.yaml", "--wrokers", "2"],
        ["export", "a.zarr", "--to", "xls"],
        ["run", "a.yaml", "--block", "0"],
    ):
        outcome = tsogrid(*arguments)
        assert outcome.status == 2
        assert "Traceback" not in outcome.err
        assert "Error" in outcome.err
    assert "'run'" in tsogrid("rn").err
    assert "choose one" in tsogrid("run", "a.yaml", "--resume", "--overwrite").err


def test_a_reader_that_has_enough_is_no_failure():
    done = subprocess.run(
        f"{sys.executable} -m tsogrid.cli.main run --help | true", shell=True, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_debug_shows_the_traceback(tsogrid, here):
    (here / "night.yaml").write_text("inptu: 3\n")
    outcome = tsogrid("run", "night.yaml", "--debug")
    assert outcome.status == 2
    assert outcome.err.startswith("Traceback")
    assert "ConfigError" in outcome.err


@pytest.mark.parametrize(
    ("raised", "words", "status"),
    [
        (ImportError("No module named 'gwcs'", name="gwcs"), ["package gwcs", "pip install gwcs"], 1),
        (MemoryError(), ["memory", "--block"], 1),
        (OSError(28, "No space left on device", "big.zarr"), ["big.zarr", "disk is full"], 1),
        (PermissionError(13, "Permission denied", "there"), ["there", "permission"], 1),
        (KeyError("oops"), ["defect of tsogrid", "KeyError", "--debug"], 1),
        (KeyboardInterrupt(), ["stopped", "goes on"], 130),
    ],
)
def test_failures_of_the_machine_are_one_line(tsogrid, write_config, data, monkeypatch, raised, words, status):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr("tsogrid.engine.run.measure_missing", fail)
    outcome = tsogrid("run", write_config())
    assert outcome.status == status
    assert outcome.err.count("\n") == 1
    for word in words:
        assert word in outcome.err


# run


def test_run_from_nothing_to_a_result(tsogrid, write_config, data, here):
    outcome = tsogrid("run", write_config())
    assert (outcome.status, outcome.err) == (0, "")
    assert "night.zarr: 10 frames" in outcome.out
    assert "frames/s" in outcome.out
    assert "1 no_data" in outcome.out
    assert "next: tsogrid export night.zarr" in outcome.out
    result = package.open_result(here / "night.zarr").load()
    assert np.isfinite(result["flux"].isel(time=0)).all()
    again = tsogrid("run", "night.yaml")
    assert again.status == 0
    assert "complete" in again.out
    assert "frames/s" not in again.out


def test_files_store_and_settings_of_the_command_line(tsogrid, write_config, data, here):
    config = write_config(input={"files": ["elsewhere"]}, output={"store": "named.zarr"})
    first = sorted(data.iterdir())[0].relative_to(here)
    options = ["--set", "sky.0.inner=8", "--set", 'apertures.0.radius="2:3:0.5"', "--set", "center.position=median"]
    outcome = tsogrid("run", config, first, "--store", "other.zarr", *options)
    assert outcome.status == 0, outcome
    result = opened(here / "other.zarr")
    assert result.sizes["time"] == 5
    assert result["radius"].to_numpy().tolist() == [2, 2.5, 3]
    assert result["sky"].item() == "annulus8-12-clipped-median"
    assert len(np.unique(result["x"])) == 1
    assert not (here / "named.zarr").exists()


@pytest.mark.parametrize(
    "sky", [None, [{"method": "annulus", "inner": 7, "outer": 12}], [[{"method": "annulus", "inner": 7, "outer": 12}]]]
)
def test_set_reaches_a_sky_however_it_is_written(tsogrid, write_config, data, sky):
    outcome = tsogrid("run", write_config(sky=sky), "--dry-run", "--set", "sky.0.inner=10")
    assert outcome.status == 0, outcome
    assert "annulus10-1" in outcome.out


def test_settings_that_lead_nowhere(tsogrid, write_config, data):
    config = write_config()
    for setting, word in [
        ("sky.0.inner", "key=value"),
        ("sky.7.inner=3", "no such key"),
        ("center.boxx=3", "unknown key"),
        ("sky.0.inner=[", "expected YAML"),
        ("cluster.kind=cloud", "cloud"),
    ]:
        outcome = tsogrid("run", config, "--set", setting)
        assert outcome.status == 2
        assert word in outcome.err


def test_dry_run_says_what_and_writes_nothing(tsogrid, write_config, data, here):
    config = write_config()
    before = sorted(here.rglob("*"))
    outcome = tsogrid("run", config, "--dry-run", "--block", "3")
    assert outcome.status == 0, outcome
    rows = dict(line.split(maxsplit=1) for line in outcome.out.splitlines())
    assert rows["frames"].startswith("10 of 32 × 48 pixels")
    assert rows["times"].startswith("BJD_TDB 2460")
    assert rows["sources"] == "target at x = 20.2, y = 15.4"
    assert rows["apertures"] == "r3, r4, r5"
    assert rows["skies"] == "annulus7-12-clipped-median"
    assert rows["blocks"].startswith("4 of 3 frames")
    assert rows["memory"].startswith("about")
    assert "ms of CPU a frame" in rows["cost"]
    assert rows["store"].endswith("night.zarr (new)")
    assert sorted(here.rglob("*")) == before


def test_resume_overwrite_extend(tsogrid, write_config, data, here):
    config = write_config(output={"block": 1})
    first, second = (path.relative_to(here) for path in sorted(data.iterdir()))
    refused = tsogrid("run", config, "--resume")
    assert refused.status == 1
    assert "--resume expects a store" in refused.err
    assert tsogrid("run", config, first).status == 0
    assert tsogrid("run", config, first, "--resume").status == 0
    refused = tsogrid("run", config)
    assert refused.status == 1
    assert "--extend" in refused.err
    assert "(exists with 5 frames, 5 would be added)" in tsogrid("run", config, "--extend", "--dry-run").out
    extended = tsogrid("run", config, "--extend")
    assert extended.status == 0, extended
    assert "measured 5 frames" in extended.out
    whole = opened(here / "night.zarr")
    refused = tsogrid("run", config, second, "--extend")
    assert refused.status == 1
    overwritten = tsogrid("run", config, "--overwrite", "--block", "4")
    assert overwritten.status == 0, overwritten
    assert "measured 10 frames" in overwritten.out
    xr.testing.assert_equal(opened(here / "night.zarr"), whole)
    assert json.loads(opened(here / "night.zarr").attrs["layout"])["block"] == 4


def test_a_scheduler_that_is_not_there(tsogrid, write_config, data, monkeypatch):
    monkeypatch.setattr("tsogrid.engine.cluster.CONNECT_TIMEOUT", 0.2)
    outcome = tsogrid("run", write_config(), "--cluster", "tcp://127.0.0.1:9")
    assert outcome.status == 1
    assert "no dask scheduler answered at tcp://127.0.0.1:9" in outcome.err
    assert outcome.err.count("\n") == 1


# The other commands


def test_inspect(tsogrid, write_config, data, night_files):
    lines = tsogrid("inspect", "data").out
    for word in ("2: jw-seg001_calints.fits", "10 of 32 × 48", "TDB", "NIRCAM", "MJy/sr", "VAR_POISSON", "x = 20, y = 15"):
        assert word in lines
    content = json.loads(tsogrid("inspect", write_config(), "--json").out)
    assert content["frames"] == 10
    assert content["shape"] == [32, 48]
    assert content["time"]["scale"] == "tdb"
    assert content["warnings"] == []
    night = tsogrid("inspect", *night_files)
    assert "UTC" in night.out
    assert "unknown: errors of fluxes will be NaN" in night.out


def test_inspect_tells_its_warnings(tsogrid, data):
    sorted(data.iterdir())[0].unlink()
    assert tsogrid("inspect", "data").err.startswith("warning: segment 1")
    as_json = tsogrid("inspect", "data", "--json")
    assert as_json.err == ""
    assert json.loads(as_json.out)["warnings"][0].startswith("segment 1")


def test_inspect_takes_frames_or_one_configuration(tsogrid, write_config, data):
    outcome = tsogrid("inspect", write_config(), "data")
    assert outcome.status == 2
    assert "one configuration" in outcome.err


def test_simulate(tsogrid, here):
    outcome = tsogrid("simulate", "s", "--frames", "4", "--shape", "32", "48", "--depth", "0.02", "--bad-frame", "2")
    assert outcome.status == 0, outcome
    assert "s: 2 files, 4 frames" in outcome.out
    assert sorted(path.name for path in (here / "s").iterdir() if path.suffix == ".fits")[0].endswith("seg001_calints.fits")
    night = tsogrid("simulate", "n", "--night", "--frames", "2", "--shape", "40", "40")
    assert "n: 2 files, 2 frames" in night.out
    wrong = tsogrid("simulate", "w", "--frames", "1", "--segments", "3")
    assert wrong.status == 2
    assert "segments is 3" in wrong.err
    assert not (here / "w").exists()


@pytest.mark.parametrize("to", ["ecsv", "csv"])
def test_export(tsogrid, write_config, data, here, to):
    assert tsogrid("run", write_config()).status == 0
    outcome = tsogrid("export", "night.zarr", "--to", to)
    assert (outcome.status, outcome.err) == (0, ""), outcome
    if to == "ecsv":
        table = Table.read(here / "night.ecsv", format="ascii.ecsv")
    else:
        table = Table.from_pandas(pd.read_csv(here / "night.csv", comment="#"))
    stored = opened(here / "night.zarr")["flux"].sel(aperture="r3").isel(source=0, sky=0)
    np.testing.assert_array_equal(table["flux_r3_annulus7-12-clipped-median"], stored)
    assert table["file"][0] == "jw-seg001_calints.fits"
    named = tsogrid("export", "night.zarr", "--to", to, "--output", "no/where.ecsv")
    assert named.status == 1
    assert named.err.count("error: ") == 1


def test_demo(tsogrid, here):
    outcome = tsogrid("demo", "d", "--frames", "20", "--json")
    assert outcome.status == 0, outcome
    numbers = json.loads(outcome.out)
    assert abs(numbers["depth"] - numbers["depth_injected"]) < 6 * numbers["depth_err"]
    assert (here / "d" / "result.zarr").is_dir()
    assert (here / "d" / "lightcurve.png").is_file()
    assert "sigma)" in tsogrid("demo", "d", "--frames", "20").out


# Progress


def test_lines_come_now_and_then(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("tsogrid.cli.progress.time.perf_counter", lambda: clock[0])
    progress = Lines()
    progress.begin(1000, 100)
    for _ in range(450):
        clock[0] += 0.25
        progress.advance(2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11  # 112 s: after 10, 20 … 110 s; the end has a summary of its own
    assert lines[0].endswith("180 of 1000 frames (18 %), 8 frames/s, 102 s left")
    assert (progress.measured, progress.seconds) == (900, 112.5)


def test_a_terminal_gets_a_bar(capsys):
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with progress_on(stream) as progress:
        assert isinstance(progress, Bar)
        progress.begin(10, 2)
        progress.advance(3)
        progress.say("a word [to] the user")
        assert (progress.done, progress.measured) == (5, 3)
    assert "a word [to] the user" in stream.getvalue()


def test_words_for_numbers():
    assert [duration(value) for value in (0, 0.34, 45, 600, 90_000)] == ["0.1 s", "0.3 s", "45 s", "10 min", "25.0 h"]
    assert [size(value) for value in (12, 4567, 3.2e6, 1.5e9)] == ["12 B", "4.57 kB", "3.2 MB", "1.5 GB"]


def test_frames_before_and_after_the_sky_are_saved(tsogrid, write_config, data, here, refused):
    config = write_config(output={"block": 5, "diagnostics": [3]})
    assert tsogrid("run", config).status == 0
    assert sorted(path.name for path in (here / "night_diagnostics").iterdir()) == ["frame_000003.fits", "frame_000003.png"]
    late = write_config(output={"block": 5, "diagnostics": [3, 10]})  # refused before anything is measured
    refused("run", late, "--store", here / "other.zarr", status=2, words=["output.diagnostics", "0 … 9", "10"])

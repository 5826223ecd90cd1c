"""The command line inside this process, in a folder of its own, with small files and their truth."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tsogrid.cli.main import main
from tsogrid.simulate import simulate_exposure, simulate_night

FRAMES = 10
STAR = (20.2, 15.4)


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def jwst_files(tmp_path_factory):
    """Two segments of five integrations; the eighth integration is NaN."""
    folder = tmp_path_factory.mktemp("jwst")
    truth = simulate_exposure(
        folder, name="jw", integrations=FRAMES, segments=2, shape=(32, 48), x=STAR[0], y=STAR[1], amplifiers=1, flux=2e5,
        bad_pixel_fraction=0, bad_frames=[7], seed=3,
    )  # fmt: skip
    return [Path(name) for name in truth.files]


@pytest.fixture(scope="session")
def night_files(tmp_path_factory):
    """Four single-frame files of one star."""
    folder = tmp_path_factory.mktemp("night")
    truth = simulate_night(
        folder, name="n", frames=4, shape=(48, 56), stars=[(27.0, 23.0, 1e5)], drift=0.5, jitter=0.1, seed=4
    )
    return [Path(name) for name in truth.files]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(here, jwst_files):
    """Copies of the two segments in ``data``, to be spoilt."""
    folder = here / "data"
    folder.mkdir()
    for file in jwst_files:
        shutil.copy(file, folder / file.name)
    return folder


@pytest.fixture
def tsogrid(here, capsys):
    """Run a command as a shell would."""

    def command(*arguments) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(left.value.code or 0, captured.out, captured.err)

    return command


@pytest.fixture
def write_config(here):
    """Write a configuration; sections given by name replace those of the default."""

    def write(name="night.yaml", **sections) -> Path:
        content = {
            "input": {"files": ["data/*_calints.fits"]},
            "sources": [{"name": "target", "x": STAR[0], "y": STAR[1]}],
            "center": {"search_box": 11, "fit_box": 9},
            "sky": [{"method": "annulus", "inner": 7, "outer": 12}],
            "output": {"block": 5},
            "cluster": {"kind": "none"},
            **sections,
        }
        path = here / name
        path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
        return path

    return write


def snapshot(folder: Path) -> dict[str, str]:
    """Every file and folder below a folder, with what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def refused(here, tsogrid):
    """Run a command that must fail: one message, its words, its status, and not a byte changed. Gives the message."""

    def check(*arguments, status=1, words=()) -> str:
        before = snapshot(here)
        outcome = tsogrid(*arguments)
        message = "\n".join(line for line in outcome.err.splitlines() if not line.startswith("warning: "))
        assert outcome.status == status, outcome
        assert "Traceback" not in outcome.err + outcome.out
        assert "defect" not in message, message
        assert message.count("error: ") == 1, outcome
        for word in words:
            assert word in message, (word, message)
        assert snapshot(here) == before
        return message

    return check

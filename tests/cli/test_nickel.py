"""``tsogrid nickel`` and ``pipnick_photometry``: their options as the observers of both type them."""

import shlex
import sys

import pytest

from tests.survey.nights import write_frame, write_night
from tsogrid.cli.main import main
from tsogrid.cli.nickel import pipnick_photometry


@pytest.fixture
def called(monkeypatch, tmp_path):
    """What the command hands to the function."""
    calls = []

    def photometry_all(*arguments, **options):
        calls.append((arguments, options))
        return [tmp_path / "photometric" / "unconsolidated" / "A_R" / "d1_photsrcs.csv"]

    monkeypatch.setattr("tsogrid.survey.nickel.photometry_all", photometry_all)
    return calls


def leave(arguments):
    with pytest.raises(SystemExit) as left:
        main(["nickel", *arguments])
    return left.value.code


@pytest.mark.parametrize(
    "words",
    [
        ["night", "--excl_files", "d1", "d2", "--excl_filts", "B"],
        ["--excl_files", "d1", "d2", "--excl_filts", "B", "night"],
        ["--excl_filts=B", "--excl_files=d1,d2", "night"],
        ["--excl_files", "d1", "--excl_files", "d2", "--thresh", "8", "night", "--excl_filts", "B"],
    ],
)
def test_names_follow_their_option(called, words):
    assert leave(words) == 0
    (maindir, use_table, files, objects, filters), _ = called[0]
    assert (str(maindir), use_table, files, objects, filters) == ("night", False, ["d1", "d2"], [], ["B"])


def test_every_option_of_pipnick(called, monkeypatch, capsys):
    assert leave(["night"]) == 0
    defaults = {"thresh": 8.0, "group": False, "mode": "all", "fittype": "circ", "plot_final": False, "plot_inters": False}
    assert called[0][1].items() >= (defaults | {"cluster": None, "again": False}).items()
    words = shlex.split("night -t -th 10.0 -g -m new -f ellip -pf -pi -vv --verbosity 2 --excl_objs sky")
    monkeypatch.setattr(sys, "argv", ["pipnick_photometry", *words])
    with pytest.raises(SystemExit) as left:
        pipnick_photometry()
    assert left.value.code == 0
    arguments, options = called[1]
    assert arguments[1:] == (True, [], ["sky"], [])
    chosen = {"thresh": 10.0, "group": True, "mode": "new", "fittype": "ellip", "plot_final": True, "plot_inters": True}
    assert options.items() >= chosen.items()
    assert leave(["night", "--workers", "2", "--cluster", "local", "--all"]) == 0
    assert called[2][1]["cluster"].workers == 2
    assert called[2][1]["again"]
    assert leave(["night", "--verbosity", "7"]) == 2
    assert leave([]) == 2
    assert "1 tables in" in capsys.readouterr().out


def test_the_console_shows_as_much_as_is_asked_for(tmp_path, capsys):
    write_night(tmp_path)
    assert leave([str(tmp_path), "--cluster", "none", "--verbosity", "3", "--excl_filts", "B"]) == 0
    assert capsys.readouterr().out == ""
    assert leave([str(tmp_path), "--cluster", "none", "--excl_filts", "B"]) == 0
    quiet = capsys.readouterr().out
    assert quiet.count("tables") == 2
    assert "DEBUG" not in quiet
    assert leave([str(tmp_path), "--cluster", "none", "-vv", "--excl_objs", "sa110"]) == 0
    assert "DEBUG" in capsys.readouterr().out
    assert (tmp_path / "photometry.log").read_text().count("photometry of") == 3


def test_a_bad_frame_and_a_bad_setting_leave_with_their_status(tmp_path, capsys):
    write_frame(tmp_path, 1031)
    (tmp_path / "reduced" / "SA110_R" / "d1032_red.fits").write_text("none")
    assert leave([str(tmp_path), "--cluster", "none"]) == 1
    assert "1 of 2 images could not be measured" in capsys.readouterr().err
    assert leave([str(tmp_path), "--cluster", "none", "-f", "round"]) == 2
    assert "fittype" in capsys.readouterr().err
    assert leave([str(tmp_path / "none")]) == 1

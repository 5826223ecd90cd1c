"""Manifests: what comes out of one is what a scan gives, no unchanged file is opened again, nothing stale is believed."""

import gzip
import json
import os
import time
import zipfile

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from tsogrid.config import Config
from tsogrid.errors import InputError, TsogridWarning
from tsogrid.io import fits as fits_files
from tsogrid.io.cards import Cards
from tsogrid.io.fits import FitsFile, Unit, scan
from tsogrid.io.frames import open_frames
from tsogrid.io.manifest import FORM, Manifest, Recorder, read_manifest


def settle():
    """Let the clock of the file system go on: what has just been written may change again without a sign."""
    time.sleep(0.08)


@pytest.fixture
def night(tmp_path):
    """Write frames of a camera; `night(3, shift=1)` writes the fourth again, a second later."""
    folder = tmp_path / "night"
    folder.mkdir()

    def write(number, shift=0.0, level=100):
        data = np.full((8, 10), level, np.int16)
        data[3, 4] = number
        hdu = fits.PrimaryHDU(data)
        seconds = 10 * number + shift
        hdu.header["DATE-OBS"] = f"2026-01-01T11:{int(seconds // 60):02d}:{seconds % 60:06.3f}"
        hdu.header.update(
            EXPTIME=5.0, OBJECT="STAR", FILTER="R", OBJCTRA="10 19 38", OBJCTDEC="-09 48 22", TELESCOP="Nickel"
        )
        path = folder / f"f{number}.fits"
        hdu.writeto(path, overwrite=True)
        return path

    for number in range(6):
        write(number)
    settle()
    return write


@pytest.fixture
def opened(monkeypatch):
    """The base names of the FITS files that were opened since the test last cleared the list."""
    names = []
    opening = fits_files.open_checked.__init__

    def noted(self, path):
        names.append(os.path.basename(path))
        opening(self, path)

    monkeypatch.setattr(fits_files.open_checked, "__init__", noted)
    return names


def same(found, expected):
    xr.testing.assert_identical(found.load(), expected.load())
    for name in expected.variables:
        assert found[name].dtype == expected[name].dtype
        assert found[name].attrs == expected[name].attrs
    for key, value in expected.attrs.items():
        assert type(found.attrs[key]) is type(value), key


SERIES = {
    "night": {},
    "another reading": {"time_stamp": "mid", "site": "none", "gain": 2.0},
}


@pytest.mark.parametrize("options", SERIES.values(), ids=SERIES)
def test_frames_are_those_of_a_scan(night, tmp_path, opened, options):
    files, manifest = [str(tmp_path / "night")], str(tmp_path / "night.npz")
    expected = open_frames(files, **options)
    first = open_frames(files, manifest=manifest, **options)
    opened.clear()
    again = open_frames(files, manifest=manifest, **options)
    assert opened == []
    same(first, expected)
    same(again, expected)


def test_segments_of_an_exposure_with_their_tables(segment, tmp_path, opened):
    files = [str(segment("b_calints.fits", first=7, INTSTART=7)), str(segment("a_calints.fits", INTSTART=1))]
    settle()
    manifest = str(tmp_path / "m.npz")
    expected = open_frames(files)
    open_frames(files, manifest=manifest)
    opened.clear()
    again = open_frames(files, manifest=manifest)
    other = open_frames(files, manifest=manifest, error="none")  # made again, from the headers and tables that are kept
    assert opened == ["a_calints.fits"]  # whose header tells the attributes
    same(again, expected)
    assert "error" not in other


def test_packed_files(night, tmp_path, opened):
    path = tmp_path / "night" / "f2.fits"
    packed = tmp_path / "one.fits.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    settle()
    expected = open_frames(packed)
    open_frames(packed, manifest=str(tmp_path / "m.npz"))
    opened.clear()
    again = open_frames(packed, manifest=str(tmp_path / "m.npz"))
    assert opened == []
    same(again, expected)


def test_what_has_changed_or_come_is_scanned_and_nothing_else(night, tmp_path, opened):
    files, manifest = [str(tmp_path / "night")], str(tmp_path / "night.npz")
    open_frames(files, manifest=manifest)
    night(3, shift=1.5)
    night(6)
    settle()
    opened.clear()
    found = open_frames(files, manifest=manifest)
    assert sorted({*opened} - {"f0.fits"}) == ["f3.fits", "f6.fits"]
    same(found, open_frames(files))
    opened.clear()
    open_frames(files, manifest=manifest)
    assert opened == []
    (tmp_path / "night" / "f1.fits").unlink()
    found = open_frames(files, manifest=manifest)
    assert found.sizes["time"] == 6
    assert "f1.fits" not in found["file"].values


def test_a_file_of_the_same_size_and_time_is_not_believed(night, tmp_path):
    files, manifest = [str(tmp_path / "night")], str(tmp_path / "night.npz")
    path = tmp_path / "night" / "f2.fits"
    open_frames(files, manifest=manifest)
    before = path.stat()
    night(2, shift=4.0)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    same(open_frames(files, manifest=manifest), open_frames(files))


def test_files_that_have_just_changed_are_not_kept(night, tmp_path):
    files, manifest = [str(tmp_path / "night")], tmp_path / "night.npz"
    for number in range(6):
        night(number, shift=0.1)
    for path in (tmp_path / "night").iterdir():  # a file system that counts whole seconds
        os.utime(path, ns=(10**9 * int(time.time()),) * 2)
    same(open_frames(files, manifest=str(manifest)), open_frames(files))
    assert read_manifest(manifest)[0].paths == []


def test_a_part_of_the_files_leaves_the_others_alone(night, tmp_path, opened):
    files, manifest = [str(tmp_path / "night")], str(tmp_path / "night.npz")
    open_frames(files, manifest=manifest)
    written = os.stat(manifest)
    some = [str(tmp_path / "night" / f"f{number}.fits") for number in (1, 2)]
    opened.clear()
    same(open_frames(some, manifest=manifest), open_frames(some))
    assert os.stat(manifest).st_mtime_ns == written.st_mtime_ns
    opened.clear()
    open_frames(files, manifest=manifest)
    assert opened == []


def truncated(content):
    return content[: len(content) // 2]


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x20]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [truncated, flipped, lambda content: content[:200]])
def test_a_damaged_manifest_is_made_anew(night, tmp_path, damage, opened):
    files, manifest = [str(tmp_path / "night")], tmp_path / "night.npz"
    expected = open_frames(files, manifest=str(manifest))
    manifest.write_bytes(damage(manifest.read_bytes()))
    with pytest.warns(TsogridWarning, match="manifest is damaged"):
        same(open_frames(files, manifest=str(manifest)), expected)
    opened.clear()
    again = open_frames(files, manifest=str(manifest))
    assert opened == []
    same(again, expected)


def test_an_empty_file_becomes_a_manifest_and_one_of_another_version_is_replaced(night, tmp_path):
    files, manifest = [str(tmp_path / "night")], tmp_path / "night.npz"
    manifest.touch()
    with pytest.warns(TsogridWarning, match="damaged"):
        open_frames(files, manifest=str(manifest))
    with zipfile.ZipFile(manifest, "w") as archive, archive.open(f"{FORM[:-1]}9.npy", "w") as member:
        np.save(member, np.empty(0))
    with pytest.warns(TsogridWarning, match="another version"):
        open_frames(files, manifest=str(manifest))
    assert len(read_manifest(manifest)[0].paths) == 6


def test_something_else_is_not_overwritten(night, tmp_path):
    other = tmp_path / "night" / "f1.fits"
    before = other.read_bytes()
    with pytest.raises(InputError, match="expected a manifest"):
        open_frames(str(tmp_path / "night" / "f2.fits"), manifest=str(other))
    np.savez(tmp_path / "mine.npz", a=np.array([{}], object))
    with pytest.raises(InputError, match="expected a manifest"):
        open_frames(str(other), manifest=str(tmp_path / "mine.npz"))
    with pytest.raises(InputError, match="cannot be read"):
        open_frames(str(other), manifest=str(tmp_path))
    assert other.read_bytes() == before


def test_nothing_in_a_manifest_is_run(night, tmp_path):
    files, manifest = [str(tmp_path / "night")], tmp_path / "night.npz"
    open_frames(files, manifest=str(manifest))
    with np.load(manifest) as content:
        arrays = {name: content[name] for name in content.files}
    with zipfile.ZipFile(manifest, "w") as archive:
        for name, array in (arrays | {"cards": np.array([os.getcwd], object)}).items():
            with archive.open(f"{name}.npy", "w") as member:
                np.save(member, array, allow_pickle=True)
    with pytest.warns(TsogridWarning, match="damaged"):
        open_frames(files, manifest=str(manifest))


def test_a_place_that_cannot_be_written_stops_nothing(night, tmp_path):
    with pytest.warns(TsogridWarning, match="could not be written"):
        found = open_frames(str(tmp_path / "night"), manifest=str(tmp_path / "no" / "such" / "folder.npz"))
    assert found.sizes["time"] == 6


def test_the_key_is_outside_of_the_identity_and_relative_to_the_file(tmp_path):
    (tmp_path / "a.yaml").write_text("input: {files: x.fits, manifest: m.npz}\nsources: [{name: s, x: 1, y: 1}]\n")
    config = Config.from_yaml(tmp_path / "a.yaml")
    assert config.input.manifest == str(tmp_path / "m.npz")
    without = config.model_copy(update={"input": config.input.model_copy(update={"manifest": None})})
    assert config.scientific() == without.scientific()
    assert "manifest" not in json.dumps(config.scientific())


@given(
    headers=st.lists(st.lists(st.binary(min_size=80, max_size=80), min_size=1, max_size=4), min_size=0, max_size=6),
    table=st.one_of(st.none(), st.binary(max_size=20)),
)
def test_any_header_comes_back_as_it_was(headers, table):
    recorder = Recorder()
    units = [Unit(Cards(b"".join(cards)), 7 * index, 3, index) for index, cards in enumerate(headers)]
    if units:
        units[-1] = Unit(Cards(b"EXTNAME = 'INT_TIMES'".ljust(80)), 1, 3, len(units) - 1, table or b"abc")
    recorder.add(FitsFile("/å\udcff.fits", 12, "0123456789abcdef", units, "gzip"), (12, 5, 6))
    again = Recorder()
    again.take(recorder.arrays(), lambda path: True)
    for each in (recorder, again):
        manifest = Manifest(each.arrays())
        assert manifest.is_unchanged("/å\udcff.fits", (12, 5, 6))
        assert not manifest.is_unchanged("/å\udcff.fits", (12, 5, 7))
        file = manifest.file("/å\udcff.fits")
        assert [unit.header.raw for unit in file.units] == [unit.header.raw for unit in units]
        assert [(unit.offset, unit.nbytes, unit.index) for unit in file.units] == [
            (unit.offset, unit.nbytes, unit.index) for unit in units
        ]
        assert [unit.content for unit in file.units] == [unit.content for unit in units]
        assert (file.packing, file.hash, file.size) == ("gzip", "0123456789abcdef", 12)


def test_a_file_out_of_a_manifest_is_that_of_a_scan(segment):
    path = str(segment())
    file, recorder = scan(path), Recorder()
    recorder.add(file, (file.size, 1, 2))
    found = Manifest(recorder.arrays()).file(path)
    table = found.find("INT_TIMES")
    np.testing.assert_array_equal(found.table(table), file.table(file.find("INT_TIMES")))
    assert found.image(found.find("SCI")) == file.image(file.find("SCI"))

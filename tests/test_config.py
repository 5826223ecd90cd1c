"""The configuration: complete after validation, wrong keys named with their nearest, YAML without its traps."""

import pytest

import tsogrid
from tsogrid.config import Annulus, expand_range
from tsogrid.config_file import parse
from tsogrid.errors import ConfigError


def refused(content):
    with pytest.raises(ConfigError) as error:
        tsogrid.Config.from_mapping(content)
    return str(error.value)


def test_defaults_follow_the_largest_radius():
    config = tsogrid.Config.from_mapping({"apertures": [{"radius": "2:6:0.5"}]} | {})
    assert config.radii == [2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6]
    assert config.sky == [[Annulus(inner=9, outer=15, statistic="clipped-median")]]
    assert tsogrid.Config().radii == [3, 4, 5]


def test_circles_come_first_and_ascend():
    config = tsogrid.Config.from_mapping({"apertures": [{"shape": "frame"}, {"radius": [5, 3]}, {"radius": 4}]})
    assert [label for aperture in config.apertures for label in aperture.labels] == ["r3", "r4", "r5", "frame"]


def test_the_jwst_preset_is_the_pipelines():
    config = tsogrid.Config.from_mapping({"preset": "jwst", "center": {"position": "frame"}})
    assert (config.input.error, config.calibrate.dq, config.photometry.variance_weight) == ("err", [], "w")
    assert (config.center.search_box, config.center.fit_box, config.center.position) == (41, 11, "frame")
    assert config.sky == [[Annulus(inner=4, outer=5, statistic="mean")]]
    assert config.radii == [3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"centre": {}}, "centre: unknown key; did you mean center?"),
        ({"center": {"serch_box": 3}}, "center.serch_box: unknown key; did you mean search_box?"),
        ({"sky": [[{"method": "annulus", "iner": 1, "outer": 3}]]}, "iner: unknown key; did you mean inner?"),
        ({"sky": [{"method": "annulus", "inner": 5, "outer": 3}]}, "expected inner < outer, found inner 5 and outer 3"),
        ({"apertures": [{"radius": -1}]}, "greater than 0 (found -1"),
        ({"sources": [{"name": "a", "x": "left", "y": 1}]}, "sources.0.x"),
        ({"sources": [{"name": "a", "x": 1}]}, "needs either x and y"),
        ({"sources": [{"name": "a", "x": 1, "y": 1}] * 2}, "found a more than once"),
        ({"center": {"position": "file"}}, "position_file"),
        ({"center": {"method": "none"}}, "needs a method that measures"),
        ({"center": {"position_file": "a.csv"}}, "read with position: file, found position: frame"),
        ({"center": {"method": "none", "position": "fixed", "repair": 5}}, "repair mends measured centres"),
        ({"input": {"time_format": "mjd"}}, "says what a time_keyword holds"),
        ({"cluster": {"kind": "address"}}, "belong together"),
        ({"apertures": [{"radius": "5:3:1"}]}, "start ≤ stop"),
        ({"sky": [{"method": "rowamp", "amplifiers": [[4, 2]]}]}, "ascending column ranges"),
    ],
)
def test_what_is_refused(content, said):
    assert said in refused(content)


def test_ranges_include_their_end():
    assert expand_range("3:20:0.5")[-1] == 20
    assert expand_range("3:4:0.3") == [3, 3.3, 3.6, 3.9]
    assert expand_range(["1:2", 5]) == [1, 2, 5]


def test_yaml_has_no_base_sixty_numbers_and_no_repeated_keys():
    content = parse("a: 3:20:0.5\nb: 02:04:10.3\nc: 1e-3\nd: 010\ne: 2016-06-12\nf: -.5", "x")
    assert content == {"a": "3:20:0.5", "b": "02:04:10.3", "c": 1e-3, "d": 10, "e": "2016-06-12", "f": -0.5}
    with pytest.raises(ConfigError, match=r"line 1.*stands here 2 times"):
        parse("a: 1\na: 2", "x")
    with pytest.raises(ConfigError, match="x, line 2, column"):
        parse("a: [1,\nb: }", "x")


def test_sexagesimal_positions():
    config = tsogrid.Config.from_mapping({"sources": [{"name": "a", "ra": "02:04:10.3", "dec": "-46:41:16"}]})
    assert config.sources[0].ra == pytest.approx(31.042916667)
    assert config.sources[0].dec == pytest.approx(-46.687777778)


def test_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "night.yaml").write_text("input: {files: [data/*.fits], gain: EGAIN}\noutput: {store: night.zarr}\n")
    config = tsogrid.Config.from_yaml(tmp_path / "night.yaml")
    assert config.input.files == [str(tmp_path / "data/*.fits")]
    assert config.output.store == str(tmp_path / "night.zarr")
    assert config.input.gain == "EGAIN"


def test_overrides_reach_into_defaults(tmp_path):
    (tmp_path / "night.yaml").write_text("apertures: [{radius: 4}]\n")
    overrides = {"sky.0.inner": 6, "center.search_box": 21, "apertures.0.radius": [2, 3]}
    config = tsogrid.Config.from_yaml(tmp_path / "night.yaml", overrides)
    assert config.sky[0][0].inner == 6
    assert config.center.search_box == 21
    assert config.radii == [2, 3]
    with pytest.raises(ConfigError, match=r"--set sky\.7\.inner: no such key"):
        tsogrid.Config.from_yaml(tmp_path / "night.yaml", {"sky.7.inner": 6})


def test_the_scientific_part_has_no_paths(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "input: {files: [x.fits], exclude: [y.fits]}\noutput: {store: a.zarr, block: 7}\ncluster: {kind: local}\n"
    )
    config = tsogrid.Config.from_yaml(tmp_path / "a.yaml")
    assert str(tmp_path) not in str(config.scientific())
    assert config.scientific() == tsogrid.Config().scientific()

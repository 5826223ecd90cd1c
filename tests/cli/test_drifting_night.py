"""A real night whose field drifts by hundreds of pixels, from the files and three positions to a transit."""

import json

import numpy as np
import pytest

import tsogrid
from tests.samples import SHARED
from tsogrid.cli.main import main
from tsogrid.simulate import transit_shape

FOLDER = SHARED / "hatp32"
NIGHT = """
input: {{files: [{files}]}}
sources:
  - {{name: target, x: 424, y: 286}}
  - {{name: comp1, x: 465, y: 183, role: reference}}
  - {{name: comp2, x: 512, y: 263, role: reference}}
output: {{store: night.zarr}}
cluster: {{kind: none}}
"""
DURATION = 3.12 / 24  # days, first to fourth contact (Hartman et al. 2011, ApJ 742, 59)


def tsogrid_command(*words):
    with pytest.raises(SystemExit) as left:
        main(list(words))
    assert not left.value.code


def relative_curve(result):
    flux = result.flux.sel(radius=3.0).isel(sky=0)
    curve = (flux.isel(source=0) / flux.isel(source=[1, 2]).sum("source")).to_numpy()
    return np.asarray(result.time), curve / np.median(curve)


def fitted_depth(time, curve):
    """Depth of the best transit over a line in time, its middle found on a grid."""
    best = (np.inf, np.nan)
    for middle in np.linspace(time[0] + 0.06, time[-1] - 0.06, 120):
        shape = transit_shape(time, middle, DURATION, ratio=0.15, impact=0.1)
        terms = np.stack([np.ones_like(time), time - time.mean(), -shape], axis=1)
        solution, rest, *_ = np.linalg.lstsq(terms, curve, rcond=None)
        if rest.size and rest[0] < best[0]:
            best = (rest[0], solution[2] / solution[0])
    return best[1]


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER.is_dir(), reason="the sample data are not here")
@pytest.mark.filterwarnings("ignore:The frames carry no errors")
@pytest.mark.parametrize("step", [1, 2])
def test_from_the_files_and_three_positions_to_the_transit(step, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    files = [f'"{FOLDER}"'] if step == 1 else [f'"{path}"' for path in sorted(FOLDER.glob("*.FITS"))[::step]]
    (tmp_path / "night.yaml").write_text(NIGHT.format(files=", ".join(files)))
    tsogrid_command("run", "night.yaml", "--dry-run")
    assert "register   auto: by the 200 brightest stars of frame 0 (HATP-32171220013343.FITS)" in capsys.readouterr().out
    tsogrid_command("run", "night.yaml")
    result = tsogrid.open_result(tmp_path / "night.zarr").compute()
    assert (result.flags == 0).all()
    assert (result.frame_flags == 0).all()
    assert result.frame_shift_x.min() < -250
    for name, values in result.data_vars.items():
        if values.dtype.kind == "f" and not name.endswith("_err"):
            assert np.isfinite(values).all(), name
    time, curve = relative_curve(result)
    assert np.std(np.diff(curve)) / np.sqrt(2) < 0.00595
    assert 0.018 < fitted_depth(time, curve) < 0.027
    assert json.loads(result.attrs["config"])["center"]["registration"]["frame"] == 0

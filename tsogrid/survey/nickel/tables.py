"""The catalogue of a frame as a CSV table: the columns, order and formats that pipnick's tables have, and more."""

from pathlib import Path

import numpy as np

from tsogrid.survey.catalogue import Catalogue

_WHOLE = "{:.0f}"
_FLOAT = "{:.3f}"
FORMATS = {
    "group_id": _WHOLE, "group_size": _WHOLE, "flags": _WHOLE, "x_fit": _FLOAT, "y_fit": _FLOAT, "flux_psf": _FLOAT,
    "flux_aper": _FLOAT, "ratio_flux": _FLOAT, "local_bkg": _FLOAT, "x_err": _FLOAT, "y_err": _FLOAT, "flux_err": _FLOAT,
    "airmass": _FLOAT, "id": _WHOLE, "iter_detected": _WHOLE, "npixfit": _WHOLE, "qfit": _FLOAT, "cfit": _FLOAT,
    "ra": "{:.7f}", "dec": "{:.7f}", "time": "{:.8f}", "filter": "{}", "exptime": _FLOAT,
    "mag": "{:.4f}", "mag_err": "{:.4f}",
}  # fmt: skip


def write_table(path: Path, catalogue: Catalogue) -> None:
    """Write a catalogue, whole or not at all.

    Parameters
    ----------
    path : Path
        Of the table; its folder is made.
    catalogue : Catalogue
        Of a frame.
    """
    count = len(catalogue)
    columns = {name: catalogue.columns.get(name, np.full(count, catalogue.image.get(name, ""))) for name in FORMATS}
    cells = [[form.format(value) for value in columns[name]] for name, form in FORMATS.items()]
    lines = [",".join(FORMATS), *(",".join(row) for row in zip(*cells, strict=True))]
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.partial")
    beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
    beside.replace(path)

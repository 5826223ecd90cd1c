"""What calibration a configuration asks for, in words: headers are read, and no master is made."""

import numpy as np

from tsogrid.config import Config, Master
from tsogrid.engine.electronics import electronics_of
from tsogrid.io.calibration_frames import calibration_files, is_raw


def announced(config: Config, sections: str, shape: tuple[int, int]) -> list[str]:
    """Say which calibration will be applied, before any master is made.

    Parameters
    ----------
    config : Config
        Its ``calibrate`` and ``input``.
    sections : str
        Those of the first frame's header.
    shape : (int, int)
        Rows and columns of a frame.

    Returns
    -------
    list of str
        One line a step.

    Raises
    ------
    ConfigError, InputError
        Files or sections that are missing.
    """
    calibrate = config.calibrate
    lines = list(electronics_of(calibrate.overscan, sections, shape, np.zeros(shape, bool))[0].lines)
    for what in ("bias", "dark", "flat"):
        master: Master | None = getattr(calibrate, what)
        if master is not None:
            files = calibration_files(master, config.input, what)
            kind = f"from {len(files)} raw frames" if is_raw(master) else "the master"
            more = f" … {files[-1].name}" if len(files) > 1 else ""
            seconds = sorted({file.exposure for file in files if file.exposure is not None}) if what == "dark" else []
            filters = sorted({file.filter for file in files if file.filter}) if what == "flat" else []
            told = [*(f"{each:g} s" for each in seconds), *filters]
            lines.append(f"{what} {kind} {files[0].name}{more}" + (f" ({', '.join(told)})" if told else ""))
    if calibrate.bad_columns:
        lines.append(f"{len(calibrate.bad_columns)} bad columns")
    if calibrate.cosmic_rays is not None:
        lines.append("cosmic rays, frame by frame")
    return lines

"""``ds.tso``: the methods of a result, each one call into the module that does it."""

from typing import Any

import pandas as pd
import xarray as xr

from tsogrid.analysis.dataframe import to_dataframe


@xr.register_dataset_accessor("tso")
class TsoAccessor:
    """Methods of a tsogrid result, reached as ``result.tso``."""

    def __init__(self, result: xr.Dataset) -> None:
        self._result = result

    def to_dataframe(self, sky: Any = None) -> pd.DataFrame:
        """Make a flat table; see `tsogrid.analysis.dataframe.to_dataframe`."""
        return to_dataframe(self._result, sky)

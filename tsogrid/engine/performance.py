"""dask's performance report of a run: an HTML page of what every worker did, and when."""

import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tsogrid.config import ClusterConfig
from tsogrid.errors import ConfigError


def require_workers(config: ClusterConfig, kind: str) -> str:
    """Give the kind of cluster of a run that is reported: one with workers.

    Parameters
    ----------
    config : ClusterConfig
        As configured.
    kind : str
        As the run would have it.

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        The configuration wants no workers, or bokeh is missing.
    """
    if importlib.util.find_spec("bokeh") is None:
        raise ConfigError('a performance report needs the package bokeh, found none: python -m pip install "tsogrid[hpc]"')
    if config.kind == "none":
        raise ConfigError(
            "a performance report tells of workers: expected a cluster, found kind none. Give --cluster local."
        )
    return "local" if kind == "none" else kind


@contextmanager
def reported(client: Any | None, path: str | Path | None) -> Iterator[None]:
    """Write a performance report of what is done meanwhile.

    Parameters
    ----------
    client : distributed.Client or None
        Of the cluster.
    path : path-like or None
        Where; None: no report.
    """
    if client is None or path is None:
        yield
        return
    from distributed import performance_report

    with ExitStack() as stack:
        stack.enter_context(client.as_current())
        stack.enter_context(performance_report(filename=str(Path(path).resolve())))
        yield

"""Serve the explorer's page on this machine's loopback, until stopped."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tsogrid.config import Storage
from tsogrid.engine.store import open_result
from tsogrid.errors import ConfigError, RunError
from tsogrid.view.explore.data import Explored
from tsogrid.view.explore.page import Page
from tsogrid.view.explore.settings import first_settings, read_settings
from tsogrid.view.report_frames import find_frames

HOST = "127.0.0.1"  # nobody else reaches it: whoever does could read the frames


def explore(
    store: str | Path,
    frames: Any = None,
    *,
    settings: str | Path | None = None,
    port: int = 0,
    show: bool = True,
    started: Callable[[str, str], None] | None = None,
    storage: Storage | dict[str, Any] | None = None,
    block: bool = True,
) -> Any:
    """Serve a page that shows a result, point by point, with its frames.

    Parameters
    ----------
    store : path-like
        A result of `tsogrid.run`.
    frames : Dataset, path or list of paths, optional
        The frames; looked for beside the store, and where its configuration says, if not given.
    settings : path-like, optional
        YAML that the page exported.
    port : int
        Of the server; 0: any that is free.
    show : bool
        Open the page in a browser.
    started : callable, optional
        Told the page's address and which frames are shown.
    storage : Storage or dict, optional
        How a store in a bucket is reached.
    block : bool
        Serve until stopped; else give the server back, which runs in a thread.

    Returns
    -------
    server or None

    Raises
    ------
    ConfigError
        A package is missing, or the settings do not fit.
    StoreError
        There is no result.
    RunError
        The port is in use.
    """
    if importlib.util.find_spec("panel") is None:
        raise ConfigError('explore: expected the package panel, found none. pip install "tsogrid[explore]" installs it.')
    import panel as pn

    result = open_result(store, storage)
    chosen = first_settings(result) if settings is None else read_settings(settings, result)
    explored, found, title = Explored(result), find_frames(result, frames), Path(store).name

    def page() -> Any:
        return Page(explored, found, chosen, title).layout()

    pn.extension(notifications=False)
    try:
        server = pn.serve(
            {"/": page}, address=HOST, port=port, show=False, start=False, title=f"{title} – tsogrid",
            websocket_origin=None, verbose=False,
        )  # fmt: skip
    except OSError as error:
        raise RunError(f"explore: port {port} could not be used ({error.strerror}). Choose another --port, or 0.") from None
    address = f"http://{HOST}:{server.port}/"
    if started is not None:
        started(address, found.said)
    return _serve(server, address if show else None, block)


def _serve(server: Any, address: str | None, block: bool) -> Any:
    import webbrowser
    from threading import Thread

    server.start()
    if address is not None:
        webbrowser.open(address)
    if not block:
        Thread(target=server.io_loop.start, daemon=True, name="tsogrid-explore").start()
        return server
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
    return None

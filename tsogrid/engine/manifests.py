"""A manifest made over a cluster: workers read headers, some hundred files a task, and one file keeps what they found.

What no worker could read, or sees under another path, is left to whoever opens the frames.
"""

import math
from collections.abc import Callable
from pathlib import Path

from tsogrid.config import Config
from tsogrid.engine import cluster, errand
from tsogrid.engine.worker_watch import watched
from tsogrid.errors import RunError
from tsogrid.io.files import resolve
from tsogrid.io.manifest import Recorder, read_manifest, split_text, state_of, write_manifest

FILES_A_TASK = 200


def make_manifest(config: Config, path: Path, say: Callable[[str], None] = lambda message: None) -> int:
    """Read the headers of files on a cluster and keep them.

    Parameters
    ----------
    config : Config
        Its ``input`` says which files, its ``cluster`` where.
    path : Path
        The manifest; files that it holds unchanged are not read again.
    say : callable, optional
        Told what the user should know.

    Returns
    -------
    int
        Files that workers have read.

    Raises
    ------
    InputError
        No such files, or something else than a manifest stands at `path`.
    RunError
        There were no workers, or they could not do it.
    """
    paths = resolve(config.input.files, config.input.exclude, config.input.storage)
    manifest, note = read_manifest(path)
    if note:
        say(note)
    states = {each: state_of(each) for each in paths}  # of a URL None: it is left to who opens the frames
    missing = [each for each in paths if states[each] is not None and not manifest.is_unchanged(each, states[each])]
    tasks = [missing[at : at + FILES_A_TASK] for at in range(0, len(missing), FILES_A_TASK)]
    kind = cluster.resolve_kind(config.cluster, math.inf)
    if not tasks or kind == "none":
        return 0
    recorder, taken = Recorder(), set[str]()
    with cluster.connect(config.cluster, kind, len(tasks), path) as client:
        futures = [client.submit(errand.scanned, task, pure=False) for task in tasks]
        with watched(client, config.cluster.worker_timeout, say) as watch:
            watch.waiting = futures
            for future in futures:
                try:
                    arrays = future.result()
                except Exception as error:  # of a worker, of any type
                    reason = watch.reason or f"cluster: the headers could not be read by workers ({error})"
                    raise RunError(reason) from None
                watch.ended += 1
                recorder.take(arrays, lambda path: True)
                taken.update(split_text(arrays["paths"]))
    recorder.take(manifest.arrays, lambda path: path not in taken)
    if problem := write_manifest(path, recorder.arrays()):
        say(problem)
    return len(taken)

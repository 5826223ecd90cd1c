"""A night while it goes on: frames are measured as they land, and the plot follows.

Each step is an extension of the store, so that whatever was measured before, in whatever order frames come and wherever the
watch is killed, the result is that of a fresh run over the frames that are there. What a store cannot know, that the pixels
of a file have changed under the same header, is kept in a small file beside it.
"""

import json
import os
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from threading import Event
from typing import Any

import xarray as xr

from tsogrid.config import Config
from tsogrid.engine.identity import identity_of
from tsogrid.engine.place import Folder
from tsogrid.engine.plan_identity import input_name
from tsogrid.engine.run import Progress, Silent, run, store_place
from tsogrid.errors import ConfigError, InputError, StoreError, TsogridError, TsogridWarning
from tsogrid.io.arrivals import Arrivals, Look, Signature, signature_of
from tsogrid.io.files import natural_key
from tsogrid.io.frames import open_frames
from tsogrid.view.night import save_night

UNKNOWN: Signature = (-1, -1)  # of a file that has to be measured again
RETRY = 10.0  # seconds after which a step that failed is tried again, if nothing has come meanwhile
FEW = 50  # frames that are quicker measured here than on processes that have to be started


@dataclass(frozen=True)
class Patience:
    """How a watch waits, in seconds.

    Parameters
    ----------
    every : float
        Between two looks at the folder.
    settle : float
        That a file must have stood still to count as written.
    broken : float
        After which a file that is not whole is set aside.
    idle : float, optional
        Without a new frame, after which the watch ends.
    """

    every: float = 2.0
    settle: float = 3.0
    broken: float = 60.0
    idle: float | None = None


def watch(
    folder: str | Path,
    config: Config,
    *,
    patience: Patience | None = None,
    once: bool = False,
    until: int | None = None,
    plot: str | Path | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> xr.Dataset | None:
    """Measure frames as they land in a folder, until told to stop.

    Parameters
    ----------
    folder : path-like
        Where frames come. Where ``input.files`` of the configuration names patterns in this folder, only what they fit
        counts.
    config : Config
        What to measure, with ``output.store``.
    patience : Patience, optional
        How it waits.
    once : bool
        End when every file that is there is measured or set aside.
    until : int, optional
        End when so many frames are measured.
    plot : path-like, optional
        The picture that is kept current, by its suffix PNG, PDF or SVG; none if not given.
    progress : Progress, optional
        Who is told what comes and what is done.
    stop : threading.Event, optional
        Ends the watch once it is set, after the step that is under way.

    Returns
    -------
    Dataset or None
        The result as it stands at the end; None if no frame has come.

    Raises
    ------
    TsogridError
        The configuration cannot be used, or the folder cannot be read. What is wrong with a file is said, and the others are
        measured.
    """
    if re.match(r"[A-Za-z0-9+]{2,}:/", str(folder)):  # a Path has one slash of the two
        raise InputError(
            f"{folder}: expected a folder of this machine, found a URL: only local folders can be watched. Measure remote "
            "frames with tsogrid run, and new ones with --extend."
        )
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise InputError(f"{path}: expected a folder into which frames come, found none.")
    patience, stop = patience or Patience(), stop or Event()
    arrivals = Arrivals(path, _wanted(path, config), patience.settle, patience.broken)
    following = _Following(config, arrivals, progress or Silent(), None if plot is None else Path(plot))
    last = time.monotonic()
    while True:
        look = arrivals.look()
        following.tell(look.broken)
        if following.step(look.whole):
            last = time.monotonic()
        count = following.frames
        done = once and not look.waiting and following.is_settled(arrivals.look())
        enough = until is not None and count >= until
        tired = patience.idle is not None and not look.waiting and time.monotonic() - last >= patience.idle
        if once and done and following.error is not None:
            raise following.error
        if done or enough or tired or stop.wait(patience.every):
            return following.result


def _wanted(folder: Path, config: Config) -> Callable[[str], bool]:
    """What of a folder is meant: all frames, or those that the configuration's patterns in it fit; less exclusions."""
    given = [os.path.abspath(os.path.expanduser(name)) for name in config.input.files]
    patterns = [name for name in given if os.path.dirname(name) == str(folder)]

    def wanted(path: str) -> bool:
        name = os.path.basename(path)
        out = any(fnmatch(name, pattern) or fnmatch(path, pattern) for pattern in config.input.exclude)
        return not out and (not patterns or any(fnmatch(path, pattern) for pattern in patterns))

    return wanted


class _Following:
    """One store and the files that it follows."""

    def __init__(self, config: Config, arrivals: Arrivals, progress: Progress, plot: Path | None) -> None:
        self.config, self.arrivals, self.progress, self.plot = config, arrivals, progress, plot
        place = store_place(config)
        if not isinstance(place, Folder):
            raise ConfigError(
                f"{place}: a watch keeps its store in a folder, looked at every few seconds. Give --store a path, or "
                "run with --extend when frames have come."
            )
        self.store = place.path
        self.record = self.store.parent / f".{self.store.name}.seen"
        self.result: xr.Dataset | None = None
        self._measured: dict[str, Signature] | None = None  # as of the last step that went well
        self._failed: dict[str, Signature] | None = None  # what a step was given that did not, and when it is tried again
        self._again = 0.0
        self.error: TsogridError | OSError | None = None
        self._said: set[str] = set()

    @property
    def frames(self) -> int:
        return 0 if self.result is None else self.result.sizes["time"]

    def is_settled(self, look: Look) -> bool:
        """Whether nothing of a folder is left to do, or nothing more can be done."""
        self.tell(look.broken)
        return not look.waiting and (not look.whole or look.whole in (self._measured, self._failed))

    def tell(self, broken: dict[str, str]) -> None:
        """Name files that are set aside, each once for each reason."""
        for reason in broken.values():
            self._say_once(f"set aside until it changes: {reason}")

    def step(self, files: dict[str, Signature]) -> bool:
        """Bring the store up to the files that are there; whether it has moved on."""
        if not files or files == self._measured or (files == self._failed and time.monotonic() < self._again):
            return False
        try:
            self.result = self._extended(files)
        except ConfigError:
            raise
        except (TsogridError, OSError) as error:
            odd = self._odd_ones(files) if isinstance(error, InputError) else {}
            for path, reason in odd.items():
                self.arrivals.set_aside(path, reason)
            if not odd:
                self._say_once(str(error))
                self._failed, self._again, self.error = files, time.monotonic() + RETRY, error
            return False
        if {path: signature_of(path) for path in files} == files:
            self._measured = files  # else a file changed while it was measured, and the next look tells
        self._failed = self.error = None
        self._draw()
        return True

    def _odd_ones(self, files: dict[str, Signature]) -> dict[str, str]:
        """Find new files that do not belong to the series, and say why: beside one that does, they cannot be opened.

        What belongs is measured already, or has the size that most files have.
        """
        is_known = self._is_stored()
        known = {path: files[path] for path in files if is_known(Path(path).name)}
        sizes = Counter(size for size, _ in (known or files).values())
        model = next(path for path, (size, _) in (known or files).items() if size == sizes.most_common(1)[0][0])
        odd = {}
        for path in files.keys() - known.keys() - {model}:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    open_frames(self.config.observed.model_copy(update={"files": [model, path]}))
                except InputError as error:
                    odd[path] = str(error)
        return odd

    def _is_stored(self) -> Callable[[str], bool]:
        """Whether the store holds a file of a name."""
        found = identity_of(self.store)
        names = {item["name"] for item in found["identity"]["inputs"]} if found else set()
        return lambda name: input_name(self.config, name) in names

    def _extended(self, files: dict[str, Signature]) -> xr.Dataset:
        is_known, record = self._is_stored(), self._read()
        named = {Path(path).name: signature for path, signature in files.items()}
        new = [name for name in named if not is_known(name)]
        changed = [name for name in named if is_known(name) and record.get(name, named[name]) != named[name]]
        # A file that has changed is struck off before it is measured, and stands there again only when that is done: killed
        # between the two, the next watch measures it once more.
        self._write(record | {name: named[name] for name in new} | dict.fromkeys(changed, UNKNOWN))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", TsogridWarning)
            told = _Quiet(self.progress, self._say_once)
            result = run(
                self._configured(list(files), len(new) + len(changed)), mode="extend", progress=told, changed=changed
            )
        for each in caught:
            self._say_once(f"warning: {each.message}")
        self._write(named)
        count, come = result.sizes["time"], result.sizes["time"] - (self.frames or len(named) - len(new))
        if come or changed or self.result is None:
            again = f"; measured again: {', '.join(changed[:5])}{' …' if len(changed) > 5 else ''}" if changed else ""
            self.progress.say(f"{count} frames ({come:+d}) in {self.store.name}{again}")
        return result

    def _configured(self, files: list[str], fresh: int) -> Config:
        update: dict[str, Any] = {"input": self.config.input.model_copy(update={"files": sorted(files, key=natural_key)})}
        if self.config.cluster.kind == "auto" and fresh <= FEW:
            update["cluster"] = self.config.cluster.model_copy(update={"kind": "none"})
        return self.config.model_copy(update=update)

    def _draw(self) -> None:
        if self.plot is None or self.result is None:
            return
        try:
            save_night(self.result, self.plot)
        except (TsogridError, ValueError, OSError) as error:
            self._say_once(f"{self.plot}: not drawn: {error}")

    def _say_once(self, text: str) -> None:
        """Say what was not said before; other numbers in the same words are no news."""
        words = re.sub(r"\d+(\.\d+)?", "#", text) if text.startswith("warning") else text
        if words not in self._said:
            self._said.add(words)
            self.progress.say(text)

    def _read(self) -> dict[str, Signature]:
        with suppress(OSError, ValueError, TypeError):
            content = json.loads(self.record.read_text(encoding="utf-8"))
            return {str(name): (int(size), int(when)) for name, (size, when) in content.items()}
        return {}

    def _write(self, record: dict[str, Signature]) -> None:
        beside = self.record.with_name(f"{self.record.name}.{os.getpid()}")
        try:
            with beside.open("w", encoding="utf-8") as file:
                json.dump(record, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.record)
        except OSError as error:
            raise StoreError(f"{self.record}: cannot be written: {error.strerror or error}.") from None


class _Quiet:
    """The progress of a step: as it is, but for what is no news in a watch."""

    def __init__(self, progress: Progress, once: Callable[[str], None]) -> None:
        self.begin, self.advance, self._once = progress.begin, progress.advance, once

    def say(self, message: str) -> None:
        if not message.endswith("nothing to do."):
            self._once(message)

"""A configuration while it is made of tshirt's parameters: its keys, a word on each, and where its files lie."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tsogrid.compat.tshirt_keys import Parameters
from tsogrid.errors import TsogridError
from tsogrid.io.cards import Cards, first_value
from tsogrid.io.files import resolve
from tsogrid.io.fits import FitsFile, Unit, scan


@dataclass
class Frames:
    """What the first of a run's files says; empty where there is none yet."""

    count: int = 0
    width: int = 0
    headers: Sequence[Cards] = ()

    def value(self, keyword: str) -> Any:
        """Give the value of a header keyword, or None."""
        return first_value(self.headers, keyword)


@dataclass
class Draft:
    """What a run's configuration is made of.

    Parameters
    ----------
    parameters : Parameters
        Of this run.
    folder : Path
        Where the parameter file lies.
    """

    parameters: Parameters
    folder: Path
    content: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    unneeded: list[str] = field(default_factory=list)
    frames: Frames = field(default_factory=Frames)

    def put(self, key: str, value: Any, comment: str = "") -> None:
        """Set a key, ``section.key`` or a section that is a list, with a word on where it comes from."""
        section, _, name = key.partition(".")
        if name:
            self.content.setdefault(section, {})[name] = value
        else:
            self.content[section] = value
        if comment:
            self.comments[key] = comment

    def differs(self, words: str) -> None:
        """Note where a number will not be tshirt's, and why."""
        self.differences.append(words)

    def skip(self, name: str, words: str) -> None:
        """Note a parameter that has nothing to say here, if the file gives it."""
        if name in self.parameters.given:
            self.unneeded.append(f"{name}: {words}")

    def path(self, name: str) -> str:
        """Find the file or pattern that a parameter names: beside the parameter file, else in the working folder.

        Parameters
        ----------
        name : str
            The parameter.

        Returns
        -------
        str
            An absolute path; one beside the parameter file where nothing was found.
        """
        given = Path(self.parameters[name]).expanduser()
        beside, here = str(self.folder / given), str(Path.cwd() / given)
        if given.is_absolute() or beside == here or glob.glob(beside):
            return beside
        if glob.glob(here):
            self.unneeded.append(f"{name}: found in the working folder, as tshirt has it, and not beside the parameter file")
            return here
        return beside


def first_frames(pattern: str, exclude: Sequence[str], image: int | str, header: int | str) -> Frames:
    """Look into the first of a run's files.

    Parameters
    ----------
    pattern : str
        The files.
    exclude : sequence of str
        Names that are left out.
    image, header : int or str
        Extensions of the image and of the keywords.

    Returns
    -------
    Frames
        Empty where there is no file, or none that can be read: the run itself will say so.
    """
    try:
        files = resolve([pattern], exclude)
        first = scan(files[0])
        science, keywords = _unit(first, image), _unit(first, header)
    except (TsogridError, IndexError):
        return Frames()
    axes = science.axes
    return Frames(len(files), axes[-1] if axes else 0, [keywords.header, science.header, first.primary])


def _unit(file: FitsFile, name: int | str) -> Unit:
    if isinstance(name, int):
        return file.units[name]
    found = file.find(name.upper())
    if found is None:
        raise IndexError(name)
    return found

"""From the options of a command to configurations: the file, and what the command line says over it.

The file is a configuration, or a parameter file of tshirt, which may hold a batch of runs.
"""

import re
import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsogrid.config import Config

SUFFIXES = (".yaml", ".yml")
_ADVISED = re.compile(r"--set ([\w.]+)=")  # the key that a warning names as the other way


def is_configuration(name: str) -> bool:
    """Whether a name means a configuration file and not frames."""
    return Path(name).suffix.lower() in SUFFIXES


def settings(given: Sequence[str]) -> dict[str, Any]:
    """Read the values of ``--set``: ``key=value``, the value as in YAML.

    Parameters
    ----------
    given : sequence of str
        For example ``sky.0.inner=10`` or ``input.exclude=[a.fits, b.fits]``.

    Returns
    -------
    dict
        Dotted key → value.

    Raises
    ------
    ConfigError
        There is no ``=``, or the value is not YAML.
    """
    from tsogrid.config_file import parse
    from tsogrid.errors import ConfigError

    values = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {each}: expected key=value, for example --set sky.0.inner=10.")
        values[key.strip()] = parse(value, f"--set {key.strip()}")
    return values


def configured(
    path: Path,
    files: Sequence[str] = (),
    given: Sequence[str] = (),
    *,
    store: str | Path | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    block: int | None = None,
) -> "list[Config]":
    """Read a file with what the command line sets over it.

    Parameters
    ----------
    path : Path
        The YAML file: a configuration, or tshirt's parameters.
    files : sequence of str
        In place of ``input.files``.
    given : sequence of str
        Values of ``--set``.
    store : path-like, optional
        In place of ``output.store``; if neither says, the file's name with ``.zarr``, beside it.
    cluster : str, optional
        A kind, or the address of a scheduler.
    workers, block : int, optional
        In place of ``cluster.workers`` and ``output.block``.

    Returns
    -------
    list of Config
        One; of a batch in tshirt's parameters one a run.

    Raises
    ------
    ConfigError
        See `tsogrid.Config.from_yaml` and `tsogrid.compat.tshirt.convert`; or one store is named for several runs.

    Warns
    -----
    TsogridWarning
        Of tshirt's parameters: where the numbers will not be tshirt's, and why.
    """
    over = settings(given)
    if files:
        over["input.files"] = list(files)
    if store is not None:
        over["output.store"] = str(store)
    if block is not None:
        over["output.block"] = block
    if workers is not None:
        over["cluster.workers"] = workers
    of_cluster = {key: over.pop(key) for key in list(over) if key.partition(".")[0] == "cluster"}
    return [_with_store(on_cluster(config, cluster, of_cluster), path) for config in _read(path, over)]


def on_cluster(config: "Config", given: str | None, over: dict[str, Any]) -> "Config":
    """Set another kind of cluster, which forgets what only the one in the file knew, and then the keys that are set."""
    from tsogrid.config import Config, section_of_kind
    from tsogrid.config_file import overridden

    given = given if given is not None else over.pop("cluster.kind", over.pop("cluster", None))
    if given is None and not over:
        return config
    section = config.cluster.model_dump(mode="json", exclude_unset=True)
    if given is not None:
        section = section_of_kind(section, str(given))
    if "cluster.workers" in over:
        section.pop("adaptive", None)
    content = overridden({"cluster": section}, over, Config)
    return config.model_copy(
        update={"cluster": Config.from_mapping(content, where="the cluster of the command line").cluster}
    )


def _read(path: Path, over: dict[str, Any]) -> "list[Config]":
    from tsogrid.compat.tshirt import convert, is_tshirt
    from tsogrid.config import Config
    from tsogrid.config_file import load, overridden
    from tsogrid.errors import ConfigError, TsogridWarning

    content = load(path)
    if not is_tshirt(content):
        return [Config.from_yaml(path, over)]
    conversion = convert(content, path)
    if len(conversion.runs) > 1 and "output.store" in over:
        raise ConfigError(
            f"{path} is a batch of {len(conversion.runs)} runs, and each needs a store of its own: leave --store out "
            "(srcNameShort and nightName name them), or write them apart with `tsogrid convert --output`."
        )
    for words in conversion.differences:
        if not any(key in over for key in _ADVISED.findall(words)):  # who has set the key has decided
            warnings.warn(f"tshirt: {words}", TsogridWarning, stacklevel=2)
    return [Config.from_mapping(overridden(deepcopy(run.content), over, Config), where=run.where) for run in conversion.runs]


def _with_store(config: "Config", path: Path) -> "Config":
    if config.output.store is not None:
        return config
    beside = path.resolve().with_suffix(".zarr")
    return config.model_copy(update={"output": config.output.model_copy(update={"store": str(beside)})})

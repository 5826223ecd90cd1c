"""From the options of a command to a configuration: the file, and what the command line says over it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsogrid.config import Config

SUFFIXES = (".yaml", ".yml")


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
    store: Path | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    block: int | None = None,
) -> "Config":
    """Read a configuration with what the command line sets over it.

    Parameters
    ----------
    path : Path
        The YAML file.
    files : sequence of str
        In place of ``input.files``.
    given : sequence of str
        Values of ``--set``.
    store : Path, optional
        In place of ``output.store``; if neither says, the file's name with ``.zarr``, beside it.
    cluster : str, optional
        A kind, or the address of a scheduler.
    workers, block : int, optional
        In place of ``cluster.workers`` and ``output.block``.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        See `tsogrid.Config.from_yaml`.
    """
    from tsogrid.config import Config

    over = settings(given)
    if files:
        over["input.files"] = list(files)
    if store is not None:
        over["output.store"] = str(store)
    if block is not None:
        over["output.block"] = block
    if cluster is not None:
        is_address = "://" in cluster
        over["cluster.kind"] = "address" if is_address else cluster
        over["cluster.address"] = cluster if is_address else None
    if workers is not None:
        over["cluster.workers"] = workers
    config = Config.from_yaml(path, over)
    if config.output.store is None:
        beside = path.resolve().with_suffix(".zarr")
        config = config.model_copy(update={"output": config.output.model_copy(update={"store": str(beside)})})
    return config

"""Encryption between client, scheduler and workers: distributed's Security, from files or made for one run.

What is made for one run lies in a folder that its user alone may enter, which the workers' jobs read and which goes with
the cluster.
"""

import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tsogrid.config import AddressCluster, QueueCluster, TlsFiles
from tsogrid.config.cluster import PATH_CHARACTERS
from tsogrid.errors import ConfigError, TsogridWarning


def from_files(files: TlsFiles) -> Any:
    """Make a Security whose roles share one certificate.

    Parameters
    ----------
    files : TlsFiles
        Paths of PEM files.

    Returns
    -------
    distributed.Security

    Raises
    ------
    ConfigError
        A file is missing.
    """
    from distributed.security import Security

    for key, path in files.model_dump().items():
        if not Path(path).is_file():
            raise ConfigError(f"cluster.security.{key}: expected a PEM file, found none at {path}.")
    roles = ("client", "scheduler", "worker")
    certificates = {
        f"tls_{role}_{what}": path for role in roles for what, path in (("cert", files.cert), ("key", files.key))
    }
    return Security(require_encryption=True, tls_ca_file=files.ca_file, **certificates)


def of_address(config: AddressCluster) -> Any | None:
    """Give the Security for a scheduler that runs already; None for plain TCP.

    Raises
    ------
    ConfigError
        ``tls://`` without certificates, neither in the configuration nor in dask's own.
    """
    if not config.address.startswith("tls://"):
        return None
    if config.security is not None:
        return from_files(config.security)
    from distributed.security import Security

    known = Security()  # of dask's configuration: files, or DASK_DISTRIBUTED__COMM__TLS__...
    if known.tls_ca_file is None:
        raise ConfigError(
            f"cluster.address: {config.address} needs certificates, found none. Give cluster.security with ca_file, "
            "cert and key (PEM files of the scheduler's owner)."
        )
    return known


@contextmanager
def of_jobs(config: QueueCluster, folder: Path) -> Iterator[dict[str, Any]]:
    """Give what dask-jobqueue is told of security.

    Parameters
    ----------
    config : SlurmCluster or PbsCluster
        Its ``security``.
    folder : Path
        Where a private folder for certificates is made, which the jobs can read.

    Returns
    -------
    context manager
        Of keyword arguments.

    Raises
    ------
    ConfigError
        On entering: a file is missing, or its path cannot stand in a job's script, or a package is missing.
    """
    if config.security == "none":
        warnings.warn(
            "cluster.security: none: scheduler and workers speak plain TCP; whoever reaches this host can run code as you.",
            TsogridWarning,
            stacklevel=4,
        )
        yield {"protocol": "tcp://"}
        return
    if isinstance(config.security, TlsFiles):
        for key, path in config.security.model_dump().items():
            if not re.fullmatch(PATH_CHARACTERS, path):
                raise ConfigError(f"cluster.security.{key}: expected a path without spaces and shell signs, found {path!r}.")
        yield {"security": from_files(config.security), "protocol": "tls://"}
        return
    from distributed.security import Security

    try:
        made = Security.temporary()
    except ImportError:
        raise ConfigError(
            "cluster.security: temporary certificates need the package cryptography, found none: "
            'python -m pip install "tsogrid[hpc]"'
        ) from None
    with tempfile.TemporaryDirectory(prefix=".tls-", dir=folder) as private:  # mode 0700
        files = {"ca_file": made.tls_ca_file, "cert": made.tls_scheduler_cert, "key": made.tls_scheduler_key}
        for name, content in files.items():
            path = Path(private) / f"{name}.pem"
            path.touch(mode=0o600)
            path.write_text(content)
            files[name] = str(path)
        yield {"security": from_files(TlsFiles(**files)), "protocol": "tls://"}

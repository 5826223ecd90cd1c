"""Workers in pods: the DaskCluster that dask-kubernetes' operator is given.

The scheduler runs in a pod too, behind a service that only the Kubernetes cluster reaches; this process is its client, best
in a job of that cluster.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tsogrid.config import KubernetesCluster
from tsogrid.config.cluster import DEFAULT_WORKERS
from tsogrid.engine.dask_settings import settings_in_environment
from tsogrid.errors import ConfigError, RunError

MISSING = 'kind: kubernetes needs the package dask-kubernetes, found none: python -m pip install "tsogrid[kubernetes]"'


def cluster_spec(config: KubernetesCluster) -> dict[str, Any]:
    """Make the DaskCluster.

    Parameters
    ----------
    config : KubernetesCluster
        As configured.

    Returns
    -------
    dict
        The resource, as ``kubectl apply`` would take it.

    Raises
    ------
    ConfigError
        dask-kubernetes is not installed, or the template is no DaskCluster.
    """
    if config.template is not None:
        return _read_template(Path(config.template))
    try:
        from dask_kubernetes.operator import make_cluster_spec
    except ImportError:
        raise ConfigError(MISSING) from None
    memory = config.memory.replace(" ", "").removesuffix("B").replace("ki", "Ki")  # Kubernetes writes no B
    amount = {"cpu": str(config.cores), "memory": memory}
    spec: dict[str, Any] = make_cluster_spec(
        name=config.name,
        image=config.image,
        n_workers=config.workers or (config.adaptive.min if config.adaptive else DEFAULT_WORKERS),
        resources={"requests": amount, "limits": amount},
        env=settings_in_environment() | dict(config.env),
        worker_command=["dask", "worker", "--nthreads", str(config.cores)],
    )
    pods = [spec["spec"][role]["spec"] for role in ("worker", "scheduler")]
    for pod in pods:
        pod["securityContext"] = {"runAsNonRoot": True}
        pod["containers"][0]["volumeMounts"] = [
            {"name": f"volume-{index}", "mountPath": volume.path} for index, volume in enumerate(config.volumes)
        ]
        pod["volumes"] = [
            {"name": f"volume-{index}", "persistentVolumeClaim": {"claimName": volume.claim}}
            for index, volume in enumerate(config.volumes)
        ]
    return spec


def _read_template(path: Path) -> dict[str, Any]:
    try:
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cluster.template: expected a DaskCluster as YAML at {path}, found: {error}.") from None
    if not isinstance(spec, dict) or spec.get("kind") != "DaskCluster":
        raise ConfigError(f"cluster.template: expected kind: DaskCluster in {path}, found something else.")
    return spec


@contextmanager
def kubernetes_cluster(config: KubernetesCluster) -> Iterator[Any]:
    """Start scheduler and workers in pods.

    Parameters
    ----------
    config : KubernetesCluster
        As configured.

    Returns
    -------
    context manager
        Of a ``dask_kubernetes.operator.KubeCluster``.

    Raises
    ------
    ConfigError, RunError
        On entering: dask-kubernetes is missing, or no Kubernetes or operator answers.
    """
    spec = cluster_spec(config)
    try:
        from dask_kubernetes.operator import KubeCluster
    except ImportError:
        raise ConfigError(MISSING) from None
    try:
        cluster = KubeCluster(custom_cluster_spec=spec, namespace=config.namespace, quiet=True)
    except Exception as error:  # of kr8s, httpx and dask-kubernetes, of many types
        raise RunError(
            f"cluster: no DaskCluster could be made ({type(error).__name__}: {error}). Expected a Kubernetes that "
            "`kubectl get daskclusters` reaches, with dask-kubernetes' operator in it."
        ) from None
    with cluster:
        if config.adaptive is not None:
            cluster.adapt(minimum=config.adaptive.min, maximum=config.adaptive.max)
        yield cluster

"""Clusters of other people: one that is active, one behind TLS, none at all, and pods; and what a run tells of them."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import tsogrid
from tests.engine.test_store import config_for
from tsogrid.config import Config
from tsogrid.engine import worker_watch
from tsogrid.engine.cluster import connect, resolve_kind
from tsogrid.engine.dask_settings import settings_in_environment
from tsogrid.engine.kubernetes import cluster_spec
from tsogrid.engine.run import Silent, prepared
from tsogrid.engine.store import prepare
from tsogrid.errors import ConfigError, RunError


class Heard(Silent):
    """Keeps what it is told."""

    def __init__(self):
        self.lines = []

    def say(self, message):
        self.lines.append(message)


def local(**options):
    from distributed import LocalCluster

    return LocalCluster(processes=False, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50, **options)


@pytest.mark.parametrize("kind", ["auto", "local", "slurm"])
def test_an_active_client_is_used(exposure, tmp_path, kind):
    from distributed import Client

    with local(n_workers=1, protocol="tcp") as cluster, Client(cluster) as client:
        heard = Heard()
        config = config_for(exposure.files, tmp_path / "a.zarr", cluster={"kind": kind})
        tsogrid.run(config, progress=heard)
        assert f"scheduler: {client.scheduler.address}" in heard.lines
        assert client.status == "running"  # it is left as it was
        assert resolve_kind(Config.from_mapping({"cluster": "none"}).cluster, 100) == "none"
    assert resolve_kind(config.cluster, 0) != "active"
    tsogrid.run(config_for(exposure.files, tmp_path / "b.zarr", output={"store": str(tmp_path / "b.zarr"), "block": "auto"}))
    found, other = (tsogrid.open_result(tmp_path / f"{name}.zarr") for name in "ab")
    for name in found.data_vars:
        assert found[name].to_numpy().tobytes() == other[name].to_numpy().tobytes(), name


@pytest.fixture
def certificates(tmp_path):
    """PEM files of one certificate, as an owner of a scheduler would give them."""
    pytest.importorskip("cryptography")
    from distributed.security import Security

    made = Security.temporary()
    content = {"ca_file": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}
    for name, text in content.items():
        (tmp_path / f"{name}.pem").write_text(text)
    return made, {name: str(tmp_path / f"{name}.pem") for name in content}


def test_a_scheduler_behind_tls(exposure, tmp_path, certificates):
    security, files = certificates
    with local(n_workers=1, protocol="tls", host="127.0.0.1", security=security) as cluster:
        address = {"kind": "address", "address": cluster.scheduler_address, "security": files}
        assert address["address"].startswith("tls://")
        result = tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", cluster=address))
        assert np.isfinite(result.flux[0]).all()
        del address["security"]
        with (
            pytest.raises(ConfigError, match=r"needs certificates, found none. Give cluster\.security"),
            connect(Config.from_mapping({"cluster": address}).cluster, "address"),
        ):
            pass


def test_without_workers_a_run_says_so_and_stops(exposure, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_watch, "PAUSE", 0.1)
    heard = Heard()
    with local(n_workers=0, protocol="tcp") as cluster:
        address = {"kind": "address", "address": cluster.scheduler_address, "worker_timeout": 1.5}
        with pytest.raises(RunError, match=r"no worker for 2 s at tcp://.*cluster\.worker_timeout"):
            tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", cluster=address), progress=heard)
        assert not (tmp_path / "a.zarr").exists()  # a worker's trial decides how it is laid out
        config = config_for(exposure.files, tmp_path / "a.zarr", cluster=address)
        prepare(tmp_path / "a.zarr", prepared(config)[1].with_block(4))
        with pytest.raises(RunError, match="no worker for 2 s"):
            tsogrid.run(config)
    assert any(line.startswith("no workers for 1 s; the run stops after 2 s") for line in heard.lines), heard.lines
    assert json.loads((tmp_path / "a.zarr" / "progress" / "run.json").read_text())["error"].startswith("RunError: no worker")


@pytest.mark.filterwarnings("ignore")  # of bokeh
def test_a_performance_report(exposure, tmp_path, caplog):
    pytest.importorskip("bokeh")
    config = config_for(exposure.files, tmp_path / "a.zarr", cluster={"kind": "local", "workers": 1, "adaptive": None})
    with caplog.at_level(logging.INFO, logger="tsogrid"):
        tsogrid.run(config, performance_report=tmp_path / "report.html")
    assert "measure_and_time" in (tmp_path / "report.html").read_text()
    events = [getattr(record, "event", None) for record in caplog.records]
    assert events.count("shard") == 8
    assert "begin" in events
    here = config_for(exposure.files, tmp_path / "b.zarr", cluster={"kind": "none"})
    with pytest.raises(ConfigError, match="Give --cluster local"):
        tsogrid.run(here, performance_report=tmp_path / "report.html")


def test_hashed_names_tell_no_file(exposure, tmp_path):
    output = {"store": str(tmp_path / "a.zarr"), "block": 4, "file_names": "hashed"}
    config = config_for(exposure.files, tmp_path / "a.zarr", output=output)
    result = tsogrid.run(config)
    assert len(set(result.file.to_numpy())) == 2
    tsogrid.run(config)  # the same identity
    for path in (tmp_path / "a.zarr").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"small-seg" not in content
            assert str(tmp_path).encode() not in content
    tsogrid.run(config_for(exposure.files, tmp_path / "b.zarr"))
    other = tsogrid.open_result(tmp_path / "b.zarr")
    assert other.flux.to_numpy().tobytes() == result.flux.to_numpy().tobytes()


def test_no_store_tells_a_folder(exposure, tmp_path):
    tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr"))
    folder = str(Path(exposure.files[0]).parent).encode()
    assert not [path for path in (tmp_path / "a.zarr").rglob("*") if path.is_file() and folder in path.read_bytes()]


PODS = {
    "kind": "kubernetes", "image": "registry.example/tsogrid:0.1", "workers": 6, "cores": 2, "memory": "4GiB",
    "name": "night", "env": {"NUMBA_CACHE_DIR": "/tmp/numba"}, "volumes": [{"claim": "data", "path": "/data"}],
}  # fmt: skip


def test_a_dask_cluster_for_the_operator():
    pytest.importorskip("dask_kubernetes")
    spec = cluster_spec(Config.from_mapping({"cluster": PODS}).cluster)
    assert (spec["apiVersion"], spec["kind"], spec["metadata"]) == (
        "kubernetes.dask.org/v1",
        "DaskCluster",
        {"name": "night"},
    )
    assert spec["spec"]["worker"]["replicas"] == 6
    for role in ("worker", "scheduler"):
        pod = spec["spec"][role]["spec"]
        (container,) = pod["containers"]
        assert container["image"] == PODS["image"]
        assert container["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}
        told = {each["name"]: each["value"] for each in container["env"]}
        assert told == settings_in_environment() | {"NUMBA_CACHE_DIR": "/tmp/numba"}
        assert container["volumeMounts"] == [{"name": "volume-0", "mountPath": "/data"}]
        assert pod["volumes"] == [{"name": "volume-0", "persistentVolumeClaim": {"claimName": "data"}}]
        assert pod["securityContext"]["runAsNonRoot"]
    assert "--nthreads" in spec["spec"]["worker"]["spec"]["containers"][0]["args"]
    assert spec["spec"]["scheduler"]["service"]["type"] == "ClusterIP"  # from outside it is not reached


def test_a_dask_cluster_from_a_template(tmp_path):
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump({"kind": "DaskCluster", "metadata": {"name": "mine"}}))
    section = {"kind": "kubernetes", "template": str(tmp_path / "cluster.yaml")}
    assert cluster_spec(Config.from_mapping({"cluster": section}).cluster)["metadata"]["name"] == "mine"
    (tmp_path / "cluster.yaml").write_text("kind: Pod")
    with pytest.raises(ConfigError, match="expected kind: DaskCluster"):
        cluster_spec(Config.from_mapping({"cluster": section}).cluster)


def test_without_dask_kubernetes(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_kubernetes.operator", None)
    with (
        pytest.raises(ConfigError, match=r'pip install "tsogrid\[kubernetes\]"'),
        connect(Config.from_mapping({"cluster": PODS}).cluster, "kubernetes"),
    ):
        pass


def test_a_local_cluster_listens_on_loopback_alone():
    config = Config.from_mapping({"cluster": {"kind": "local", "workers": 1}}).cluster
    with connect(config, "local"):
        shown = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=False)
        if shown.returncode:
            pytest.skip("there is no ss")
        mine = [line.split()[3] for line in shown.stdout.splitlines() if f"pid={os.getpid()}," in line]
    assert mine
    assert all(address.startswith("127.0.0.1:") for address in mine), mine

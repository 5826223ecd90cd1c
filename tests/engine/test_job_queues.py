"""The jobs of batch systems: their scripts, what is refused in them, and what a missing package or command says."""

import itertools
import shlex
import stat
import sys

import dask.config
import pytest

from tsogrid.config import Config
from tsogrid.engine import dask_settings, job_queues
from tsogrid.engine.cluster import connect, n_workers
from tsogrid.engine.security import of_jobs
from tsogrid.engine.submission import client_script
from tsogrid.errors import ConfigError, RunError, TsogridWarning

pytest.importorskip("dask_jobqueue")


def cluster(kind="slurm", **keys):
    return Config.from_mapping({"cluster": {"kind": kind, **keys}}).cluster


FULL = {
    "queue": "fast,slow",
    "account": "exo-2026",
    "walltime": "1-02:30:00",
    "cores": 4,
    "memory": "16GB",
    "directives": ["--qos=high", "--constraint=a&b"],
    "env": ["module load python", "source /opt/tsogrid/bin/activate"],
    "scratch": "$TMPDIR/dask",
    "interface": "ib0",
    "workers": 6,
}


def test_a_slurm_job(tmp_path):
    lines = job_queues.worker_script(cluster(**FULL), tmp_path).splitlines()
    head = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
    assert lines[0].startswith("#!")
    assert {"-p fast,slow", "-A exo-2026", "-n 1", "--cpus-per-task=4", "--mem=15G", "-t 1-02:30:00"} <= set(head)
    assert {"--qos=high", "--constraint=a&b", f"-o {tmp_path}/tsogrid-worker-%J.out"} <= set(head)
    body = [line for line in lines if line and not line.startswith("#")]
    settings = dask_settings.settings_in_environment()
    told, body = body[: len(settings)], body[len(settings) :]
    assert told == [f"export {name}={value}" for name, value in settings.items()]
    assert body[:2] == FULL["env"]
    words = shlex.split(body[2])
    assert words[:3] == [sys.executable, "-m", "distributed.cli.dask_worker"]
    assert words[3].startswith("tls://")
    for option, value in (
        ("--nthreads", "1"),
        ("--nworkers", "4"),
        ("--interface", "ib0"),
        ("--local-directory", "$TMPDIR/dask"),
    ):
        assert words[words.index(option) + 1] == value
    assert "--no-dashboard" in words
    assert "--lifetime=$((95100-SECONDS))s" in words  # five minutes before 26.5 hours
    assert '"$TMPDIR/dask"' in body[2]  # filled in on the node, and still one word there


def test_dask_reads_the_settings_from_the_environment():
    read = dask.config.collect_env(dask_settings.settings_in_environment())
    for key, value in dask_settings.SETTINGS.items():
        assert dask.config.get(key, config=read) == value
        assert dask.config.get(key) != value  # its own: of a name that dask knows


def test_a_pbs_job(tmp_path):
    script = job_queues.worker_script(cluster("pbs", **FULL), tmp_path)
    head = [line.removeprefix("#PBS ") for line in script.splitlines() if line.startswith("#PBS ")]
    assert {"-q fast,slow", "-A exo-2026", "-l walltime=26:30:00", "-l select=1:ncpus=4:mem=15GB", "--qos=high"} <= set(head)
    assert "module load python\nsource /opt/tsogrid/bin/activate\n" in script


def test_lines_that_a_site_refuses_are_left_out(tmp_path):
    script = job_queues.worker_script(cluster(skip_directives=["--mem"]), tmp_path)
    assert "--mem=" not in script


def test_workers_leave_before_a_short_walltime_too(tmp_path):
    script = job_queues.worker_script(cluster(walltime="00:05:00"), tmp_path)
    assert "--lifetime=$((240-SECONDS))s --lifetime-stagger=30s" in script
    script = job_queues.worker_script(cluster(walltime="00:02:00"), tmp_path)
    assert "--lifetime=$((60-SECONDS))s --lifetime-stagger=30s" in script


@pytest.mark.parametrize("kind", ["slurm", "pbs"])
def test_a_walltime_that_is_too_short_is_refused_before_anything_is_handed_in(tmp_path, kind):
    short = cluster(kind, walltime="00:01:00")
    message = r"cluster\.walltime: expected 00:02:00 or more, found 00:01:00"
    with pytest.raises(ConfigError, match=message), connect(short, kind, store=tmp_path / "a.zarr"):
        pass
    with pytest.raises(ConfigError, match=message):
        client_script(short, ["run", "night.yaml"], tmp_path, "night", tmp_path)
    with pytest.warns(TsogridWarning, match=r"cluster\.walltime: 00:09:00 is short"):
        client_script(cluster(kind, walltime="00:09:00"), ["run", "night.yaml"], tmp_path, "night", tmp_path)
    client_script(cluster(kind, walltime="00:10:00"), ["run", "night.yaml"], tmp_path, "night", tmp_path)


HOSTILE = [
    "x; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a b",
    "x\n#SBATCH --uid=root",
    "x' y",
    'x"',
    "x|y",
    "x\r",
    "x\0",
]


@pytest.mark.parametrize(
    ("key", "value"), list(itertools.product(["queue", "account", "interface", "folder", "scratch"], HOSTILE))
)
def test_hostile_words_are_refused(key, value):
    with pytest.raises(ConfigError, match=rf"cluster\.{key}"):
        cluster(**{key: value})


@pytest.mark.parametrize("value", ["--qos=x\ntouch pwned", "touch pwned", "--x\r"])
def test_a_directive_is_one_line(value):
    for keys in ({"directives": [value]}, {"client": {"directives": [value]}}):
        with pytest.raises(ConfigError, match="expected one line"):
            cluster(**keys)


@pytest.mark.parametrize("value", ["/opt/a b/python", "/opt/$(touch pwned)/python", "python; touch pwned"])
def test_the_interpreter_is_one_word(tmp_path, value):
    script = job_queues.worker_script(cluster(python=value), tmp_path)
    assert shlex.split(script.splitlines()[-1])[0] == value


@pytest.mark.parametrize(("key", "value"), [("memory", "lots"), ("memory", "4"), ("walltime", "90"), ("walltime", "1:2:3")])
def test_sizes_and_times_are_checked(key, value):
    with pytest.raises(ConfigError, match=rf"cluster\.{key}: expected"):
        cluster(**{key: value})


def test_jobs_leave_their_logs_beside_the_store(tmp_path):
    assert job_queues.jobs_folder(cluster(), tmp_path / "night.zarr") == tmp_path / "night.jobs"
    assert job_queues.jobs_folder(cluster(folder="/logs"), tmp_path / "night.zarr").as_posix() == "/logs"
    with pytest.raises(ConfigError, match=r"Set cluster\.folder"):
        job_queues.jobs_folder(cluster(), tmp_path / "a b" / "night.zarr")


def test_certificates_of_a_run_are_the_users_alone_and_go_with_it(tmp_path):
    with of_jobs(cluster(), tmp_path) as given:
        security = given["security"]
        assert security.require_encryption
        (private,) = tmp_path.iterdir()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        files = list(private.iterdir())
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert {security.tls_ca_file, security.tls_worker_key, security.tls_scheduler_cert} <= {str(path) for path in files}
    assert not list(tmp_path.iterdir())


def test_certificates_from_files(tmp_path):
    files = {name: str(tmp_path / f"{name}.pem") for name in ("ca_file", "cert", "key")}
    with (
        pytest.raises(ConfigError, match=r"cluster\.security\.ca_file: expected a PEM file"),
        of_jobs(cluster(security=files), tmp_path),
    ):
        pass
    for path in files.values():
        open(path, "w").close()
    with of_jobs(cluster(security=files), tmp_path) as given:
        assert given["security"].tls_worker_cert == files["cert"]
    spaced = files | {"key": str(tmp_path / "a b.pem")}
    with (
        pytest.raises(ConfigError, match=r"cluster\.security\.key: expected a path without"),
        of_jobs(cluster(security=spaced), tmp_path),
    ):
        pass


def test_plain_tcp_is_asked_for(tmp_path):
    plain = cluster(security="none")
    with pytest.warns(TsogridWarning, match="plain TCP"), of_jobs(plain, tmp_path) as given:
        assert given == {"protocol": "tcp://"}


@pytest.mark.parametrize(("kind", "command"), [("slurm", "sbatch"), ("pbs", "qsub")])
def test_without_a_batch_system(tmp_path, monkeypatch, kind, command):
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(RunError, match=f"expected the command {command} on this machine"),
        connect(cluster(kind), kind, store=tmp_path / "a.zarr"),
    ):
        pass


def test_without_dask_jobqueue(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with (
        pytest.raises(ConfigError, match=r'pip install "tsogrid\[hpc\]"'),
        connect(cluster(), "slurm", store=tmp_path / "a.zarr"),
    ):
        pass


def test_how_many_workers():
    assert n_workers(cluster()) == 4
    assert n_workers(cluster(workers=7)) == 7
    assert n_workers(cluster(adaptive={"min": 2, "max": 9})) == 9
    assert job_queues.kept(cluster(workers=6, cores=4)) == {"minimum": 8, "maximum": 8}
    assert job_queues.kept(cluster(adaptive={"max": 9})) == {"minimum": 0, "maximum": 9}

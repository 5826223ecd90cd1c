"""What is in deploy/: every file says what to edit, parses, and names only commands and options that exist."""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

import tsogrid
from tsogrid.cli.main import app
from tsogrid.engine.dask_settings import settings_in_environment

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".pyc")
SCRIPTS = [path for path in FILES if path.suffix == ".sh"]
MANIFESTS = [path for path in FILES if path.suffix == ".yaml"]


def name(path):
    return str(path.relative_to(DEPLOY))


def test_there_is_one_for_every_place():
    found = {name(path) for path in FILES}
    batch = {"slurm/one-node.sh", "slurm/many-nodes.sh", "pbs/one-node.sh", "pbs/many-nodes.sh"}
    assert found == batch | {"Dockerfile", "kubernetes/cluster.yaml", "kubernetes/job.yaml", "mpi/launch.sh", "mpi/run.py"}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_three_lines_say_what_to_edit(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    first = 1 if lines[0].startswith("#!") else 0
    assert all(line.startswith("# Edit: ") for line in lines[first : first + 3])
    assert not lines[first + 3].startswith("# Edit")


def commands_of(path):
    """Every `tsogrid …` of a file as words."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [shlex.split(match[1]) for line in lines for match in re.finditer(r"\b(?:exec|RUN) (tsogrid [^&]+)", line)]


def check(words):
    command = typer.main.get_command(app).commands[words[1]]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_scripts_parse_and_their_commands_exist(path):
    assert path.stat().st_mode & 0o100
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = path.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    mark = "#PBS" if path.parent.name == "pbs" else "#SBATCH"
    directives = [line for line in text.splitlines() if line.startswith(mark + " ")]
    assert any("time=" in line for line in directives)
    assert any("mem" in line for line in directives)
    # A batch system reads directives up to the first command only.
    assert text.rindex(mark + " ") < text.index("set -euo pipefail")
    for words in commands_of(path):
        check(words)
    assert commands_of(path) or path.parent.name == "mpi"


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_shellcheck_finds_nothing(path):
    if shutil.which("shellcheck") is None:
        pytest.skip("there is no shellcheck")
    done = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", ["Dockerfile", "mpi/launch.sh"])
def test_dask_is_told_what_it_is_in_clusters_of_a_run(file):
    words = (DEPLOY / file).read_text(encoding="utf-8").split()
    assert {f"{name}={value}" for name, value in settings_in_environment().items()} <= set(words)


def test_the_launched_program():
    text = (DEPLOY / "mpi" / "run.py").read_text(encoding="utf-8")
    compile(text, "run.py", "exec")
    for attribute in re.findall(r"tsogrid\.(\w+)", text):
        assert hasattr(tsogrid, attribute)
    runner = pytest.importorskip("dask_jobqueue.slurm").SLURMRunner
    assert callable(runner)


def resources(path):
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def follow(schema, value, where=""):
    """Hold a value against an OpenAPI schema: required fields, types, and fields that are not known."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if "type" in schema and not schema.get("x-kubernetes-int-or-string"):
        assert isinstance(value, kinds[schema["type"]]), f"{where}: expected {schema['type']}, found {value!r}"
    if isinstance(value, dict):
        missing = set(schema.get("required", ())) - value.keys()
        assert not missing, f"{where}: {missing} missing"
        for key, inner in value.items():
            known = schema.get("properties", {})
            if key in known:
                follow(known[key], inner, f"{where}.{key}")
            else:
                free = not known or schema.get("additionalProperties") or schema.get("x-kubernetes-preserve-unknown-fields")
                assert free, f"{where}.{key}: unknown"
    if isinstance(value, list):
        for index, inner in enumerate(value):
            follow(schema.get("items", {}), inner, f"{where}.{index}")


def operators_schema():
    package = pytest.importorskip("dask_kubernetes")
    # The definition with all of its parts written out, as it is installed.
    (path,) = Path(package.__file__).parent.glob("operator/deployment/helm/*/crds/daskcluster.yaml")
    (version,) = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
    return schema


def test_the_dask_cluster_is_what_the_operator_knows():
    cluster, policy = resources(DEPLOY / "kubernetes" / "cluster.yaml")
    schema = operators_schema()
    follow(schema, cluster)
    assert (cluster["apiVersion"], cluster["kind"]) == ("kubernetes.dask.org/v1", "DaskCluster")
    assert cluster["spec"]["scheduler"]["service"]["type"] == "ClusterIP"
    assert policy["kind"] == "NetworkPolicy"
    with pytest.raises(AssertionError, match="unknown"):
        follow(schema, cluster | {"spec": cluster["spec"] | {"wroker": {}}})


def test_the_built_dask_cluster_is_too():
    from tsogrid.config import Config
    from tsogrid.engine.kubernetes import cluster_spec

    schema = operators_schema()
    section = {
        "kind": "kubernetes",
        "image": "tsogrid:1",
        "env": {"A": "b"},
        "volumes": [{"claim": "data", "path": "/data"}],
    }
    follow(schema, cluster_spec(Config.from_mapping({"cluster": section}).cluster))


def test_the_job_runs_the_client_beside_that_cluster():
    (job,) = resources(DEPLOY / "kubernetes" / "job.yaml")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    template = job["spec"]["template"]
    assert template["spec"]["restartPolicy"] in ("OnFailure", "Never")
    (client,) = template["spec"]["containers"]
    check(client["command"])
    cluster, policy = resources(DEPLOY / "kubernetes" / "cluster.yaml")
    address = client["command"][client["command"].index("--cluster") + 1]
    assert address == f"tcp://{cluster['metadata']['name']}-scheduler:8786"
    allowed = [item["podSelector"]["matchLabels"] for item in policy["spec"]["ingress"][0]["from"]]
    assert template["metadata"]["labels"] in allowed
    pods = [template["spec"], *(cluster["spec"][role]["spec"] for role in ("worker", "scheduler"))]
    assert len({container["image"] for pod in pods for container in pod["containers"]}) == 1
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {"name", "image"} <= container.keys()
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert {"requests", "limits"} <= container["resources"].keys()


def test_the_image():
    lines = [
        line for line in (DEPLOY / "Dockerfile").read_text().replace("\\\n", "").splitlines() if line[:1] not in ("#", "")
    ]
    words = [line.split(maxsplit=1) for line in lines]
    assert len([kind for kind, _ in words if kind == "FROM"]) == 2
    user = max(index for index, (kind, _) in enumerate(words) if kind == "USER")
    assert words[user][1] == "${USER_ID}"
    assert ["ARG", "USER_ID=1000"] in words
    for kind, rest in words:
        if kind == "COPY" and not rest.startswith("--from"):
            assert all((ROOT / source).exists() for source in rest.split()[:-1])
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', "\n".join(lines))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    for command in commands_of(DEPLOY / "Dockerfile"):
        check(command)


@pytest.mark.slow
def test_the_image_is_built():
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("there is no docker daemon")
    words = [docker, "build", "-q", "-f", "deploy/Dockerfile", "."]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    run = [docker, "run", "--rm", done.stdout.strip()]
    assert subprocess.run([*run, "id", "-u"], capture_output=True, text=True, check=True).stdout.strip() == "1000"
    assert "tsogrid" in subprocess.run([*run, "tsogrid", "--version"], capture_output=True, text=True, check=True).stdout

"""``cluster``: where the blocks are measured; one model a kind, which knows that kind's keys and no others.

What ends in a job script is checked here: names, sizes and paths hold no character that a shell or a batch system would act
on. Only ``env`` is shell by nature, and is said to be.
"""

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from tsogrid.config.section import Names, Section

DEFAULT_WORKERS = 4  # of batch systems and Kubernetes, where nothing says how many there may be
DAY = 86400.0


def _matching(pattern: str, expected: str) -> AfterValidator:
    """Refuse text that is not wholly of a pattern."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"expected {expected}, found {value!r}")
        return value

    return AfterValidator(check)


def _one_line(value: str) -> str:
    if not value.isprintable() or not value.startswith("-"):
        raise ValueError(f"expected one line that begins with -, such as --qos=high, found {value!r}")
    return value


def walltime_seconds(value: str) -> float:
    """Read a walltime, ``[days-]hours:minutes:seconds``."""
    days, _, clock = value.rpartition("-")
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return float(86400 * int(days or 0) + 3600 * hours + 60 * minutes + seconds)


PATH_CHARACTERS = r"[\w/.+@=:,~-]+"
Name = Annotated[str, _matching(r"[\w.:@,+/=-]+", "a name of letters, digits and . : @ , + / = - _")]
Size = Annotated[str, _matching(r"\d+(\.\d+)? ?[kMGT]i?B", "a size such as 4GB or 500MiB")]
Walltime = Annotated[
    str, _matching(r"(\d+-)?\d{1,3}:[0-5]\d:[0-5]\d", "a time as hours:minutes:seconds or days-hours:minutes:seconds")
]
Folder = Annotated[str, _matching(PATH_CHARACTERS, "a path without spaces and signs that a shell acts on")]
# On the node, variables such as $TMPDIR are filled in; they stand between double quotes there.
Scratch = Annotated[
    str, _matching(r"([\w/.+@=:,~-]|\$\w+|\$\{\w+\})+", "a path, with variables such as $TMPDIR, without spaces and quotes")
]
Directive = Annotated[str, AfterValidator(_one_line)]
Dashboard = Annotated[str, _matching(r"[\w.:\[\]-]*:\d+", "host:port (port 0: any that is free)")] | Literal["none"]
Label = Annotated[str, _matching(r"[a-z]([a-z0-9-]{0,40}[a-z0-9])?", "small letters, digits and -, at most 42")]


class Adaptive(Section):
    """Between how many workers the cluster may choose."""

    min: Annotated[int, Field(ge=0)] = 0
    max: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> "Adaptive":
        if self.min > self.max:
            raise ValueError(f"expected min ≤ max, found min {self.min} and max {self.max}")
        return self


class TlsFiles(Section):
    """Certificates for ``tls://``, as PEM files."""

    ca_file: str
    cert: str
    key: str


def _known_security(value: Any) -> Any:
    if isinstance(value, str) and value not in ("temporary", "none"):
        raise ValueError(f"expected temporary, none or the files ca_file, cert and key, found {value!r}")
    return value


Security = Annotated[Literal["temporary", "none"] | TlsFiles, BeforeValidator(_known_security)]


class _Cluster(Section):
    workers: PositiveInt | None = None
    worker_timeout: PositiveFloat = 600.0  # seconds without any worker after which a run stops

    @model_validator(mode="after")
    def _one_count(self) -> "_Cluster":
        if self.workers is not None and getattr(self, "adaptive", None) is not None:
            raise ValueError("expected workers or adaptive, found both")
        return self


class AutoCluster(_Cluster):
    """This process for work of a few seconds, else local workers."""

    kind: Literal["auto"] = "auto"


class NoCluster(_Cluster):
    """This process."""

    kind: Literal["none"] = "none"


class LocalCluster(_Cluster):
    """Worker processes on this machine, reachable from it alone."""

    kind: Literal["local"] = "local"
    adaptive: Adaptive | None = None
    memory: Size | None = None  # of one worker; None: an even share
    scratch: str | None = None
    dashboard: Dashboard = "127.0.0.1:0"


class AddressCluster(_Cluster):
    """A scheduler that runs already."""

    kind: Literal["address"] = "address"
    address: Annotated[str, _matching(r"(tcp|tls)://[\w.:\[\]-]+:\d+", "tcp://host:port or tls://host:port")]
    security: TlsFiles | None = None

    @model_validator(mode="after")
    def _needs_tls(self) -> "AddressCluster":
        if self.security is not None and not self.address.startswith("tls://"):
            raise ValueError(f"security: expected an address tls://host:port with it, found {self.address}")
        return self


class ClientJob(Section):
    """The job that runs the client, of ``tsogrid submit``."""

    cores: PositiveInt = 1
    memory: Size = "4GB"
    walltime: Walltime | None = None  # None: that of the workers' jobs
    directives: list[Directive] = []


class _Queue(_Cluster):
    worker_timeout: PositiveFloat = DAY  # queues are long
    adaptive: Adaptive | None = None
    cores: PositiveInt = 1  # of a job; each is one worker
    memory: Size = "4GB"  # of a job
    walltime: Walltime = "01:00:00"
    queue: Name | None = None
    account: Name | None = None
    directives: list[Directive] = []
    skip_directives: list[str] = []
    env: Names = []  # lines of shell
    security: Security = "temporary"
    interface: Name | None = None
    scratch: Scratch | None = None
    folder: Folder | None = None
    python: str | None = None
    dashboard: Dashboard = "127.0.0.1:0"
    client: ClientJob = ClientJob()


class SlurmCluster(_Queue):
    """Workers in jobs of SLURM."""

    kind: Literal["slurm"] = "slurm"


class PbsCluster(_Queue):
    """Workers in jobs of PBS."""

    kind: Literal["pbs"] = "pbs"


class Volume(Section):
    """A claim of storage that every pod sees."""

    claim: Label
    path: Folder


class KubernetesCluster(_Cluster):
    """Workers in pods, made by dask-kubernetes' operator."""

    kind: Literal["kubernetes"] = "kubernetes"
    worker_timeout: PositiveFloat = 3600.0
    adaptive: Adaptive | None = None
    image: Annotated[str, _matching(r"[\w./:@-]+", "the name of an image")] | None = None
    name: Label = "tsogrid"
    namespace: Label | None = None
    cores: PositiveInt = 1  # of a pod, which is one worker of so many threads
    memory: Size = "4GB"
    env: dict[Annotated[str, _matching(r"[A-Za-z_]\w*", "the name of a variable")], str] = {}
    volumes: list[Volume] = []
    template: str | None = None  # a DaskCluster as YAML, in place of what image, cores, memory, env and volumes say

    @model_validator(mode="after")
    def _image_or_template(self) -> "KubernetesCluster":
        if (self.image is None) == (self.template is None):
            raise ValueError("kind: kubernetes needs either image (with tsogrid in it) or template (a DaskCluster as YAML)")
        return self


QueueCluster: TypeAlias = SlurmCluster | PbsCluster
ClusterConfig: TypeAlias = (
    AutoCluster | NoCluster | LocalCluster | AddressCluster | SlurmCluster | PbsCluster | KubernetesCluster
)
_MODELS: tuple[type[_Cluster], ...] = (
    AutoCluster,
    NoCluster,
    LocalCluster,
    AddressCluster,
    SlurmCluster,
    PbsCluster,
    KubernetesCluster,
)
KINDS: dict[str, type[_Cluster]] = {model.model_fields["kind"].default: model for model in _MODELS}


def _whole(value: Any) -> Any:
    """Let a kind or an address stand alone, and the kind be left out."""
    if isinstance(value, str):
        return {"kind": "address", "address": value} if "://" in value else {"kind": value}
    if not isinstance(value, dict) or not value.keys() & {"address"}:
        return {"kind": "auto"} | value if isinstance(value, dict) else value
    if value.get("kind", "address") != "address":
        if value["address"] is not None:
            raise ValueError("kind: address and address: tcp://host:port belong together")
        return {key: each for key, each in value.items() if key != "address"}
    return {"kind": "address"} | value


def _addressed(value: Any) -> Any:
    if isinstance(value, dict) and value.get("kind") == "address" and not value.get("address"):
        raise ValueError("kind: address and address: tcp://host:port belong together")
    return value


Cluster = Annotated[ClusterConfig, Field(discriminator="kind"), BeforeValidator(_addressed), BeforeValidator(_whole)]


def section_of_kind(section: dict[str, Any], given: str) -> dict[str, Any]:
    """Give a section for another kind of cluster, with what it says that this kind knows.

    Parameters
    ----------
    section : dict
        A valid section ``cluster``.
    given : str
        A kind, or the address of a scheduler.

    Returns
    -------
    dict
        The section; as it was where it is of this kind already.
    """
    kind = "address" if "://" in given else given
    before = section.get("kind", "auto")
    if before != kind:
        kept = KINDS[kind].model_fields if kind in KINDS and _alike(before, kind) else {"worker_timeout"}
        section = {key: value for key, value in section.items() if key in kept}
    return section | {"kind": kind} | ({"address": given} if "://" in given else {})


def _alike(before: str, after: str) -> bool:
    """Whether keys mean the same in two kinds: a number of workers or a size of memory is one machine's, or a cluster's."""
    return before == "auto" or {before, after} <= {"auto", "none", "local"} or {before, after} == {"slurm", "pbs"}

"""``tsogrid submit``: hand a run to a batch system, as a job that runs the client itself."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsogrid.cli.configuration import configured

if TYPE_CHECKING:
    from tsogrid.config import Config, QueueCluster


def submit(
    config: Annotated[Path, typer.Argument(help="As for `tsogrid run`.", metavar="CONFIG")],
    files: Annotated[list[str] | None, typer.Argument(help="In place of input.files.", metavar="FILES")] = None,
    store: Annotated[
        str | None, typer.Option(help="The result, or s3://bucket/name [default: CONFIG with .zarr].", metavar="PATH")
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--set", help="Set a key, as in sky.0.inner=10; repeatable.", metavar="KEY=VALUE")
    ] = None,
    cluster: Annotated[str | None, typer.Option(help="slurm or pbs [default: as configured].", metavar="KIND")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", metavar="N")] = None,
    block: Annotated[int | None, typer.Option(min=1, help="Frames in a block; changes no number.", metavar="N")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; the store must exist.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the store holds.")] = False,
    extend: Annotated[bool, typer.Option("--extend", help="Also measure files added at the end.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="As for `tsogrid run`.")] = False,
    performance_report: Annotated[Path | None, typer.Option(help="As for `tsogrid run`.", metavar="PATH")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the job's script; write and submit nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Run in jobs of a batch system.

    A job runs `tsogrid run`, which submits the workers' jobs; section cluster: of the configuration says how large they are.
    Given again, the same command goes on with a run that ended early. `tsogrid status STORE` says how far it is.
    """
    chosen = [name for name, flag in (("resume", resume), ("overwrite", overwrite), ("extend", extend)) if flag]
    if len(chosen) > 1:
        raise typer.BadParameter(f"choose one of --{' and --'.join(chosen)}")
    each = configured(config, files or (), given or (), store=store, cluster=cluster, workers=workers, block=block)
    jobs = _of_queue(each)

    from tsogrid.engine.job_queues import jobs_folder
    from tsogrid.engine.place import local_path
    from tsogrid.engine.submission import client_script
    from tsogrid.engine.submission import submit as hand_in

    options = [f"--set={setting}" for setting in given or ()]
    options += [f"--cluster={jobs.kind}"] + ([f"--workers={workers}"] if workers else [])
    options += ([f"--block={block}"] if block else []) + [f"--{name}" for name in chosen]
    options += ["--log-json"] if log_json else []
    options += [f"--performance-report={performance_report}"] if performance_report else []
    result = str(each[0].output.store)
    if len(each) == 1:
        options.append(f"--store={result}")
    arguments = ["run", *options, "--", str(config.resolve()), *(files or ())]
    folder = jobs_folder(jobs, local_path(result))
    script = client_script(jobs, arguments, folder, config.stem, Path.cwd())
    if dry_run:
        typer.echo(json.dumps({"kind": jobs.kind, "script": script}) if as_json else script, nl=as_json)
        return
    done = hand_in(jobs, script, folder, config.stem)
    if as_json:
        typer.echo(json.dumps({**vars(done), "store": result}))
        return
    typer.echo(f"job {done.job}: {done.script}, log {done.log}")
    typer.echo(f"next: tsogrid status {result}")


def _of_queue(each: "list[Config]") -> "QueueCluster":
    """The section of the batch system; runs of a batch share it."""
    from tsogrid.config import PbsCluster, SlurmCluster
    from tsogrid.errors import ConfigError

    found = each[0].cluster
    if not isinstance(found, SlurmCluster | PbsCluster):
        raise ConfigError(
            f"submit: expected a batch system, found cluster kind {found.kind}. Give --cluster slurm or --cluster pbs, or "
            "say it in the configuration."
        )
    return found

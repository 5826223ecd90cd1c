"""``tsogrid nickel``: the photometry of a Nickel night, with the options of pipnick_photometry, which is its other name."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from tsogrid.config import ClusterConfig

LISTS = ("--excl_files", "--excl_objs", "--excl_filts")


class NamesFollow(TyperCommand):
    """A command some of whose options take all the words that follow them: ``--excl_files d1034 d1035``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give each of these words an option of its own, and the last one to MAINDIR where nothing else is left for it."""
        plain: list[str] = []
        listed: list[tuple[int, str, str]] = []  # place, option, word
        option = ""
        for word in args:
            if word.startswith("-") and word != "-":
                name, equals, _ = word.partition("=")
                option = name if name in LISTS and not equals else ""
                if not option:
                    plain.append(word)
            elif option:
                listed.append((len(plain), option, word))
            else:
                plain.append(word)
        if listed and not self._has_maindir(plain) and not {"-h", "--help"} & {*args}:
            plain.append(listed.pop()[2])
        for _, option, word in listed:
            plain += [f"{option}={word}"]
        return super().parse_args(ctx, plain)

    def _has_maindir(self, words: list[str]) -> bool:
        with_value = {name for each in self.params if not getattr(each, "is_flag", True) for name in each.opts}
        return any(
            not word.startswith("-") and (place == 0 or words[place - 1] not in with_value)
            for place, word in enumerate(words)
        )


def nickel(
    maindir: Annotated[
        Path, typer.Argument(help="Folder of the night, with reduced/OBJECT_FILTER/dNNNN_red.fits.", metavar="MAINDIR")
    ],
    use_table: Annotated[
        bool, typer.Option("-t", "--use_table", help="Leave out the frames that photometry_files.tbl has commented out.")
    ] = False,
    excl_files: Annotated[
        list[str] | None, typer.Option("--excl_files", help="Parts of file stems to leave out.", metavar="NAMES")
    ] = None,
    excl_objs: Annotated[
        list[str] | None, typer.Option("--excl_objs", help="Parts of object names to leave out.", metavar="NAMES")
    ] = None,
    excl_filts: Annotated[
        list[str] | None, typer.Option("--excl_filts", help="Parts of filter names to leave out.", metavar="NAMES")
    ] = None,
    thresh: Annotated[
        float, typer.Option("-th", "--thresh", help="Of detection, in standard deviations of the background.")
    ] = 8.0,
    group: Annotated[bool, typer.Option("-g", "--group", help="One row a group of sources.")] = False,
    mode: Annotated[str, typer.Option("-m", "--mode", help="all or new: what later iterations fit.")] = "all",
    fittype: Annotated[str, typer.Option("-f", "--fittype", help="circ or ellip: the Moffat profile.")] = "circ",
    plot_final: Annotated[
        bool, typer.Option("-pf", "--plot_final", help="Plot the sources and their fluxes on the frame.")
    ] = False,
    plot_inters: Annotated[
        bool, typer.Option("-pi", "--plot_inters", help="Plot the sources first found, and the groups.")
    ] = False,
    very_verbose: Annotated[bool, typer.Option("-vv", "--very_verbose", help="As --verbosity 5.")] = False,
    verbosity: Annotated[
        int, typer.Option(min=1, max=5, help="Of the console: 1 critical, 2 error, 3 warning, 4 info, 5 debug.")
    ] = 4,
    cluster: Annotated[
        str | None,
        typer.Option(help="auto, none, local, slurm, pbs, kubernetes, or tcp://host:8786.", metavar="KIND|ADDRESS"),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", metavar="N")] = None,
    again: Annotated[
        bool, typer.Option("--all", "--overwrite", help="Measure frames that are measured already, too.")
    ] = False,
) -> None:
    """Make a catalogue of every reduced frame of a Nickel night.

    Options and tables are those of pipnick_photometry. The same command goes on after a stop, and measures new frames only.
    """
    from tsogrid.cli.progress import progress_on
    from tsogrid.survey.nickel import photometry_all
    from tsogrid.survey.nickel.logs import INFO, LoggedProgress, console_shows

    level = 5 if very_verbose else verbosity
    with progress_on(sys.stdout) as progress, console_shows(level):
        paths = photometry_all(
            maindir,
            use_table,
            _parts(excl_files),
            _parts(excl_objs),
            _parts(excl_filts),
            thresh=thresh,
            group=group,
            mode=mode,
            fittype=fittype,
            plot_final=plot_final,
            plot_inters=plot_inters,
            cluster=_cluster(cluster, workers),
            again=again,
            progress=LoggedProgress(progress) if level >= INFO else None,
        )
    if level >= INFO:
        typer.echo(f"{len(paths)} tables in {paths[0].parents[1]}")


def _parts(given: list[str] | None) -> list[str]:
    return [part for name in given or () for part in name.split(",")]


def _cluster(kind: str | None, workers: int | None) -> "ClusterConfig | None":
    if kind is None and workers is None:
        return None
    from tsogrid.cli.configuration import on_cluster
    from tsogrid.config import Config

    base: Config = Config()
    return on_cluster(base, kind, {} if workers is None else {"cluster.workers": workers}).cluster


def pipnick_photometry() -> None:
    """Run ``tsogrid nickel`` under the name and with the arguments of pipnick's script."""
    from tsogrid.cli.main import main

    main(["nickel", *sys.argv[1:]])

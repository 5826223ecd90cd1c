"""The command line's door: which subcommands there are, and how a failure leaves the program.

A subcommand is a thin function in a module of its own. These modules import typer and the standard library only; what reads,
computes and draws is imported when a subcommand runs, so that ``--help`` answers at once.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from tsogrid import __version__
from tsogrid.cli.convert import convert
from tsogrid.cli.demo import demo
from tsogrid.cli.detect import detect
from tsogrid.cli.detrend import detrend
from tsogrid.cli.explore import explore
from tsogrid.cli.export import export
from tsogrid.cli.failures import in_words, leaving
from tsogrid.cli.init import init
from tsogrid.cli.inspect import inspect
from tsogrid.cli.jwst import jwst
from tsogrid.cli.lco import lco
from tsogrid.cli.nickel import NamesFollow, nickel
from tsogrid.cli.report import report
from tsogrid.cli.run import run
from tsogrid.cli.simulate import simulate
from tsogrid.cli.stats import stats
from tsogrid.cli.status import status
from tsogrid.cli.submit import submit
from tsogrid.cli.verify import verify
from tsogrid.cli.watch import watch

DEBUG = "--debug"  # taken by every subcommand
EPILOG = (
    "Every command takes --help, and --debug for the traceback of an error. Exit status: 0 done, 1 failed, 2 wrong usage."
)

app = typer.Typer(
    name="tsogrid",
    epilog=EPILOG,
    rich_markup_mode=None,  # plain text: half the lines, and it can be searched
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
COMMANDS = (
    demo,
    init,
    inspect,
    detect,
    run,
    watch,
    submit,
    status,
    verify,
    convert,
    stats,
    detrend,
    report,
    explore,
    jwst,
    lco,
    export,
    simulate,
)
for _command in COMMANDS:
    app.command()(_command)
app.command(cls=NamesFollow)(nickel)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tsogrid {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Version.")] = False,
) -> None:
    """Time-series images become light curves.

    Begin with `tsogrid demo`. Your own files: `tsogrid init FILES...` writes night.yaml, `tsogrid run night.yaml` measures
    them into night.zarr.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the program's name; from the command line if not given.

    Raises
    ------
    SystemExit
        Always: 0 done, 1 failed, 2 wrong usage, 130 stopped by the keyboard.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in given
    with leaving(at_once=arguments is None), in_words(debug):
        app(args=[argument for argument in given if argument != DEBUG], prog_name="tsogrid")
    sys.exit(0)


if __name__ == "__main__":
    main()

"""`bagel-world ...`: one file per command in this folder, each loaded when it is called; the only room that prints."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, ClassVar

import typer
from rich.console import Console

from bagel_world import __version__
from bagel_world.cli.lazy import Entry, LazyGroup
from bagel_world.errors import BagelWorldError

USER_ERROR = 2
"""Exit code of a command that was asked for something impossible, as for a misspelled option."""


class RootGroup(LazyGroup):
    """The commands of `bagel-world`."""

    entries: ClassVar[dict[str, Entry]] = {
        "demo": Entry("bagel_world.cli.demo:demo", "Step through an imagined world and save what it looked like."),
        "play": Entry("bagel_world.cli.play:play", "Walk through an imagined world with the keys."),
        "plan": Entry("bagel_world.cli.plan:plan", "Imagine what every plan would lead to, and choose."),
        "rollout": Entry("bagel_world.cli.rollout:rollout", "Imagine an episode and save it."),
        "replay": Entry("bagel_world.cli.replay:replay", "Imagine a recorded episode again and say what is different."),
        "record": Entry("bagel_world.cli.record:record", "Record training footage in a real simulator."),
        "data": Entry("bagel_world.cli:data", "Make, check and look at samples to train on."),
        "train": Entry("bagel_world.cli.train:train", "Teach a world model from recorded footage."),
        "train-reach": Entry("bagel_world.cli.train_reach:train_reach", "Teach a scorer how far it is to a goal."),
        "ablate": Entry("bagel_world.cli.ablate:ablate", "Train with single settings changed, and compare."),
        "export": Entry("bagel_world.cli.export:export", "Turn a trained checkpoint into a folder to ship."),
        "eval": Entry("bagel_world.cli:evaluations", "Measure a world model against real simulators."),
        "serve": Entry("bagel_world.cli:serving", "Let other programs step into a world."),
        "report": Entry("bagel_world.cli.report:report", "Put what was measured on one page."),
        "bench": Entry("bagel_world.cli.bench:bench", "Measure speed on this machine."),
    }


class EvalGroup(LazyGroup):
    """The commands of `bagel-world eval`."""

    entries: ClassVar[dict[str, Entry]] = {
        "open-loop": Entry("bagel_world.cli.open_loop:open_loop", "Are the imagined frames right?"),
        "control": Entry("bagel_world.cli.control:control", "Do the imagined frames obey the actions?"),
        "calibration": Entry("bagel_world.cli.calibration:calibration", "How often is a scorer right about success?"),
        "text": Entry("bagel_world.cli.text:text", "Are answers, thoughts and judgments right?"),
        "long": Entry("bagel_world.cli.long_run:long_run", "Does a walk of 500 steps stay cheap and in color?"),
        "solvers": Entry("bagel_world.cli.solvers:solvers", "What does every model call per frame buy?"),
        "closed-loop": Entry("bagel_world.cli.closed_loop:closed_loop", "Does imagining help an agent reach goals?"),
        "reach": Entry("bagel_world.cli.reach:reach", "Does a scorer tell how far it is to a goal?"),
        "divergence": Entry("bagel_world.cli.divergence:divergence", "Watch the real and the imagined world drift apart."),
    }


class DataGroup(LazyGroup):
    """The commands of `bagel-world data`."""

    entries: ClassVar[dict[str, Entry]] = {
        "from-video": Entry("bagel_world.cli.from_video:from_video", "Turn films into samples."),
        "from-env": Entry("bagel_world.cli.from_env:from_env", "Record any Gymnasium environment as episodes."),
        "from-episodes": Entry("bagel_world.cli.from_episodes:from_episodes", "Cut episodes into samples."),
        "from-footage": Entry("bagel_world.cli.from_footage:from_footage", "Ask about footage: questions, thoughts, judgments."),
        "preview": Entry("bagel_world.cli.data_preview:preview", "Draw samples: what is shown, painted, learned."),
        "check": Entry("bagel_world.cli.data_check:check", "Read every sample or episode, count, and find damage."),
    }


class ServeGroup(LazyGroup):
    """The commands of `bagel-world serve`."""

    entries: ClassVar[dict[str, Entry]] = {
        "mcp": Entry("bagel_world.cli.mcp:mcp", "Serve the world's tools over MCP."),
    }


app = typer.Typer(cls=RootGroup, add_completion=False, no_args_is_help=True)
evaluations = typer.Typer(cls=EvalGroup, add_completion=False, no_args_is_help=True)
data = typer.Typer(cls=DataGroup, add_completion=False, no_args_is_help=True)
serving = typer.Typer(cls=ServeGroup, add_completion=False, no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
) -> None:
    """Worlds you can step into, dreamt by BAGEL."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(name)s: %(message)s")


@evaluations.callback()
def _evaluations() -> None:
    """Measure a world model against real simulators; every figure comes with n and a 95 % interval."""


@data.callback()
def _data() -> None:
    """Make, check and look at samples to train on."""


@serving.callback()
def _serving() -> None:
    """Let other programs step into a world."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; errors a user can mend are one sentence and exit code 2, others a traceback.

    Args:
        arguments: words after the program's name; None takes those of this process.
    """
    command = typer.main.get_command(app)
    try:
        command.main(args=None if arguments is None else list(arguments), prog_name="bagel-world")
    except BagelWorldError as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(USER_ERROR)

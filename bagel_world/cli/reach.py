"""`bagel-world eval reach`: does a reach network tell how far it is?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bagel_world.cli.command_line import command_line
from bagel_world.cli.measuring import JsonOption, SeedOption, finish
from bagel_world.cli.reach_footage import read_houses
from bagel_world.evaluation.reach_figures import reach_rows
from bagel_world.evaluation.report import Report, Row
from bagel_world.reach import ReachNet, load_reach, reach_hash
from bagel_world.sims.reach_pairs import reach_pairs
from bagel_world.world.reach_scorer import SHIPPED, ReachScorer

PAIRS = 8192

ENOUGH = 1.0 - ReachScorer.success_distance
"""The score from which on a goal counts as reached."""


def reach(
    context: typer.Context,
    footage: Annotated[list[Path], typer.Argument(help="Folders with houses that it was not taught in.")],
    net: Annotated[Path, typer.Option(help="Folder of the network; by default the one that comes with the package.")] = SHIPPED,
    n: Annotated[int, typer.Option(min=2, help="Pairs of each kind of goal, at most.")] = PAIRS,
    goals: Annotated[int, typer.Option(min=1, help="Frames per walk that serve as goal pictures.")] = 6,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for the JSON.")] = Path("runs/reach_figures"),
    json_path: JsonOption = None,
) -> None:
    """Ask a reach network for distances that the simulator knows.

    For goal pictures and for objects, those in view and those out of view apart: how far off it is, how well it ranks, how well
    it tells what is within a meter, and how often it is right where its score is enough to stop.

    Example: bagel-world eval reach data/house/test
    """
    network = load_reach(net)
    rows = figures_of(network, footage, Console(stderr=True), n=n, goals=goals, seed=seed)
    report = Report(
        command=command_line(context),
        checkpoint="reach" if net == SHIPPED else str(net),
        checkpoint_hash=reach_hash(net),
        data=", ".join(map(str, footage)),
        seed=seed,
        setting={"enough": ENOUGH, "goals": goals, "n": n, "side": network.config.side},
        rows=rows,
    )
    finish(report, out, json_path, "reach")


def figures_of(network: ReachNet, footage: list[Path], console: Console, *, n: int, goals: int, seed: int) -> tuple[Row, ...]:
    """What a network says of footage that it was not taught with; see `reach`."""
    frames, walks = read_houses(footage, network.config.side, console)
    kinds = reach_pairs(walks, network.config.names, goals=goals, seed=seed)
    return tuple(row for pairs in kinds for row in reach_rows(network, frames, pairs, enough=ENOUGH, most=n, seed=seed))

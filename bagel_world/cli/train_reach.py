"""`bagel-world train-reach`: recorded houses become a network that tells how far it is to a goal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console

from bagel_world.cli.claim import claim
from bagel_world.cli.reach import PAIRS, figures_of
from bagel_world.cli.reach_footage import read_houses
from bagel_world.cli.train import progress_bar
from bagel_world.errors import ConfigError
from bagel_world.evaluation.report import to_table
from bagel_world.perception import Perception
from bagel_world.reach import SIDE_MULTIPLE, ReachConfig, ReachNet, save_reach
from bagel_world.sims.reach_pairs import ReachPairs, reach_pairs
from bagel_world.training.reach import Lesson, ReachTrainer, ReachTraining
from bagel_world.types import Episode


def train_reach(
    context: typer.Context,
    footage: Annotated[list[Path], typer.Argument(help="Folders with houses that `bagel-world record` made.")],
    out: Annotated[Path, typer.Option(help="Folder for the network.")] = Path("runs/reach"),
    held_out: Annotated[
        list[Path] | None, typer.Option(help="Folders with other houses, to measure with as `bagel-world eval reach` does.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of training.")] = ReachTraining().steps,
    batch: Annotated[int, typer.Option(min=1, help="Pairs per step, of pictures and of objects each.")] = ReachTraining().batch,
    goals: Annotated[int, typer.Option(min=1, help="Frames per walk that serve as goal pictures.")] = 6,
    side: Annotated[
        int, typer.Option(min=SIDE_MULTIPLE, help=f"Pixels of the pictures it looks at; multiples of {SIDE_MULTIPLE}.")
    ] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Decides goals, pairs and first weights.")] = 0,
    bfloat16: Annotated[bool, typer.Option(help="Compute in half precision, twice as fast where the processor can.")] = True,
) -> None:
    """Teach a network to see how far it is to walk to where a picture was taken, or to an object.

    It serves as the scorer "reach" of planners: `ReachScorer("runs/reach")`. The walks of one house must lie together, as they
    are recorded. Memory: 90 KB per frame of 64 pixels.

    Example: bagel-world train-reach data/house/train --held-out data/house/validation --out runs/reach
    """
    if side % SIDE_MULTIPLE:
        raise ConfigError(f"Expected --side to be a multiple of {SIDE_MULTIPLE}, got {side}.")
    console = Console(stderr=True)
    claim(context, out)
    torch.manual_seed(seed)
    frames, walks = read_houses(footage, side, console)
    names = tuple(sorted({name for each in walks for seen in each.visible or () for name in seen}))
    net = ReachNet(ReachConfig(names=names, side=side), Perception.load())
    lessons = _lessons(walks, names, goals=goals, seed=seed)
    console.print(f"{len(frames):,} frames of {len(walks):,} walks, {sum(len(each.frames) for each in lessons):,} pairs")
    training = ReachTraining(steps=steps, batch=batch, seed=seed)
    with progress_bar(console) as bar:
        looking, teaching = bar.add_task("looking", total=len(frames), loss=""), bar.add_task("reach", total=steps, loss="")

        def look(done: int, _: int) -> None:
            bar.update(looking, completed=done)

        def follow(step: int, _: int, losses: dict[str, float]) -> None:
            bar.update(teaching, completed=step, loss=", ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))

        ReachTrainer(net, frames, lessons, training, bfloat16=bfloat16, looking=look).train(follow)
    save_reach(net, out)
    if held_out:
        console.print(to_table(figures_of(net, held_out, console, n=PAIRS, goals=goals, seed=seed), title="In other houses"))
    console.print(f"Network: {out}", highlight=False)


def _lessons(walks: list[Episode], names: tuple[str, ...], *, goals: int, seed: int) -> tuple[Lesson, Lesson]:
    """Pairs with pictures, those near favored, and with objects, those in sight favored."""
    pictures, objects = reach_pairs(walks, names, goals=goals, seed=seed)
    near, seen = np.flatnonzero(pictures.meters <= ReachTraining().near_within), np.flatnonzero(objects.visible)
    return (
        _lesson(pictures, favored=near, share=ReachTraining().near_share),
        _lesson(objects, favored=seen, share=ReachTraining().seen_share),
    )


def _lesson(pairs: ReachPairs, *, favored: np.ndarray, share: float) -> Lesson:
    return Lesson(
        frames=torch.from_numpy(pairs.frames),
        goals=torch.from_numpy(pairs.goals),
        meters=torch.from_numpy(pairs.meters),
        bearings=torch.from_numpy(pairs.bearings),
        visible=torch.from_numpy(pairs.visible),
        pictures=not pairs.names,
        favored=torch.from_numpy(favored),
        share=share,
    )

"""`bagel-world train-reach`: recorded houses become a network that tells how far it is to a goal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bagel_world.cli.train import progress_bar
from bagel_world.episodes.shards import read_episodes
from bagel_world.images import fit_image
from bagel_world.perception import Perception
from bagel_world.reach import ReachConfig, ReachNet, save_reach
from bagel_world.sims.reach_pairs import ReachPairs, reach_pairs
from bagel_world.training.reach import Lesson, ReachTrainer, ReachTraining, measure
from bagel_world.types import Episode, Frame

_COLUMNS = {"meters_off": "meters off", "rank": "rank corr.", "near": "AUC of 1 m", "within": "within 1 m"}


def train_reach(
    footage: Annotated[list[Path], typer.Argument(help="Folders with houses that `bagel-world record` made.")],
    out: Annotated[Path, typer.Option(help="Folder for the network.")] = Path("runs/reach"),
    held_out: Annotated[
        list[Path] | None, typer.Option(help="Folders with other houses, to measure with. May be repeated.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of training.")] = ReachTraining().steps,
    batch: Annotated[int, typer.Option(min=1, help="Pairs per step, of pictures and of objects each.")] = ReachTraining().batch,
    goals: Annotated[int, typer.Option(min=1, help="Frames per walk that serve as goal pictures.")] = 6,
    side: Annotated[int, typer.Option(min=32, help="Pixels of the pictures it looks at; multiples of 32.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Decides goals, pairs and first weights.")] = 0,
    bfloat16: Annotated[bool, typer.Option(help="Compute in half precision, twice as fast where the processor can.")] = True,
) -> None:
    """Teach a network to see how far it is to walk to where a picture was taken, or to an object.

    It serves as the scorer "reach" of planners: `ReachScorer("runs/reach")`. The walks of one house must lie together, as they
    are recorded. Memory: 90 KB per frame of 64 pixels.

    Example: bagel-world train-reach data/house/train --held-out data/house/validation --out runs/reach
    """
    console = Console(stderr=True)
    torch.manual_seed(seed)
    frames, walks = _read(footage, side, console)
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
        frames, walks = _read(held_out, side, console)
        console.print(_table(net, frames, _lessons(walks, names, goals=goals, seed=seed)))
    console.print(f"Network: {out}", highlight=False)


def _read(folders: list[Path], side: int, console: Console) -> tuple[Frame, list[Episode]]:
    """All frames end to end, as small as they are looked at, and the walks without them."""
    frames, walks = [], []
    for episode in track(_episodes(folders), description="reading", console=console):
        small = np.stack([fit_image(frame, (side, side)) for frame in episode.frames])
        frames.append(small)
        walks.append(replace(episode, frames=small))
    return np.concatenate(frames), walks


def _episodes(folders: list[Path]) -> Iterator[Episode]:
    for folder in folders:
        yield from read_episodes(folder)


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


def _table(net: ReachNet, frames: Frame, lessons: tuple[Lesson, Lesson]) -> Table:
    """How well it tells distances in the other houses."""
    table = Table("goal", "pairs", *_COLUMNS.values())
    for lesson in lessons:
        if len(lesson.frames):
            figures = measure(net, frames, lesson)
            row = [f"{figures[key]:.3f}" for key in _COLUMNS]
            table.add_row("pictures" if lesson.pictures else "objects", f"{len(lesson.frames):,}", *row)
    return table

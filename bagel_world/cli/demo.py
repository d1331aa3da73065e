"""`bagel-world demo`: a walk through an imagined world, beside the real one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bagel_world.errors import ConfigError
from bagel_world.evaluation.metrics import psnr
from bagel_world.evaluation.sheets import Strip, save_sheet
from bagel_world.types import Episode, Frame
from bagel_world.world.record import enlarge, save_movie
from bagel_world.world.rollout import follow, walk
from bagel_world.world.simulator import BagelWorld

if TYPE_CHECKING:
    from bagel_world.world.protocol import World

SEEN = 2
"""Real frames the model is shown before it is on its own."""

COLUMNS = 8
"""Frames in a row of the contact sheet."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("out"),
    steps: Annotated[int, typer.Option(min=1, help="Steps to imagine.")] = 16,
    episode: Annotated[int, typer.Option(min=0, help="Which of the checkpoint's held-out walks to follow.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another imagination.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="nano, a checkpoint folder, or a hub id.")] = "nano",
) -> None:
    """Walk through a house the model has never seen: two real frames, then imagination alone.

    Writes walk.gif, walk.mp4 (real left, imagined right) and contact_sheet.png (real above, imagined below).
    """
    console = Console()
    world = BagelWorld.from_pretrained(checkpoint)
    real = _held_out(world, episode, steps)
    console.print(f"Two frames of a walk that was held out from training, then {steps} steps imagined by {checkpoint!r}.")
    imagined, milliseconds = _imagine(world, real, steps, seed)
    truth = real.frames[SEEN : SEEN + steps]
    console.print(_table(real, imagined, truth, milliseconds))
    words = [action.text for action in real.actions[SEEN - 1 : SEEN - 1 + steps]]
    gap = np.full((*truth.shape[1:2], truth.shape[2] // 16, 3), 255, dtype=np.uint8)
    pairs = [enlarge(np.concatenate((one, gap, other), axis=1)) for one, other in zip(truth, imagined, strict=True)]
    written = [save_movie(out / name, pairs, fps=3) for name in ("walk.gif", "walk.mp4")]
    written.append(save_sheet(_strips(truth, imagined, words), out / "contact_sheet.png"))
    console.print("Look at " + ", ".join(str(path) for path in written), markup=False, soft_wrap=True)


def _held_out(world: BagelWorld, episode: int, steps: int) -> Episode:
    walks = world.starts
    if not walks:
        raise ConfigError("This checkpoint carries no held-out walks to follow. Use the shipped one: --checkpoint nano.")
    if episode >= len(walks):
        last = len(walks) - 1
        raise ConfigError(f"This checkpoint carries {len(walks)} held-out walks: expected --episode 0..{last}, got {episode}.")
    longest = len(walks[episode]) - SEEN + 1
    if steps > longest:
        raise ConfigError(
            f"Walk {episode} has {longest} steps behind the frames that are shown: expected --steps 1..{longest}, got {steps}."
        )
    return walks[episode]


def _imagine(world: BagelWorld, real: Episode, steps: int, seed: int) -> tuple[Frame, list[float]]:
    """The imagined frames, and how long each took."""
    context = world.observe(real.frames[0])
    for action, frame in zip(real.actions[: SEEN - 1], real.frames[1:SEEN], strict=True):
        context = context.say(action.text).observe(frame)
    frames, milliseconds = [], []
    start = time.perf_counter()
    for _, transition in walk(cast("World", world), context, follow(real.actions[SEEN - 1 :]), steps=steps, seed=seed):
        milliseconds.append(1000 * (time.perf_counter() - start))
        frames.append(transition.frame)
        start = time.perf_counter()
    return np.stack(frames), milliseconds


def _table(real: Episode, imagined: Frame, truth: Frame, milliseconds: list[float]) -> Table:
    table = Table("step", "action", "PSNR (dB)", "copy-last PSNR (dB)", "ms")
    right = psnr(imagined, truth)
    copied = psnr(np.repeat(real.frames[SEEN - 1 : SEEN], len(truth), axis=0), truth)
    for step, took in enumerate(milliseconds):
        words = real.actions[SEEN - 1 + step].text
        table.add_row(str(step + 1), words, f"{right[step]:.1f}", f"{copied[step]:.1f}", f"{took:.0f}")
    table.add_row("mean", "", f"{right.mean():.1f}", f"{copied.mean():.1f}", f"{np.median(milliseconds):.0f} (median)")
    return table


def _strips(truth: Frame, imagined: Frame, words: list[str]) -> list[Strip]:
    """Rows of equally many frames; a last row that is too short is filled with white."""
    strips = []
    columns = min(COLUMNS, len(truth))
    for start in range(0, len(truth), columns):
        parts = {"real": truth[start : start + columns], "imagined": imagined[start : start + columns]}
        missing = columns - len(parts["real"])
        blank = np.full((missing, *truth.shape[1:]), 255, dtype=np.uint8)
        captions = (*words[start : start + columns], *[""] * missing)
        strips.append(Strip(captions=captions, rows={label: np.concatenate((frames, blank)) for label, frames in parts.items()}))
    return strips

"""Loops: walks and turns that must lead back to where they began."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bagel_world.actions import NAVIGATE_WORDS, ROTATE_WORDS, TURNS
from bagel_world.evaluation.futures import psnr_row
from bagel_world.evaluation.metrics import mean_interval
from bagel_world.evaluation.probe import ActionProbe
from bagel_world.evaluation.report import Row, make_row
from bagel_world.evaluation.sheets import Strip
from bagel_world.evaluation.subject import Subject, Track, batches, seed_for, untracked
from bagel_world.evaluation.windows import Window, draw_windows
from bagel_world.types import Episode, Frame

FORWARD, LEFT, RIGHT, _ = NAVIGATE_WORDS

TURNS_OF_A_HOUSE = 12
"""Turns of 30 degrees that make a full one."""

FULL_TURN = "full turn"

HOUSE_LOOPS: dict[str, tuple[str, ...]] = {
    "left, right": (LEFT, RIGHT),
    "right, left": (RIGHT, LEFT),
    FULL_TURN: (LEFT,) * TURNS_OF_A_HOUSE,
    "forward and back": (FORWARD, *(LEFT,) * (TURNS_OF_A_HOUSE // 2), FORWARD, *(LEFT,) * (TURNS_OF_A_HOUSE // 2)),
}
"""Walks that end where they began. Back is forward between two half turns, for there is no step backward."""


def _table_loops() -> dict[str, tuple[str, ...]]:
    loops = {}
    for left, right, degrees in zip(ROTATE_WORDS, ROTATE_WORDS[len(TURNS) :], TURNS, strict=False):
        loops[f"left, right by {degrees} degrees"] = (left, right)
        loops[f"right, left by {degrees} degrees"] = (right, left)
        loops[f"{360 // degrees} x {degrees} degrees to the left"] = (left,) * (360 // degrees)
        loops[f"{360 // degrees} x {degrees} degrees to the right"] = (right,) * (360 // degrees)
    return loops


TABLE_LOOPS = _table_loops()
"""Turns around an object that end where they began."""

_LOOPS = 3
_SHEET_STRIPS = 4


def draw_places(episodes: Sequence[Episode], *, n: int, context: int, seed: int) -> list[Window]:
    """Places from which loops are walked."""
    return draw_windows(episodes, n=n, context=context, horizon=1, seed=seed_for(seed, _LOOPS), asked_by="--loops")


def walk_loop(
    subject: Subject,
    windows: Sequence[Window],
    words: tuple[str, ...],
    number: int,
    *,
    seed: int,
    batch: int = 16,
    track: Track = untracked,
) -> Frame:
    """The frames of a walk from every window, uint8 (n, steps, height, width, 3).

    Args:
        subject: the world under test.
        windows: where the walks begin.
        words: what is done, one step after the other.
        number: sets the seeds of this walk apart from those of others.
        seed: decides the noise.
        batch: windows at a time.
        track: shows progress.
    """
    parts = []
    for places in track(batches(len(windows), batch), "walks that return"):
        contexts = [subject.context_of(windows[place]) for place in places]
        seeds = [[seed_for(seed, _LOOPS, number, place, step) for step in range(len(words))] for place in places]
        parts.append(subject.roll(contexts, [words] * len(places), seeds))
    return np.concatenate(parts)


def loop_rows(subject: Subject, name: str, windows: Sequence[Window], walked: Frame, seed: int) -> Iterator[Row]:
    """PSNR between the start and the end of a walk; the frame halfway is the floor, the autoencoder the ceiling."""
    start = np.stack([window.seen[-1] for window in windows])
    groups = np.array([window.group for window in windows])
    halfway = walked[:, (walked.shape[1] - 1) // 2]
    shown = {"end": walked[:, -1], "halfway": halfway, "autoencoder": subject.reconstruct(start)}
    for label, frames in shown.items():
        if frames is not None:
            yield psnr_row("return_psnr_db", f"{name}, {label}", frames, start, groups, seed)


def read_turn_row(probe: ActionProbe, windows: Sequence[Window], walked: Frame, label: int, seed: int) -> Row:
    """What the probe reads between the imagined frames of a full turn: whether the world still obeys on its own frames.

    Args:
        probe: reads actions.
        windows: where the turns began.
        walked: their frames, as `walk_loop` gives them.
        label: the action that was repeated.
        seed: decides the draws of the bootstrap.
    """
    count, steps = walked.shape[:2]
    before, after = (each.reshape(-1, *walked.shape[2:]) for each in (walked[:, :-1], walked[:, 1:]))
    right = probe.read(before, after) == label
    groups = np.repeat([window.group for window in windows], steps - 1)
    interval = mean_interval(right, groups=groups, seed=seed)
    return make_row("probe_accuracy", "pairs of imagined frames, full turn", count * (steps - 1), interval)


def turn_strips(windows: Sequence[Window], walked: Frame) -> list[Strip]:
    """Some full turns, the real frame first."""
    strips = []
    for window, frames in list(zip(windows, walked, strict=True))[:_SHEET_STRIPS]:
        captions = ("start", *(f"{30 * (step + 1)} degrees" for step in range(len(frames))))
        strips.append(Strip(captions=captions, rows={"imagined": np.concatenate([window.seen[-1:], frames])}))
    return strips

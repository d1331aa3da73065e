"""Yaws: from how far around an object an imagined frame looks, told by the real view that it resembles most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from bagel_world.actions import TURNS
from bagel_world.evaluation.futures import Futures
from bagel_world.evaluation.kinds import degrees_of
from bagel_world.evaluation.metrics import mean_interval, rank_correlation
from bagel_world.evaluation.report import Row, make_row
from bagel_world.evaluation.scenes import TableScenes
from bagel_world.evaluation.subject import Subject
from bagel_world.types import Frame

STEP, FARTHEST = 5, 90
"""Degrees between the real views that a frame is compared with, and how far they reach to both sides of the last given one."""

OFFSETS = np.arange(-FARTHEST, FARTHEST + 1, STEP)
"""Degrees by which the real views lie to the left of the last given frame."""


def nearest_view(frames: Frame, views: Frame) -> npt.NDArray[np.int64]:
    """Which view each frame resembles most (least mean squared difference), shape (n,)."""
    shown, known = (each.reshape(len(each), -1).astype(np.float64) for each in (frames, views))
    squares = np.square(shown).sum(axis=1)[:, None] - 2 * shown @ known.T + np.square(known).sum(axis=1)
    return squares.argmin(axis=1)


def yaw_rows(subject: Subject, futures: Futures, scenes: TableScenes, seed: int) -> Iterator[Row]:
    """Whether more commanded degrees give more seen degrees, and how many degrees lie between both.

    The real views that the actions lead to, as the autoencoder shows them, are the ceiling.

    Args:
        subject: the world under test, with the words of rotation.
        futures: what it imagines under each of them.
        scenes: builds the turntables again.
        seed: decides the draws of the bootstrap.

    Raises:
        SimulatorError: the turntables cannot be built again.
    """
    commanded = np.array([degrees_of(word) for word in subject.words])
    seen: dict[str, list[npt.NDArray[np.int64]]] = {"imagined": []}
    for window, imagined in zip(futures.windows, futures.by_action, strict=True):
        assert window.poses is not None
        views = scenes.views(window, (window.poses[window.context - 1, 3] + OFFSETS).tolist())
        seen["imagined"].append(OFFSETS[nearest_view(imagined, views)])
        rebuilt = subject.reconstruct(views[np.searchsorted(OFFSETS, commanded)])
        if rebuilt is not None:
            seen.setdefault("autoencoder", []).append(OFFSETS[nearest_view(rebuilt, views)])
    for label, found in seen.items():
        yield from _rows_of(label, np.stack(found), commanded, futures.groups, seed)


def _rows_of(
    label: str, found: npt.NDArray[np.int64], commanded: npt.NDArray[np.int64], groups: Sequence[str] | np.ndarray, seed: int
) -> Iterator[Row]:
    ranks = [rank_correlation(each, commanded) for each in found]
    yield make_row("yaw_rank_correlation", label, len(ranks), mean_interval(ranks, groups=groups, seed=seed))
    errors = np.abs(found - commanded)
    for name, columns in {"all": commanded == commanded, **{str(turn): abs(commanded) == turn for turn in TURNS}}.items():
        interval = mean_interval(errors[:, columns].mean(axis=1), groups=groups, seed=seed)
        words = "all actions" if name == "all" else f"{name} degrees"
        yield make_row("yaw_error_degrees", f"{label}, {words}", len(errors), interval)

"""Walk movies: wins and failures of contestants as moving pictures, the goal, what was seen and what had been imagined beside."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from bagel_world.errors import RecordingError
from bagel_world.evaluation.closed.missions import Mission
from bagel_world.evaluation.closed.trials import Walked
from bagel_world.evaluation.side_by_side import side_by_side
from bagel_world.types import Frame

MOVIES = "movies"

_PACE = 3.0
_HELD = 4
_SIDE = 128  # a page holds dozens of them


class WalkMovies:
    """Keeps the first wins and failures of every contestant.

    Args:
        folder: movies go to `movies` in it.
        each: wins, and failures, per contestant.
    """

    def __init__(self, folder: Path, *, each: int = 2) -> None:
        self._folder, self._each = folder / MOVIES, each
        self._kept: Counter[str] = Counter()

    def keep(self, walked: Walked, mission: Mission) -> None:
        """Write a movie of this try, unless there are enough of its kind."""
        outcome = walked.outcome
        kind = f"{_file_name(outcome.contestant)}_{'win' if outcome.success else 'failure'}"
        there = len(list(self._folder.glob(f"{kind}_*.gif"))) if kind not in self._kept else self._kept[kind]
        self._kept[kind] = there
        if there < self._each:
            _write(self._folder / f"{kind}_{outcome.mission:04d}.gif", draw_walk(walked, mission))
            self._kept[kind] += 1


def draw_walk(walked: Walked, mission: Mission) -> Frame:
    """One picture per frame of a walk; the last one is held for a moment."""
    count = len(walked.frames)
    goal = np.repeat(walked.goal[None], count, axis=0)
    blank = np.full_like(walked.goal, 235)
    imagined = np.stack([blank, *(blank if each is None else each for each in walked.expected)])
    verdict = "reached" if walked.outcome.success else "not reached"
    captions = [f"start, {mission.meters:.1f} m to go", *(f"{place}. {word}" for place, word in enumerate(walked.words, 1))]
    captions[-1] = f"{captions[-1]}: {verdict}, {walked.outcome.left:.1f} m left"
    columns = {f"goal: {mission.name}": goal, "seen": np.stack(walked.frames), "imagined before": imagined}
    pictures = side_by_side(columns, captions, side=_SIDE)
    return np.concatenate([pictures, np.repeat(pictures[-1:], _HELD, axis=0)])


def _write(path: Path, pictures: Frame) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(path, pictures, duration=1000 / _PACE, loop=0)
    except OSError as error:
        raise RecordingError(
            f"The movie could not be written to {path}: {error}. Free some space or choose another --out."
        ) from error


def _file_name(words: str) -> str:
    return "_".join("".join(letter if letter.isalnum() else " " for letter in words).split())

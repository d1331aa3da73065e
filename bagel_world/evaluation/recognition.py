"""Recognition: whether what a rollout shows can still be told for what it is, by a network that knows real frames only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bagel_world.evaluation.kinds import FootageKind
from bagel_world.evaluation.metrics import mean_interval
from bagel_world.evaluation.recognizer import Recognizer, is_large, picture_of
from bagel_world.evaluation.report import Row, make_row
from bagel_world.evaluation.scenes import Owners
from bagel_world.evaluation.windows import Window
from bagel_world.types import Frame

KINDS_STEP = 4
"""The step at which every kind of object gets a row of its own, or else the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """An object in a rollout."""

    window: int
    number: int
    name: str


def recognition_rows(
    windows: Sequence[Window],
    shown: dict[str, Frame],
    owners: Owners,
    kind: FootageKind,
    recognizer: Recognizer,
    *,
    steps: Sequence[int],
    seed: int,
    notes: list[str],
) -> Iterator[Row]:
    """The share of objects that the recognizer takes for what they are, by step, and at `KINDS_STEP` by kind.

    It looks where the object truly is, with some of what is around it: an object that is elsewhere is not recognized either.

    Args:
        windows: the rollouts.
        shown: label -> their frames, shape (n, horizon, height, width, 3).
        owners: which object each pixel of the real frames shows, shape (n, horizon, height, width).
        kind: names the objects.
        recognizer: reads the pictures.
        steps: those that get a row, from 1.
        seed: decides the draws of the bootstrap.
        notes: takes a remark on objects that the recognizer cannot know.
    """
    objects = [
        _Shown(window=place, number=number, name=name)
        for place, window in enumerate(windows)
        for number, name in enumerate(kind.objects(window.metadata))
    ]
    strange = sorted({each.name for each in objects} - set(recognizer.names.tolist()))
    if strange:
        notes.append(f"The recognizer never saw these kinds of objects, so they are left out: {', '.join(strange)}.")
    objects = [each for each in objects if each.name not in strange]
    groups = np.array([window.group for window in windows])
    by_kind = max(step for step in steps if step <= KINDS_STEP)
    for step in steps:
        there = [each for each in objects if is_large(owners[each.window, step - 1] == each.number)]
        if not there:
            continue
        names, scenes = np.array([each.name for each in there]), groups[[each.window for each in there]]
        for label, frames in shown.items():
            right = _read(there, frames[:, step - 1], owners[:, step - 1], recognizer) == names
            yield _row(f"{label}, step {step}", right, scenes, seed)
            if label == "imagined" and step == by_kind:
                for name in sorted(set(names.tolist())):
                    yield _row(f"{label}, {name}, step {step}", right[names == name], scenes[names == name], seed)


def _read(objects: Sequence[_Shown], frames: Frame, owners: Owners, recognizer: Recognizer) -> npt.NDArray[np.str_]:
    pictures = [picture_of(frames[each.window], owners[each.window] == each.number) for each in objects]
    return recognizer.read(np.stack(pictures))


def _row(name: str, right: npt.NDArray[np.bool_], scenes: npt.NDArray[np.str_], seed: int) -> Row:
    return make_row("recognized_rate", name, len(right), mean_interval(right.astype(float), groups=scenes, seed=seed))

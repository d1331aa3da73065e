"""A world whose frames say what was done: the truth about every plan can be read off its last frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bagel_world.types import Frame
from bagel_world.world.fake import FakeWorld
from bagel_world.world.scoring import Goal

SIDE = 16
WORDS = ("Move forward", "Look left", "Look right", "Stay")


class TapeWorld(FakeWorld):
    """The k-th action since the empty tape is written into the k-th pixel of the first row: its id + 1.

    Attributes:
        batches: how many frames every call of `imagine` asked for.
        seeds: the seeds of all frames, in order.
        jitter: where above 0, the last pixel holds noise in 0..jitter that depends on the seed.
    """

    def __init__(self, jitter: int = 0) -> None:
        super().__init__(frame_size=(SIDE, SIDE), action_words=WORDS, noise=0)
        self.batches: list[int] = []
        self.seeds: list[int] = []
        self.jitter = jitter

    def imagine(self, contexts: Sequence[Any], *, seeds: Sequence[int]) -> list[Frame]:
        self.model_calls += 1
        self.batches.append(len(contexts))
        self.seeds += seeds
        return [self._write(context, seed) for context, seed in zip(contexts, seeds, strict=True)]

    def _write(self, context: Any, seed: int) -> Frame:
        frame = context.frames[-1].copy()
        frame[0, len(read_tape(frame))] = WORDS.index(context.spoken) + 1
        if self.jitter:
            frame[-1, -1] = np.random.default_rng(seed).integers(self.jitter + 1)
        return frame


def empty_tape() -> Frame:
    return np.zeros((SIDE, SIDE, 3), np.uint8)


def read_tape(frame: Frame) -> tuple[int, ...]:
    """The ids of what was done up to this frame."""
    row = frame[0, :, 0]
    return tuple(int(each) - 1 for each in row[: int(np.argmax(row == 0))])


def matches(wanted: Sequence[int]) -> Any:
    """A scorer: the share of the wanted ids that stand in their places."""

    def score(frame: Frame, goal: Goal) -> float:
        tape = read_tape(frame)
        return sum(one == other for one, other in zip(tape, wanted, strict=False)) / len(wanted)

    return score


def by_tape(values: dict[tuple[int, ...], float]) -> Any:
    """A scorer: the value of what was done; 0 for everything else."""
    return lambda frame, goal: values.get(read_tape(frame), 0.0)

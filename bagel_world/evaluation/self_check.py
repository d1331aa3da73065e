"""The self-check checked: how often a world reads the true action from two frames, recorded ones and its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.evaluation.metrics import mean_interval
from bagel_world.evaluation.report import Row, by_metric, make_row
from bagel_world.evaluation.subject import Subject, Track, batches, seed_for, untracked
from bagel_world.evaluation.windows import Window, draw_windows
from bagel_world.types import Episode, Frame
from bagel_world.world.protocol import Context

_WINDOWS, _FRAMES, _READING = 0, 1, 2


class SelfCheckConfig(BaseModel):
    """What to measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=256, ge=1)
    """Pairs of frames; fewer where the footage holds no more."""
    context: int = Field(default=4, ge=1)
    """Real frames before the second one of a pair."""
    seed: int = Field(default=0, ge=0)
    """Decides pairs and noise."""
    batch: int = Field(default=16, ge=1)
    """Pairs at a time."""


def measure_self_check(
    subject: Subject, episodes: Sequence[Episode], config: SelfCheckConfig, *, track: Track = untracked
) -> tuple[Row, ...]:
    """How often the likeliest action is the one that was done, and how likely that one is on average.

    Where the picture did not change, "Stay" and a step against a wall cannot be told apart; so both are told: all pairs, and
    those whose recorded picture changed.

    Args:
        subject: the world that reads.
        episodes: footage it never saw, with the world's own action words.
        config: what to measure.
        track: shows progress.

    Returns:
        Rows; none where the footage shows no action that the world knows.

    Raises:
        ConfigError: the footage has another frame size, or too little of it.
    """
    subject.check_footage(episodes[0].frames)
    windows = draw_windows(
        episodes, n=config.n, context=config.context, horizon=1, seed=seed_for(config.seed, _WINDOWS), fewer=True
    )
    windows = [window for window in windows if window.asked[0].text in subject.words]
    if not windows:
        return ()
    done = np.array([subject.words.index(window.asked[0].text) for window in windows], np.int64)
    chances = {"real": [], "imagined": []}
    for places in track(batches(len(windows), config.batch), "self-check"):
        part = [windows[place] for place in places]
        contexts = [subject.context_of(window) for window in part]
        said = [context.say(window.asked[0].text) for context, window in zip(contexts, part, strict=True)]
        imagined = subject.imagine(said, [seed_for(config.seed, _FRAMES, place) for place in places])
        real = np.stack([window.frames[-1] for window in part])
        for name, frames in (("real", real), ("imagined", imagined)):
            chances[name].append(_read(subject, contexts, frames, places, config.seed))
    rows = [row for name, parts in chances.items() for row in _rows(name, np.concatenate(parts), done, windows, subject.words)]
    return by_metric(rows)


def _read(subject: Subject, contexts: Sequence[Context], frames: Frame, places: Sequence[int], seed: int) -> np.ndarray:
    seeds = [seed_for(seed, _READING, place) for place in places]
    return subject.world.explain(contexts, list(frames), words=subject.words, seeds=seeds)


def _rows(name: str, chances: np.ndarray, done: np.ndarray, windows: Sequence[Window], words: Sequence[str]) -> Iterator[Row]:
    groups = np.array([window.group for window in windows])
    changed = np.array([window.moved for window in windows])
    agreement = chances[np.arange(len(done)), done]
    best = chances == chances.max(axis=1, keepdims=True)
    right = best[np.arange(len(done)), done] / best.sum(axis=1)  # of equally likely ones any may be said
    samples = {"all actions": np.ones(len(done), np.bool_), "picture changed": changed}
    samples |= {word: done == place for place, word in enumerate(words)}
    for label, mask in samples.items():
        if mask.any():
            interval = mean_interval(right[mask], groups=groups[mask])
            yield make_row("action_read_rightly", f"{name} frames, {label}", int(mask.sum()), interval)
    yield make_row("agreement", f"{name} frames, all actions", len(done), mean_interval(agreement, groups=groups))

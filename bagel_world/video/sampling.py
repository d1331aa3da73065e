"""Which moments of a clip become frames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from bagel_world.video.clips import Clip
from bagel_world.video.config import FrameConfig
from bagel_world.video.sidecar import Word

_LEAST = 2  # frames of a sample
_TOUCH = 1e-3  # seconds between the end of an action and the begin of the next that still follow each other


def sample_times(clip: Clip, config: FrameConfig, *, key: str, words: Sequence[Word] = ()) -> list[list[float]]:
    """The times of the frames of each sample that a clip gives, in seconds after the film's first picture.

    By default one sample of two or more frames, `config.frames` on average, evenly apart and as far apart as they can be, the
    first at a random place. By stride: one sample with a frame every so many seconds. At actions: samples of consecutive
    actions, from the begin of the first to the end of the last, where the last frame of a sample is the first of the next.

    Args:
        clip: where to take them.
        config: how.
        key: names the film; with the seed and the clip's time it decides what is drawn.
        words: the film's actions; needed for `at_actions`.
    """
    random = np.random.default_rng(_entropy(config.seed, key, clip.start))
    if config.at_actions:
        return _at_actions(clip, config, words, random)
    if config.stride is not None:
        count = int((clip.end - clip.start) / config.stride + 1e-6) + 1
        times = [clip.start + place * config.stride for place in range(count)]
        return [times] if count >= _LEAST else []
    count = min(_draw_count(config.frames, random), clip.pictures)
    spacing = (clip.end - clip.start) / count
    offset = float(random.uniform())
    return [[clip.start + (place + offset) * spacing for place in range(count)]]


def _at_actions(clip: Clip, config: FrameConfig, words: Sequence[Word], random: np.random.Generator) -> list[list[float]]:
    inside = [word for word in words if word.start >= clip.start - _TOUCH and word.end <= clip.end + _TOUCH]
    rows: list[list[float]] = []
    last_end: float | None = None
    for word in inside:
        if last_end is None or abs(word.start - last_end) > _TOUCH:
            rows.append([word.start])
        rows[-1].append(word.end)
        last_end = word.end
    samples = []
    for row in rows:
        first = 0
        while first < len(row) - 1:
            last = min(first + _draw_count(config.frames, random) - 1, len(row) - 1)
            samples.append(row[first : last + 1])
            first = last
    return samples


def _draw_count(mean: float, random: np.random.Generator) -> int:
    """Two or more frames, `mean` on average."""
    return _LEAST + int(random.binomial(max(1, round(2 * (mean - _LEAST))), 0.5)) if mean > _LEAST else _LEAST


def _entropy(seed: int, key: str, start: float) -> list[int]:
    digest = hashlib.sha256(f"{key}/{start:.6f}".encode()).digest()
    return [seed, *np.frombuffer(digest[:16], dtype=np.uint32).tolist()]

"""Which moments of a clip become frames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bagel_world.video.clips import Clip
from bagel_world.video.config import FrameConfig
from bagel_world.video.sidecar import Word

_LEAST = 2  # frames of a sample
_TOUCH = 1e-3  # seconds between the end of an action and the begin of the next that still follow each other
_NEXT = 1.5  # intervals between pictures: what comes so soon is the next picture


def sample_times(clip: Clip, config: FrameConfig, *, key: str, words: Sequence[Word] = ()) -> list[list[float]]:
    """The times of the frames of each sample that a clip gives, in seconds after the film's first picture.

    By default one sample of two or more frames, `config.frames` on average, evenly apart and as far apart as they can be, the
    first at a random place. By stride: one sample with a frame every so many seconds. At actions: samples of consecutive
    actions, from the begin of the first to the end of the last, where the last frame of a sample is the first of the next; the
    last one takes what is left.

    Args:
        clip: where to take them.
        config: how.
        key: names the film; with the seed and the clip's time it decides what is drawn.
        words: the actions that begin in the clip; needed for `at_actions`.
    """
    random = np.random.default_rng(_entropy(config.seed, key, clip.start))
    if config.at_actions:
        return _at_actions(config, words, random)
    if config.stride is not None:
        count = int((clip.end - clip.start) / config.stride + 1e-6) + 1
        times = [clip.start + place * config.stride for place in range(count)]
        return [times] if count >= _LEAST else []
    count = min(_draw_count(config.frames, random), clip.pictures)
    spacing = (clip.end - clip.start) / count
    offset = float(random.uniform())
    return [[clip.start + (place + offset) * spacing for place in range(count)]]


def words_of_clips(words: Sequence[Word], clips: Sequence[Clip], *, seconds: float, longest: float) -> list[list[Word]]:
    """The actions that begin in each clip and can be seen to their ends.

    A stretch without cuts that was too long for one clip is several, one behind the other: an action may go on in the next.

    Args:
        words: the film's, in the order of time; one that lasts without end lasts as long as the film.
        clips: the film's, in the order of time.
        seconds: when the film ends.
        longest: how long a clip may be.
    """
    rows: list[list[Word]] = [[] for _ in clips]
    ends = _ends(clips, longest)
    for word in words:
        end = min(word.end, seconds)
        for place, clip in enumerate(clips):
            follows = place + 1 < len(clips) and ends[place] > clip.end
            last = clips[place + 1].start - _TOUCH if follows else clip.end
            if clip.start - _TOUCH <= word.start < last and word.start < end <= ends[place] + _TOUCH:
                rows[place].append(replace(word, end=end))
                break
    return rows


def _ends(clips: Sequence[Clip], longest: float) -> list[float]:
    """Until when the stretch that each clip belongs to goes on without a cut."""
    ends = [clip.end for clip in clips]
    for place in range(len(clips) - 2, -1, -1):
        clip, after = clips[place], clips[place + 1]
        interval = (clip.end - clip.start) / max(1, clip.pictures - 1)
        full = clip.end - clip.start + _NEXT * interval > longest  # else it ends where there is a cut
        if full and after.start - clip.end <= _NEXT * interval:
            ends[place] = ends[place + 1]
    return ends


def _at_actions(config: FrameConfig, words: Sequence[Word], random: np.random.Generator) -> list[list[float]]:
    rows: list[list[float]] = []
    last_end: float | None = None
    for word in words:
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
    trials, rest = divmod(2 * (mean - _LEAST), 1)
    trials += bool(rest) and random.uniform() < rest
    return _LEAST + int(random.binomial(int(trials), 0.5))


def _entropy(seed: int, key: str, start: float) -> list[int]:
    digest = hashlib.sha256(f"{key}/{start:.6f}".encode()).digest()
    return [seed, *np.frombuffer(digest[:16], dtype=np.uint32).tolist()]

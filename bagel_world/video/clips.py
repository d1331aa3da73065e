"""Clips: what is left of a film between its cuts, and an account of every picture that is not in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from bagel_world.video.config import ClipConfig
from bagel_world.video.cuts import find_cuts, find_gaps
from bagel_world.video.stretches import REASONS, find_stretches
from bagel_world.video.timeline import CHAPTER, Timeline

Box = tuple[int, int, int, int]
"""(top, bottom, left, right) in pixels, ends excluded."""

ClipFate = Literal["short", "small"]

_LEAST_CONTENT = 0.25  # share of a picture that must be left inside black borders; less is a dark scene
_EDGE = 1  # pixels inside a border that codecs smear


class Clip(BaseModel):
    """A stretch of a film without cuts, and what it looks like."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float
    """Time of its first picture, in seconds after the film's first."""
    end: float
    """Time of its last picture."""
    pictures: int
    """How many it has."""
    box: Box
    """What lies inside black borders."""
    size: tuple[int, int]
    """(width, height) of its pictures, borders included."""
    hashes: tuple[str, ...]
    """Perceptual hashes of pictures in it, a quarter of a second apart, as hexadecimal digits."""
    prints: tuple[str, ...]
    """Colors of the same pictures, as hexadecimal digits."""

    @property
    def cropped(self) -> bool:
        """Whether it has black borders."""
        return self.box != (0, self.size[1], 0, self.size[0])


class Survey(BaseModel):
    """What a film holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clips: tuple[Clip, ...]
    """In the order of time."""
    pictures: dict[str, int]
    """Decoded pictures by what became of them: "clips", a reason of `stretches`, "short" or "small"."""
    cut: dict[str, int]
    """Clips that were found: "kept", "short", "small"; and "cropped" of those kept."""
    seconds: float
    """Time of the last picture."""
    problems: tuple[str, ...] = ()
    """Sentences about what could not be read."""


def survey(chapters: Iterable[Timeline], config: ClipConfig, *, progress: Callable[[float], None] = lambda _: None) -> Survey:
    """Cut a film into clips and count what is dropped; every picture is counted once.

    Args:
        chapters: the film, a bounded number of pictures at a time.
        config: how to cut and what to drop.
        progress: told the time that was reached, in seconds.
    """
    clips: list[Clip] = []
    pictures: Counter[str] = Counter()
    found: Counter[str] = Counter()
    seconds = 0.0
    for part, reason in _parts(chapters, config, progress):
        seconds = float(part.times[-1])
        if reason is not None:
            pictures[reason] += len(part)
            continue
        clip = _clip(part, config)
        fate = _fate(clip, config)
        pictures[fate or "clips"] += len(part)
        found[fate or "kept"] += 1
        if fate is None:
            clips.append(clip)
            found["cropped"] += clip.cropped
    return Survey(clips=tuple(clips), pictures=dict(pictures), cut=dict(found), seconds=seconds)


def _parts(
    chapters: Iterable[Timeline], config: ClipConfig, progress: Callable[[float], None]
) -> Iterator[tuple[Timeline, str | None]]:
    """The film in pieces, each with the reason why it is dropped; None for a clip.

    The last piece of a chapter goes on in the next one.
    """
    rest: Timeline | None = None
    for chapter in chapters:
        here = chapter if rest is None else rest + chapter
        *whole, (start, end, reason) = divide(here, config)
        yield from ((here[a:b], why) for a, b, why in whole)
        progress(float(here.times[-1]))
        rest = here[start:end]
        if len(rest) > CHAPTER // 2:  # nothing may grow without end
            yield rest, reason
            rest = None
    if rest is not None:
        yield from ((rest[a:b], why) for a, b, why in divide(rest, config))


def divide(timeline: Timeline, config: ClipConfig) -> list[tuple[int, int, str | None]]:
    """(start, end, reason) of all pieces of a timeline, in order and without holes; no reason for a clip."""
    breaks = find_gaps(timeline)
    if config.cuts:
        breaks |= find_cuts(timeline, config.cut_threshold)
    reasons = find_stretches(timeline, breaks, config)
    pieces: list[tuple[int, int, str | None]] = []
    edges = breaks | np.concatenate([[True], np.diff(reasons) != 0])
    starts = np.flatnonzero(edges).tolist()
    for start, end in zip(starts, [*starts[1:], len(timeline)], strict=True):
        reason = None if reasons[start] < 0 else REASONS[reasons[start]]
        if reason is None:
            pieces += [(a, b, None) for a, b in _bounded(timeline.times, start, end, config.max_seconds)]
        else:
            pieces.append((start, end, reason))
    return pieces


def _bounded(times: npt.NDArray[np.float64], start: int, end: int, seconds: float) -> Iterator[tuple[int, int]]:
    """Divide a stretch into pieces no longer than this."""
    while start < end:
        stop = min(end, int(np.searchsorted(times, times[start] + seconds + 1e-6, side="right")))
        yield start, stop
        start = stop


def _clip(part: Timeline, config: ClipConfig) -> Clip:
    width, height = (int(side) for side in part.sizes[0])
    known = part.measured & (part.boxes[:, 0] >= 0)
    return Clip(
        start=round(float(part.times[0]), 6),
        end=round(float(part.times[-1]), 6),
        pictures=len(part),
        box=_content(part.boxes[known], width, height) if config.borders else (0, height, 0, width),
        size=(width, height),
        hashes=tuple(each.tobytes().hex() for each in part.hashes[known]),
        prints=tuple(each.tobytes().hex() for each in part.prints[known]),
    )


def _content(boxes: npt.NDArray[np.int32], width: int, height: int) -> Box:
    """What is inside the borders of all pictures; all of it where little would be left."""
    whole = (0, height, 0, width)
    if not len(boxes):
        return whole
    top, left = (int(side) for side in boxes[:, [0, 2]].min(axis=0))
    bottom, right = (int(side) for side in boxes[:, [1, 3]].max(axis=0))
    if (bottom - top) * (right - left) < _LEAST_CONTENT * width * height:
        return whole
    return (
        top + _EDGE * (top > 0),
        bottom - _EDGE * (bottom < height),
        left + _EDGE * (left > 0),
        right - _EDGE * (right < width),
    )


def _fate(clip: Clip, config: ClipConfig) -> ClipFate | None:
    top, bottom, left, right = clip.box
    if min(bottom - top, right - left) < config.min_side:
        return "small"
    if clip.pictures < 2 or clip.end - clip.start < config.min_seconds:
        return "short"
    return None

"""Stretches of a film that teach nothing: black, fading, mixed, frozen, blurred. Each picture gets at most one reason."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from bagel_world.video.config import ClipConfig
from bagel_world.video.cuts import Flags, find_cross_fades
from bagel_world.video.timeline import Timeline

Reason = Literal["black", "fade", "frozen", "blurred", "cross-fade"]
REASONS: tuple[Reason, ...] = get_args(Reason)

_STILL = 6.0  # brightness, 0..255, by which a thumbnail of a frozen film may waver: re-encoding does that much
_FADE_SECONDS = 3.0  # how far before or after a black stretch a fade may reach
_FADED = 0.85  # share of the usual brightness below which a picture next to black is still fading
_DIM = 0.5  # share of the usual brightness that the picture next to black has at most in a fade
_BLUR_SECONDS = 0.5


def find_stretches(timeline: Timeline, breaks: Flags, config: ClipConfig) -> npt.NDArray[np.int8]:
    """Why each picture is dropped: its place in `REASONS`, or -1 where it is kept; shape (n,).

    Args:
        timeline: pictures in a row.
        breaks: where a shot begins.
        config: which stretches count.
    """
    found: dict[Reason, Flags] = {}
    if config.black:
        found["black"] = find_black(timeline, config.black_level)
        found["fade"] = find_fades(timeline, found["black"], breaks)
    if config.frozen_seconds is not None:
        found["frozen"] = find_frozen(timeline, config.frozen_seconds)
    if config.blur_limit is not None:
        found["blurred"] = find_blurred(timeline, config.blur_limit)
    reasons = np.full(len(timeline), -1, dtype=np.int8)
    for reason, flags in found.items():
        reasons[flags & (reasons < 0)] = REASONS.index(reason)
    if config.cuts:
        # Last, because a blurred picture between two sharp ones looks like a mixture of both.
        mixed = find_cross_fades(timeline, breaks | (np.diff(reasons, prepend=reasons[:1]) != 0))
        reasons[mixed & (reasons < 0)] = REASONS.index("cross-fade")
    return reasons


def find_black(timeline: Timeline, level: int) -> Flags:
    """Pictures with next to nothing brighter than `level`: bool, shape (n,)."""
    return np.percentile(timeline.luma.reshape(len(timeline), -1), 98, axis=1) <= level


def find_fades(timeline: Timeline, black: Flags, breaks: Flags) -> Flags:
    """Pictures on their way into or out of a black stretch: bool, shape (n,)."""
    means = timeline.luma.mean(axis=(1, 2))
    edges = np.flatnonzero(np.diff(black.astype(np.int8)))
    fading = np.zeros(len(timeline), dtype=bool)
    for edge in edges:
        outward = -1 if black[edge + 1] else 1
        start = edge if outward < 0 else edge + 1
        place, steps = start, []
        while (
            0 <= place < len(timeline)
            and not black[place]
            and abs(timeline.times[place] - timeline.times[start]) <= _FADE_SECONDS
        ):
            steps.append(place)
            if breaks[place if outward < 0 else min(place + 1, len(timeline) - 1)]:
                break
            place += outward
        usual = float(np.max(means[steps], initial=0.0))
        if not steps or means[steps[0]] > _DIM * usual:
            continue  # a jump
        # Brightness rises away from black until the picture is fully there.
        for before, here in zip([None, *steps], steps, strict=False):
            if means[here] >= _FADED * usual or (before is not None and means[here] < means[before] - 1.0):
                break
            fading[here] = True
    return fading


def find_frozen(timeline: Timeline, seconds: float) -> Flags:
    """Stretches of at least `seconds` in which nothing moves: bool, shape (n,)."""
    luma, times = timeline.luma, timeline.times
    frozen = np.zeros(len(timeline), dtype=bool)
    first = 0
    for place in range(1, len(timeline) + 1):
        if place < len(timeline) and float(np.abs(luma[place] - luma[first]).max()) <= _STILL:
            continue
        if place - first > 1 and times[place - 1] - times[first] >= seconds:
            frozen[first:place] = True
        first = place
    return frozen


def find_blurred(timeline: Timeline, limit: float) -> Flags:
    """Stretches of at least half a second that are blurrier than `limit`: bool, shape (n,)."""
    measured = np.flatnonzero(timeline.measured)
    if not len(measured):
        return np.zeros(len(timeline), dtype=bool)
    latest = measured[np.maximum(np.searchsorted(measured, np.arange(len(timeline)), side="right") - 1, 0)]
    blurred = timeline.blurs[latest] > limit
    for start, end in runs(blurred):
        if timeline.times[end - 1] - timeline.times[start] < _BLUR_SECONDS:
            blurred[start:end] = False
    return blurred


def runs(flags: Flags) -> list[tuple[int, int]]:
    """(start, end) of every unbroken row of True, ends excluded."""
    padded = np.concatenate([[False], flags, [False]]).astype(np.int8)
    steps = np.diff(padded)
    return list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))

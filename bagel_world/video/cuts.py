"""Cuts and cross-fades, by colors and structure. A pan, a zoom or a change of light is none.

The default threshold is measured on thumbnails. Of 905 pairs that a cut separates (different films, other shots of one film,
different photographs) the geometric mean of both distances reaches 0.3 in 99.3 %; of 5,463 that none does (pictures of real films
up to four apart, pans of up to a fifth of the width, zooms, changes of light) in 0.05 %. Before a cut is believed, it must also
stand out from the changes around it, and not be undone a moment later, as by a flash. Walks in steps of 30 degrees are another
matter: a step reaches 0.3 in a quarter of the cases. For such footage, switch cuts off.

Of 200 cross-fades between photographs, 0.4 to 2.5 s long, the rule below finds 94 % where both stand still and 55 % where both
pan by 0.3 widths a second; it takes one of 200 pans for a cross-fade, and nothing in nine real films.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from bagel_world.video.measures import Floats, brightness, color_distance, color_histogram, structure_distance
from bagel_world.video.timeline import Timeline

Flags = npt.NDArray[np.bool_]

LONGEST_GAP = 1.0
"""Seconds without a picture that end a clip, unless pictures always come that slowly."""

_OUTSTANDING = 1.8  # a cut differs by this factor more than the median pair around it
_NEIGHBORS = 6  # pairs before and after
_FLASH = 4  # pictures that a flash lasts at most
_FADE_SPANS = (0.2, 0.45, 0.8)  # seconds before and after the middle of a cross-fade
_FADE_RATE = 8.0  # times per second at which cross-fades are looked for
_FADE_DISTANCE = 0.25  # least distance of the pictures before and after
_FADE_NEWNESS = 0.1  # least distance of structure between the middle and either end
_PURE = 0.08  # share of the other shot that a picture may have and still be used
_FADE_ERROR = 0.45  # largest share of their difference that a mixture of both does not explain


class Differences:
    """Distances between any two pictures of a timeline; what is computed for one picture is kept."""

    def __init__(self, timeline: Timeline) -> None:
        self._thumbnails = timeline.thumbnails
        self._histograms: dict[int, Floats] = {}

    def between(self, a: int, b: int, *, least: float = 0.0) -> float:
        """The geometric mean of the distances of colors and of structure: 0 for equal pictures, 1 for unrelated ones.

        Args:
            a: place of a picture.
            b: place of another.
            least: what would matter; below it, the distance may be given as 0.
        """
        colors = color_distance(self._histogram(a), self._histogram(b))
        if colors < least * least:
            return 0.0
        return math.sqrt(colors * self.structure(a, b))

    def structure(self, a: int, b: int) -> float:
        """The distance of structure alone."""
        return structure_distance(brightness(self._thumbnails[a]), brightness(self._thumbnails[b]))

    def _histogram(self, place: int) -> Floats:
        if place not in self._histograms:
            self._histograms[place] = color_histogram(self._thumbnails[place])
        return self._histograms[place]


def find_cuts(timeline: Timeline, threshold: float) -> Flags:
    """Where a new shot begins: bool, shape (n,); the first picture begins none.

    Args:
        timeline: pictures in a row.
        threshold: distance of two pictures in a row from which on they may be apart.
    """
    cuts = np.zeros(len(timeline), dtype=bool)
    differences = Differences(timeline)
    # Only whether small ones are below matters, and the structure is the expensive half.
    least = threshold / _OUTSTANDING
    changes = np.array([0.0, *(differences.between(place - 1, place, least=least) for place in range(1, len(timeline)))])
    for place in np.flatnonzero(changes >= threshold).tolist():
        around = np.concatenate([changes[max(1, place - _NEIGHBORS) : place], changes[place + 1 : place + 1 + _NEIGHBORS]])
        stands_out = not len(around) or changes[place] >= _OUTSTANDING * float(np.median(around))
        cuts[place] = stands_out and not _is_flash(differences, place, len(timeline), threshold)
    return cuts


def find_gaps(timeline: Timeline) -> Flags:
    """Where pictures were missing for long, or their size changes: bool, shape (n,)."""
    gaps = np.zeros(len(timeline), dtype=bool)
    if len(timeline) > 1:
        waits = np.diff(timeline.times)
        gaps[1:] = waits > max(LONGEST_GAP, 8.0 * float(np.median(waits)))
        gaps[1:] |= (timeline.sizes[1:] != timeline.sizes[:-1]).any(axis=1)
    return gaps


def find_cross_fades(timeline: Timeline, breaks: Flags) -> Flags:
    """The pictures that are mixtures of the shots before and after: bool, shape (n,).

    In the middle of a cross-fade three pictures lie on the line between the ones before and after, which are otherwise apart.
    Moving things lie on no line.

    Args:
        timeline: pictures in a row.
        breaks: where a shot is known to begin; a cross-fade has none inside.
    """
    fading = np.zeros(len(timeline), dtype=bool)
    differences = Differences(timeline)
    begun = np.cumsum(breaks)
    for places in _windows(timeline.times):
        if begun[places[0]] == begun[places[-1]] and _is_mixture(timeline, places):
            first, _, middle, _, last = places
            apart = differences.between(first, last, least=_FADE_DISTANCE) >= _FADE_DISTANCE
            # In a pan the middle is one of the outer pictures, shifted; a mixture is not.
            if apart and min(differences.structure(first, middle), differences.structure(middle, last)) >= _FADE_NEWNESS:
                shares = _shares(timeline.thumbnails, range(places[0], places[-1] + 1), places[0], places[-1])
                mixed = places[0] + np.flatnonzero((shares > _PURE) & (shares < 1.0 - _PURE))
                fading[mixed.min() : mixed.max() + 1] = True
    return fading


def _windows(times: npt.NDArray[np.float64]) -> Iterator[list[int]]:
    """Five places each: before, three in between, after."""
    if len(times) < 5:
        return
    for middle in np.arange(times[0], times[-1], 1.0 / _FADE_RATE):
        for span in _FADE_SPANS:
            if middle - span < times[0] or middle + span > times[-1]:
                break
            wanted = middle + span * np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
            places = np.minimum(np.searchsorted(times, wanted), len(times) - 1).tolist()
            if len(set(places)) == 5:
                yield places


def _is_mixture(timeline: Timeline, places: list[int]) -> bool:
    before, *inner, after = timeline.thumbnails[places].astype(np.float32)
    change = after - before
    shares = _shares(timeline.thumbnails, places[1:-1], places[0], places[-1])
    if not (0.2 < shares[1] < 0.8 and shares[0] < shares[1] < shares[2]):
        return False
    rests = (picture - before - share * change for picture, share in zip(inner, shares, strict=True))
    return max(float((rest * rest).sum()) for rest in rests) < _FADE_ERROR**2 * float((change * change).sum())


def _shares(thumbnails: npt.NDArray[np.uint8], places: Sequence[int], before: int, after: int) -> Floats:
    """How far each picture is on the way from one to another: 0 there, 1 here."""
    change = thumbnails[after].astype(np.float32) - thumbnails[before]
    length = float((change * change).sum()) + 1e-3
    moved = thumbnails[list(places)].astype(np.float32) - thumbnails[before]
    return np.einsum("nhwc,hwc->n", moved, change) / length


def _is_flash(differences: Differences, place: int, count: int, threshold: float) -> bool:
    """Whether the pictures soon after are again like those shortly before."""
    before, after = range(max(0, place - _FLASH), place), range(place, min(place + _FLASH, count))
    near = threshold / 2
    return any(differences.between(a, b, least=near) < near for a in before for b in after if b - a > 1)

"""The timeline: what a survey keeps of every picture, in chapters of bounded length, so that memory stays flat.

A chapter is long enough that whatever is looked for (cuts, fades, frozen stretches) fits into it many times over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from bagel_world.types import Frame
from bagel_world.video.measures import HASH_WORDS, Floats, blur, brightness, color_print, content_box, perceptual_hash
from bagel_world.video.pictures import Picture

CHAPTER = 2048
"""Pictures looked at together, at most."""

THUMBNAIL = (64, 36)
"""(width, height) of a thumbnail, whatever the aspect of the film."""

_MEASURE_EVERY = 0.25  # seconds; blur, borders and hashes change slowly and cost more than a thumbnail
_BLUR_SIDE = 256  # blur is measured at one size; about that at which models see
_UNMEASURED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """What is known of n pictures in a row.

    Attributes:
        times: seconds since the film's first picture, shape (n,).
        thumbnails: uint8, shape (n, 36, 64, 3).
        sizes: (width, height) in pixels, shape (n, 2).
        measured: where the rest was measured: bool, shape (n,).
        blurs: 0 sharp .. 1 no detail, shape (n,).
        boxes: (top, bottom, left, right) inside black borders, shape (n, 4); -1 where black.
        hashes: perceptual hashes inside the borders, uint64, shape (n, 4).
        prints: mean colors of the quarters, uint8, shape (n, 12).
    """

    times: npt.NDArray[np.float64]
    thumbnails: npt.NDArray[np.uint8]
    sizes: npt.NDArray[np.int32]
    measured: npt.NDArray[np.bool_]
    blurs: Floats
    boxes: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint64]
    prints: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.times)

    def __getitem__(self, part: slice) -> Self:
        """The pictures of a slice."""
        return type(self)(**{name: getattr(self, name)[part] for name in self.__dataclass_fields__})

    def __add__(self, later: Self) -> Self:
        """These pictures, then those."""
        pairs = {name: (getattr(self, name), getattr(later, name)) for name in self.__dataclass_fields__}
        return type(self)(**{name: np.concatenate(pair) for name, pair in pairs.items()})

    @property
    def luma(self) -> Floats:
        """Brightness of the thumbnails, 0..255, shape (n, 36, 64)."""
        return brightness(self.thumbnails)


def read_chapters(pictures: Iterable[Picture], *, black_level: int, length: int = CHAPTER) -> Iterator[Timeline]:
    """The pictures of a film, `length` at a time."""
    rows: list[_Row] = []
    last_measured = -np.inf
    for picture in pictures:
        due = picture.time - last_measured >= _MEASURE_EVERY - 1e-6
        if due:
            last_measured = picture.time
        rows.append(_look_at(picture, black_level, measure=due))
        if len(rows) == length:
            yield _chapter(rows)
            rows = []
    if rows:
        yield _chapter(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    time: float
    thumbnail: Frame
    size: tuple[int, int]
    measured: bool
    blur: float = 0.0
    box: tuple[int, int, int, int] = (_UNMEASURED, _UNMEASURED, _UNMEASURED, _UNMEASURED)
    hash: npt.NDArray[np.uint64]
    print: npt.NDArray[np.uint8]


def _look_at(picture: Picture, black_level: int, *, measure: bool) -> _Row:
    thumbnail = picture.thumbnail(*THUMBNAIL)
    nothing = np.zeros(HASH_WORDS, np.uint64), np.zeros(12, np.uint8)
    if not measure:
        return _Row(time=picture.time, thumbnail=thumbnail, size=picture.size, measured=False, hash=nothing[0], print=nothing[1])
    luma = picture.luma()
    box = content_box(luma, black_level)
    if box is None:
        return _Row(time=picture.time, thumbnail=thumbnail, size=picture.size, measured=True, hash=nothing[0], print=nothing[1])
    content = luma[box[0] : box[1], box[2] : box[3]]
    return _Row(
        time=picture.time,
        thumbnail=thumbnail,
        size=picture.size,
        measured=True,
        blur=blur(_shrunk(content)),
        box=box,
        hash=perceptual_hash(content),
        print=color_print(_inside(thumbnail, box, luma.shape)),
    )


def _inside(thumbnail: Frame, box: tuple[int, int, int, int], shape: tuple[int, ...]) -> Frame:
    """The part of a thumbnail that shows what lies inside a box of the picture."""
    top, bottom = (round(side * thumbnail.shape[0] / shape[0]) for side in box[:2])
    left, right = (round(side * thumbnail.shape[1] / shape[1]) for side in box[2:])
    return np.ascontiguousarray(thumbnail[top : max(bottom, top + 1), left : max(right, left + 1)])


def _shrunk(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    picture = Image.fromarray(luma)
    picture.thumbnail((_BLUR_SIDE, _BLUR_SIDE), Image.Resampling.BOX)
    return np.asarray(picture)


def _chapter(rows: list[_Row]) -> Timeline:
    return Timeline(
        times=np.array([row.time for row in rows], dtype=np.float64),
        thumbnails=np.stack([row.thumbnail for row in rows]),
        sizes=np.array([row.size for row in rows], dtype=np.int32),
        measured=np.array([row.measured for row in rows]),
        blurs=np.array([row.blur for row in rows], dtype=np.float32),
        boxes=np.array([row.box for row in rows], dtype=np.int32),
        hashes=np.stack([row.hash for row in rows]),
        prints=np.stack([row.print for row in rows]),
    )

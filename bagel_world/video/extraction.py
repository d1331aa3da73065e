"""Extraction: the frames of clips at chosen times, cropped, resized and encoded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bagel_world.episodes.schema import encode_png
from bagel_world.images import fit_image
from bagel_world.types import Frame
from bagel_world.video.clips import Box
from bagel_world.video.config import FootageConfig
from bagel_world.video.reader import pictures_at
from bagel_world.video.sources import Source

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A frame that is kept.

    Attributes:
        time: seconds after the film's first picture.
        frame: uint8, shape (height, width, 3), at its final size.
        png: the same, encoded.
    """

    time: float
    frame: Frame
    png: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The frames of one sample: when, and what lies inside black borders."""

    times: tuple[float, ...]
    box: Box


def extract(source: Source, wanted: Sequence[Wanted], config: FootageConfig) -> list[list[Shot]]:
    """The frames of each sample, those that fall on one picture once.

    Args:
        source: the film.
        wanted: samples in the order of time.
        config: border, aspect and size.

    Raises:
        RecordingError: the film can no longer be read.
    """
    times = [time for sample in wanted for time in sample.times]
    order = sorted(range(len(times)), key=times.__getitem__)
    boxes = [sample.box for sample in wanted for _ in sample.times]
    shots: dict[int, Shot] = {}
    pictures = pictures_at(source, [times[place] for place in order], fps=config.clips.fps, problem=logger.info)
    for place, picture in zip(order, pictures, strict=False):
        if picture is None:
            continue
        frame = shape(picture.frame(), boxes[place], config)
        shots[place] = Shot(time=picture.time, frame=frame, png=encode_png(frame))
    samples, first = [], 0
    for sample in wanted:
        found = [shots[place] for place in range(first, first + len(sample.times)) if place in shots]
        samples.append(
            [shot for shot, before in zip(found, [None, *found], strict=False) if before is None or shot.time > before.time]
        )
        first += len(sample.times)
    return samples


def shape(frame: Frame, box: Box, config: FootageConfig) -> Frame:
    """A picture without its borders, in the wanted aspect and size."""
    top, bottom, left, right = box
    frame = np.ascontiguousarray(frame[top:bottom, left:right])
    size = config.frames.size
    if isinstance(size, int):
        return config.frames.rule.apply(frame)
    return fit_image(frame, size)

"""Side by side: two worlds in one moving picture, with words above them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bagel_world.errors import ConfigError
from bagel_world.types import Frame
from bagel_world.world.record import SMALLEST_SIDE, enlarge

GAP = 4
HEADER = 32
"""Height of the two lines of text, in pixels."""

_LINE = 14
_PAPER = (250, 250, 248)
_INK = (40, 40, 40)


def side_by_side(columns: dict[str, Frame], captions: Sequence[str], *, side: int = SMALLEST_SIDE) -> Frame:
    """One picture per step: the columns next to each other, enlarged, below a caption and their labels.

    Args:
        columns: label -> frames, uint8 (n, height, width, 3), all of one shape.
        captions: one per step.
        side: pixels that the shorter side of every frame is brought to, or a little more.

    Returns:
        uint8, shape (n, HEADER + enlarged height, widths and gaps, 3).

    Raises:
        ConfigError: columns of different shapes, or another number of captions.
    """
    shapes = {frames.shape for frames in columns.values()}
    if len(shapes) != 1 or any(shape[0] != len(captions) for shape in shapes):
        raise ConfigError(f"Expected columns of one shape and {len(captions)} frames, one per caption, got {sorted(shapes)}.")
    rows = zip(*columns.values(), strict=True)
    return np.stack([_draw(tuple(columns), frames, caption, side) for frames, caption in zip(rows, captions, strict=True)])


def _draw(labels: Sequence[str], frames: Sequence[Frame], caption: str, side: int) -> Frame:
    large = [enlarge(frame, side) for frame in frames]
    height, width = large[0].shape[:2]
    picture = Image.new("RGB", (len(large) * (width + GAP) - GAP, HEADER + height), _PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default()
    pen.text((GAP, 2), caption, fill=_INK, font=font)
    for place, (label, frame) in enumerate(zip(labels, large, strict=True)):
        left = place * (width + GAP)
        pen.text((left + GAP, 2 + _LINE), label, fill=_INK, font=font)
        picture.paste(Image.fromarray(frame), (left, HEADER))
    return np.array(picture)

"""Contact sheets: strips of frames below each other with words above them, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bagel_world.errors import ConfigError, RecordingError
from bagel_world.types import Frame

_GAP = 4
_TEXT_HEIGHT = 16
_LABEL_WIDTH = 84
_LEAST_SIDE = 96
_PAPER = (250, 250, 248)
_INK = (40, 40, 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A block of a sheet: one row of frames per label, all equally long.

    Attributes:
        captions: one per column, written above it.
        rows: label -> frames, uint8 (columns, height, width, 3), from top to bottom.
    """

    captions: tuple[str, ...]
    rows: dict[str, Frame]


def draw_sheet(strips: Sequence[Strip], *, title: str = "") -> Frame:
    """One picture of all strips, frames enlarged by a whole factor to about a hundred pixels or more.

    Raises:
        ConfigError: no strips, or frames of different numbers or sizes.
    """
    shapes = {frames.shape for strip in strips for frames in strip.rows.values()}
    if len(shapes) != 1 or any(len(strip.captions) != len(next(iter(strip.rows.values()))) for strip in strips):
        raise ConfigError(
            f"Expected strips of equally many frames of one size and a caption for each, got shapes {sorted(shapes)}."
        )
    columns, height, width = next(iter(shapes))[:3]
    scale = -(-_LEAST_SIDE // min(height, width))
    cell_height, cell_width = height * scale + _GAP, width * scale + _GAP
    heights = [_TEXT_HEIGHT + cell_height * len(strip.rows) + 2 * _GAP for strip in strips]
    top = _TEXT_HEIGHT + _GAP if title else _GAP
    sheet = Image.new("RGB", (_LABEL_WIDTH + cell_width * columns, top + sum(heights)), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    pen.text((_GAP, _GAP // 2), title, fill=_INK, font=font)
    for strip, strip_height in zip(strips, heights, strict=True):
        for column, caption in enumerate(strip.captions):
            pen.text((_LABEL_WIDTH + column * cell_width, top), _fit(caption, width * scale, font), fill=_INK, font=font)
        for row, (label, frames) in enumerate(strip.rows.items()):
            y = top + _TEXT_HEIGHT + row * cell_height
            pen.text((_GAP, y + _GAP), label, fill=_INK, font=font)
            for column, frame in enumerate(frames):
                enlarged = np.repeat(np.repeat(frame, scale, axis=0), scale, axis=1)
                sheet.paste(Image.fromarray(enlarged), (_LABEL_WIDTH + column * cell_width, y))
        top += strip_height
    return np.array(sheet)


def save_sheet(strips: Sequence[Strip], path: str | Path, *, title: str = "") -> Path:
    """Draw a sheet and write it as a PNG; returns its path.

    Raises:
        ConfigError: the strips do not fit together.
        RecordingError: it could not be written.
    """
    path = Path(path)
    picture = Image.fromarray(draw_sheet(strips, title=title))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, format="PNG")
    except OSError as error:
        raise RecordingError(
            f"Could not write the contact sheet to {path}: {error}. Choose another folder with --out."
        ) from error
    return path


def _fit(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """The text, cut so that it fits into this many pixels."""
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text

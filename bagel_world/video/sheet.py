"""The contact sheet: what a conversion made, as one picture to look at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.episodes.samples import Sample
from bagel_world.errors import RecordingError

SHEET_NAME = "clips.png"

_ROWS = 14
_COLUMNS = 6
_CELL = 200  # width of a cell, in pixels
_TALLEST = 200
_GAP = 10
_MARGIN = 18
_LINES = 2  # of a caption
_LINE = 15
_PAPER, _INK, _SOFT, _RULE = (250, 250, 248), (35, 35, 35), (125, 125, 125), (222, 222, 218)


def save_sheet(folder: str | Path, *, title: str = "") -> Path | None:
    """Draw samples from all over a folder into `clips.png`; returns its path, None where there are no samples.

    Raises:
        RecordingError: it could not be written.
    """
    folder = Path(folder)
    try:
        samples = SampleFolder(folder)
    except RecordingError:
        return None
    rows = min(_ROWS, len(samples))
    chosen = [samples[(2 * row + 1) * len(samples) // (2 * rows)] for row in range(rows)]
    path = folder / SHEET_NAME
    try:
        draw_sheet(chosen, title=title).save(path, format="PNG")
    except OSError as error:
        raise RecordingError(f"Could not write {path}: {error}. Free some space or choose another folder.") from error
    return path


def draw_sheet(samples: Sequence[Sample], *, title: str = "") -> Image.Image:
    """One row per sample: its film and times, then its frames, each with the text that leads to it below."""
    columns = min(_COLUMNS, max(len(sample.images) for sample in samples))
    heights = [_row_height(sample) for sample in samples]
    width = 2 * _MARGIN + columns * (_CELL + _GAP) - _GAP
    sheet = Image.new("RGB", (width, 2 * _MARGIN + 2 * _LINE + sum(heights)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN - 4), _fit(title, width - 2 * _MARGIN, _font(15)), fill=_INK, font=_font(15))
    top = _MARGIN + 2 * _LINE
    for sample, height in zip(samples, heights, strict=True):
        _draw_row(sheet, pen, sample, top, columns)
        top += height
    return sheet


def _draw_row(sheet: Image.Image, pen: ImageDraw.ImageDraw, sample: Sample, top: int, columns: int) -> None:
    pen.line((_MARGIN, top, sheet.width - _MARGIN, top), fill=_RULE)
    pen.text((_MARGIN, top + 5), _fit(_headline(sample), sheet.width - 2 * _MARGIN, _font(12)), fill=_SOFT, font=_font(12))
    texts = ["", *(part.text for part in sample.texts)]
    width, height = _cell(sample)
    for column, (image, text) in enumerate(zip(sample.images[:columns], texts, strict=False)):
        x, y = _MARGIN + column * (_CELL + _GAP), top + 5 + _LINE + 5
        sheet.paste(Image.fromarray(image.frame()).resize((width, height), _filter(image.size, width)), (x, y))
        lines = _wrap(text, _CELL, _font(12))
        for line, words in enumerate(lines):
            pen.text((x, y + height + 4 + line * _LINE), words, fill=_INK, font=_font(12))
        if image.time is not None:
            pen.text((x, y + height + 4 + len(lines) * _LINE), f"+{image.time:.2f} s", fill=_SOFT, font=_font(12))


def _headline(sample: Sample) -> str:
    facts = sample.metadata
    film, start, end = facts.get("film", sample.sample_id), facts.get("start"), facts.get("end")
    when = f"{start:.2f}-{end:.2f} s" if isinstance(start, float) and isinstance(end, float) else ""
    more = (
        f"{len(sample.images)} frames" if len(sample.images) <= _COLUMNS else f"first {_COLUMNS} of {len(sample.images)} frames"
    )
    width, height = sample.images[0].size
    return "   ".join(part for part in (str(film), when, more, f"{width} x {height}", sample.license) if part)


def _row_height(sample: Sample) -> int:
    return 5 + _LINE + 5 + _cell(sample)[1] + 4 + (_LINES + 1) * _LINE + _GAP


def _cell(sample: Sample) -> tuple[int, int]:
    """(width, height) at which a sample's frames are drawn."""
    width, height = sample.images[0].size
    scale = min(_CELL / width, _TALLEST / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _filter(size: tuple[int, int], width: int) -> Image.Resampling:
    """Small frames keep their pixels, so that one sees what the model sees."""
    return Image.Resampling.NEAREST if width >= 2 * size[0] else Image.Resampling.LANCZOS


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _wrap(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """At most two lines; what does not fit ends in dots."""
    lines, rest = [], text[: _LINES * width].split()  # no letter is narrower than a pixel
    while rest and len(lines) < _LINES - 1:
        count = 1
        while count < len(rest) and font.getlength(" ".join(rest[: count + 1])) <= width:
            count += 1
        lines.append(_fit(" ".join(rest[:count]), width, font))
        rest = rest[count:]
    return [*lines, _fit(" ".join(rest), width, font)] if rest else lines


def _fit(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, or as much of its begin as there is room for."""
    if len(text) <= width and font.getlength(text) <= width:
        return text
    room = bisect_right(range(1, min(len(text), width) + 1), width, key=lambda count: font.getlength(text[:count] + "..."))
    return text[:room] + "..."

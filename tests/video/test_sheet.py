from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bagel_world.episodes.sample_writer import write_samples
from bagel_world.episodes.samples import ImagePart, Sample, TextPart
from bagel_world.episodes.schema import encode_png
from bagel_world.video.sheet import draw_sheet, save_sheet

RED, GREEN = (220, 30, 30), (30, 200, 30)


def sample(name: str, *colors: tuple[int, int, int], text: str = "Look left", size: tuple[int, int] = (32, 16)) -> Sample:
    parts: list[ImagePart | TextPart] = []
    for place, color in enumerate(colors):
        if place:
            parts.append(TextPart(text=text, role="action"))
        png = encode_png(np.full((*size[::-1], 3), color, dtype=np.uint8))
        parts.append(ImagePart(image=png, vae=place + 1 < len(colors), target=place > 0, time=place / 2))
    return Sample(sample_id=name, parts=tuple(parts), source="test", license="CC0-1.0")


def amount(sheet: Image.Image, color: tuple[int, int, int]) -> int:
    return int((np.asarray(sheet) == color).all(axis=-1).sum())


def test_every_frame_is_drawn_at_one_width() -> None:
    sheet = draw_sheet([sample("a", RED, GREEN, GREEN), sample("b", RED, RED)])
    assert amount(sheet, RED) == 3 * 200 * 100
    assert amount(sheet, GREEN) == 2 * 200 * 100


def test_tall_frames_stay_inside_their_row() -> None:
    sheet = draw_sheet([sample("a", RED, GREEN, size=(16, 64))])
    assert amount(sheet, RED) == 50 * 200


def test_texts_are_drawn_and_endless_ones_cut() -> None:
    without, short, endless = (draw_sheet([sample("a", RED, RED, text=text)]) for text in ("x", "Look left", "word " * 6000))
    ink = [int((np.asarray(sheet).sum(axis=-1) < 300).sum()) for sheet in (without, short, endless)]
    assert ink[0] < ink[1] < ink[2]
    assert without.size == short.size == endless.size


def test_a_sheet_shows_samples_from_all_over_a_folder(tmp_path: Path) -> None:
    assert save_sheet(tmp_path) is None
    write_samples(tmp_path, [sample(f"{place}", (place * 8, 200, 0), RED) for place in range(28)])
    path = save_sheet(tmp_path, title="28 samples")
    assert path == tmp_path / "clips.png"
    with Image.open(path) as sheet:
        shown = [place for place in range(28) if amount(sheet.convert("RGB"), (place * 8, 200, 0))]
    assert shown == list(range(1, 28, 2))

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bagel_world.errors import ConfigError, RecordingError
from bagel_world.evaluation.sheets import Strip, draw_sheet, save_sheet


def strip(columns: int = 3, side: int = 48) -> Strip:
    rng = np.random.default_rng(0)
    rows = {name: rng.integers(0, 256, (columns, side, side, 3), dtype=np.uint8) for name in ("real", "imagined")}
    return Strip(captions=("given", "Move forward", "Look left")[:columns], rows=rows)


def find(sheet: np.ndarray, frame: np.ndarray) -> tuple[int, int]:
    """Where a frame, enlarged twice, lies in a sheet."""
    enlarged = frame.repeat(2, axis=0).repeat(2, axis=1)
    height, width = enlarged.shape[:2]
    corners = np.argwhere((sheet[: -height + 1, : -width + 1] == enlarged[0, 0]).all(axis=-1))
    places = [(int(y), int(x)) for y, x in corners if np.array_equal(sheet[y : y + height, x : x + width], enlarged)]
    assert len(places) == 1
    return places[0]


def test_every_frame_is_there_whole_the_imagined_below_the_real() -> None:
    drawn = strip()
    sheet = draw_sheet([drawn], title="rollouts")
    real = [find(sheet, frame) for frame in drawn.rows["real"]]
    imagined = [find(sheet, frame) for frame in drawn.rows["imagined"]]
    assert len({y for y, _ in real}) == len({y for y, _ in imagined}) == 1
    assert real[0][0] + 96 <= imagined[0][0]
    assert [x for _, x in real] == [x for _, x in imagined]
    assert [x for _, x in real] == sorted(x for _, x in real)


def test_a_sheet_survives_the_disk(tmp_path: Path) -> None:
    path = save_sheet([strip()], tmp_path / "new" / "sheet.png", title="rollouts")
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.array(picture), draw_sheet([strip()], title="rollouts"))


def test_strips_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    for strips in ([], [strip(3), strip(2)], [strip(side=48), strip(side=32)], [Strip(captions=("one",), rows=strip().rows)]):
        with pytest.raises(ConfigError, match="equally many frames of one size"):
            draw_sheet(strips)
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="--out"):
        save_sheet([strip()], tmp_path / "file" / "sheet.png")

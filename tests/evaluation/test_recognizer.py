from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bagel_world.errors import ConfigError, RecordingError
from bagel_world.evaluation.kinds import FootageKind, OtherFootage, TableFootage
from bagel_world.evaluation.recognition import recognition_rows
from bagel_world.evaluation.recognizer import (
    LEAST_SHARE,
    SIDE,
    Recognizer,
    RecognizerConfig,
    collect_pictures,
    is_large,
    load_or_train_recognizer,
    picture_of,
    train_recognizer,
)
from bagel_world.evaluation.report import Row
from bagel_world.evaluation.windows import Window, cut_window
from bagel_world.types import Action, Episode, Frame

FAST = RecognizerConfig(pictures=60, steps=2, batch=8, width=8)
SHAPES = ("bar", "disk", "ring")
FRAME = 64


def shape_of(name: str) -> np.ndarray[Any, Any]:
    """Which pixels, of 28 x 28, show an object of this kind."""
    y, x = np.mgrid[-13.5:14:1, -13.5:14:1]
    far = np.hypot(x, y)
    return {"bar": np.abs(y) < 5, "disk": far < 13, "ring": (far < 13) & (far > 6)}[name]


def exhibit(number: int, *, steps: int = 5) -> Episode:
    """A bright object in a random color that wanders over a dark ground."""
    rng = np.random.default_rng(number)
    name = SHAPES[number % len(SHAPES)]
    color, ground = rng.integers(150, 256, 3), rng.integers(0, 60, 3)
    places = rng.integers(2, FRAME - 30, (steps + 1, 2))
    frames = np.tile(ground.astype(np.uint8), (steps + 1, FRAME, FRAME, 1))
    for frame, (y, x) in zip(frames, places, strict=True):
        frame[y : y + 28, x : x + 28][shape_of(name)] = color
    metadata = {"object": name, "table": number, "places": places.tolist(), "episode_id": f"exhibit-{number}"}
    return Episode(frames=frames, actions=tuple(Action(text="Stay") for _ in range(steps)), metadata=metadata)


class Known:
    """Which pixels of `exhibit` show the object."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size, self.closed = size, False

    def owners(self, window: Window) -> Any:
        owners = np.full((len(window.frames), *self.size), -1, np.int32)
        for owner, (y, x) in zip(owners, window.metadata["places"][window.start :], strict=False):
            owner[y : y + 28, x : x + 28][shape_of(window.metadata["object"])] = 0
        return owners

    def close(self) -> None:
        self.closed = True


def kind() -> FootageKind:
    return TableFootage(Known)


@pytest.fixture(scope="module")
def exhibits() -> Sequence[Episode]:
    return [exhibit(number) for number in range(12)]


def test_a_picture_is_the_square_around_the_object_with_some_rim() -> None:
    frame = np.zeros((96, 96, 3), np.uint8)
    mask = np.zeros((96, 96), np.bool_)
    mask[30:50, 40:80] = True  # its middle is at (40, 60); 40 pixels wide, so 40 * 1.3 + 4 = 56 are seen
    frame[mask] = 200
    picture = picture_of(frame, mask)
    assert (picture.shape, picture.dtype) == ((SIDE, SIDE, 3), np.uint8)
    bright = picture[..., 0] > 100
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    assert (rows[0] + rows[-1]) / 2 == pytest.approx(SIDE / 2 - 0.5, abs=0.6)
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(SIDE / 2 - 0.5, abs=0.6)
    assert len(columns) == pytest.approx(40 / 56 * SIDE, abs=1)
    assert len(rows) == pytest.approx(20 / 56 * SIDE, abs=1)


def test_an_object_at_the_edge_of_the_frame_has_a_picture_too() -> None:
    mask = np.zeros((32, 32), np.bool_)
    mask[:6, :6] = True
    picture = picture_of(np.full((32, 32, 3), 90, np.uint8), mask)
    assert picture.shape == (SIDE, SIDE, 3)
    assert picture[SIDE // 2, SIDE // 2].tolist() == [90, 90, 90]


def test_small_objects_do_not_count() -> None:
    mask = np.zeros((60, 60), np.bool_)
    least = round(LEAST_SHARE * mask.size)
    mask.flat[: least - 1] = True
    assert not is_large(mask)
    mask.flat[:least] = True
    assert is_large(mask)


def test_pictures_are_of_stretches_of_the_episodes_asked_for(exhibits: Sequence[Episode]) -> None:
    rng = np.random.default_rng(0)
    found = collect_pictures(kind(), exhibits, [1, 5, 3, 0], 10, rng)
    assert found.names.tolist() == ["disk"] * 4 + ["ring"] * 4 + ["bar"] * 4
    assert found.pixels.shape == (12, SIDE, SIDE, 3)
    nothing = collect_pictures(kind(), exhibits, [], 10, rng)
    assert nothing.pixels.shape == (0, SIDE, SIDE, 3)


@pytest.mark.slow
def test_a_recognizer_learns_to_know_objects_it_never_saw() -> None:
    config = RecognizerConfig(pictures=400, steps=150, batch=32, width=16)
    recognizer, settings = train_recognizer(kind(), [exhibit(number) for number in range(90)], config, footage="exhibits")
    assert settings.names == SHAPES
    assert settings.held_out_accuracy >= 0.9
    assert settings.held_out_pictures == 36  # four of each of nine
    unseen = collect_pictures(kind(), [exhibit(number) for number in range(500, 512)], range(12), 1000, np.random.default_rng(1))
    assert (recognizer.read(unseen.pixels) == unseen.names).mean() >= 0.9


def test_equal_seeds_give_equal_recognizers(exhibits: Sequence[Episode]) -> None:
    one, other = (train_recognizer(kind(), exhibits, FAST, footage="exhibits")[0].state_dict() for _ in range(2))
    assert all((one[name] == other[name]).all() for name in one)


def test_a_recognizer_survives_the_disk_and_is_trained_once(exhibits: Sequence[Episode], tmp_path: Path) -> None:
    trained, settings = load_or_train_recognizer(tmp_path, kind(), exhibits, FAST, footage="exhibits")
    stored = (tmp_path / "recognizer.safetensors").read_bytes()
    found, again = load_or_train_recognizer(tmp_path, kind(), exhibits, FAST, footage="exhibits")
    assert (settings, stored) == (again, (tmp_path / "recognizer.safetensors").read_bytes())
    pictures = collect_pictures(kind(), exhibits, range(12), 1000, np.random.default_rng(0)).pixels
    np.testing.assert_array_equal(trained.read(pictures), found.read(pictures))
    _, other = load_or_train_recognizer(tmp_path, kind(), exhibits[:6], FAST, footage="fewer")
    assert other.footage == "fewer"


def test_a_damaged_recognizer_says_what_to_do(exhibits: Sequence[Episode], tmp_path: Path) -> None:
    load_or_train_recognizer(tmp_path, kind(), exhibits, FAST, footage="exhibits")
    path = tmp_path / "recognizer.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordingError, match="Delete the folder to train a new one"):
        load_or_train_recognizer(tmp_path, kind(), exhibits, FAST, footage="exhibits")


def test_one_kind_of_object_or_one_episode_teaches_nothing(exhibits: Sequence[Episode]) -> None:
    for few in (exhibits[:1], exhibits[::3]):
        with pytest.raises(ConfigError, match="at least two kinds"):
            train_recognizer(kind(), few, FAST, footage="few")


def test_footage_whose_objects_nobody_knows_is_refused(exhibits: Sequence[Episode]) -> None:
    with pytest.raises(ConfigError, match="turntables or drops"):
        train_recognizer(OtherFootage(), exhibits, FAST, footage="films")


class Painted(Recognizer):
    """Knows a kind by how bright the middle of its picture is; a disk that shows nothing is a bar to it."""

    def __init__(self) -> None:
        super().__init__(("bar", "disk"), 8)

    def read(self, pictures: Frame) -> Any:
        return np.where(pictures[:, SIDE // 2, SIDE // 2].max(axis=-1) > 100, "disk", "bar")


def rows_of(shown: dict[str, Frame], windows: Sequence[Window], notes: list[str], steps: Sequence[int]) -> dict[str, Row]:
    scenes = Known((FRAME, FRAME))
    owners = np.stack([scenes.owners(window)[window.context :] for window in windows])
    rows = recognition_rows(windows, shown, owners, kind(), Painted(), steps=steps, seed=0, notes=notes)
    return {row.name: row for row in rows}


def test_the_rate_counts_objects_that_are_taken_for_what_they_are() -> None:
    windows = [cut_window(exhibit(number), 0, context=1, horizon=5) for number in (1, 4, 7, 10)]  # all of them disks
    real = np.stack([window.frames[1:] for window in windows])
    dark = real.copy()
    dark[:3, 3] = 0  # at step 4 three of the four show nothing
    notes: list[str] = []
    rows = rows_of({"real": real, "imagined": dark}, windows, notes, steps=(1, 4, 5))
    assert {name: row.value for name, row in rows.items()} == {
        "real, step 1": 1.0,
        "real, step 4": 1.0,
        "real, step 5": 1.0,
        "imagined, step 1": 1.0,
        "imagined, step 4": 0.25,
        "imagined, disk, step 4": 0.25,
        "imagined, step 5": 1.0,
    }
    assert {row.n for row in rows.values()} == {4}
    assert not notes


def test_kinds_that_the_recognizer_never_saw_are_left_out_and_named() -> None:
    windows = [cut_window(exhibit(number), 0, context=1, horizon=2) for number in (1, 2, 4, 5)]
    notes: list[str] = []
    rows = rows_of({"imagined": np.stack([window.frames[1:] for window in windows])}, windows, notes, steps=(1, 2))
    assert {name: row.n for name, row in rows.items()} == {
        "imagined, step 1": 2,
        "imagined, step 2": 2,
        "imagined, disk, step 2": 2,
    }
    assert len(notes) == 1
    assert "ring" in notes[0]

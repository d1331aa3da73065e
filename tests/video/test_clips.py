from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from bagel_world.types import Frame
from bagel_world.video.clips import Survey, survey
from bagel_world.video.config import ClipConfig
from bagel_world.video.reader import read_pictures
from bagel_world.video.timeline import CHAPTER, Timeline, read_chapters
from tests.video.conftest import source_of
from tests.video.films import black, blurry, boxed, faded, pan, write_film


def look(path: Path, config: ClipConfig | None = None, length: int = CHAPTER) -> Survey:
    return survey(read_chapters(read_pictures(source_of(path), fps=10), black_level=20, length=length), config or ClipConfig())


def mixture() -> list[Frame]:
    """Two cuts, a fade into black, black, a frozen and a blurred stretch, and a shot of half a second."""
    a, c = pan(0, 60), pan(2, 120)
    return [
        *a,
        *pan(1, 12),
        *c[:40],
        *faded(c[40:60], 1.0, 0.0),
        *black(20),
        *pan(3, 48),
        *[pan(3, 48)[-1]] * 40,
        *blurry(pan(4, 40)),
    ]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "mixture.mp4", mixture())


def test_clips_lie_between_what_is_dropped(film: Path) -> None:
    found = look(film)
    assert [round(clip.start * 24) for clip in found.clips] == [0, 72, 152]
    assert found.clips[0].end == pytest.approx(59 / 24, abs=1e-3)
    assert found.clips[2].end == pytest.approx(198 / 24, abs=2 / 24)
    assert found.cut == {"kept": 3, "short": 1, "cropped": 0}
    assert set(found.pictures) == {"clips", "short", "fade", "black", "frozen", "blurred"}
    assert found.pictures["short"] == 12


@pytest.mark.parametrize("length", [50, 64, 111, CHAPTER])
def test_every_picture_is_counted_once_whatever_a_chapter_holds(film: Path, length: int) -> None:
    found = look(film, length=length)
    assert sum(found.pictures.values()) == len(mixture())
    assert sum(clip.pictures for clip in found.clips) == found.pictures["clips"]
    assert found.seconds == pytest.approx((len(mixture()) - 1) / 24, abs=1e-3)


def test_a_clip_goes_on_in_the_next_chapter(tmp_path: Path) -> None:
    path = write_film(tmp_path / "long.mp4", pan(5, 150))
    assert look(path, ClipConfig(max_seconds=2.0), length=120) == look(path, ClipConfig(max_seconds=2.0))


@given(
    times=some.lists(some.floats(0.01, 0.9), min_size=2, max_size=300),
    seconds=some.floats(0.5, 5.0),
    chapter=some.integers(2, 400),
)
def test_no_clip_is_too_long_and_none_is_lost(times: list[float], seconds: float, chapter: int) -> None:
    """Whatever the times of the pictures and the length of the chapters."""
    count = len(times)
    moving = np.random.default_rng(0).integers(0, 255, (count, 36, 64, 3), dtype=np.uint8)
    film = Timeline(
        times=np.cumsum(times),
        thumbnails=moving,
        sizes=np.tile(np.array([[160, 96]], dtype=np.int32), (count, 1)),
        measured=np.ones(count, dtype=bool),
        blurs=np.zeros(count, dtype=np.float32),
        boxes=np.tile(np.array([[0, 96, 0, 160]], dtype=np.int32), (count, 1)),
        hashes=np.zeros((count, 4), dtype=np.uint64),
        prints=np.zeros((count, 12), dtype=np.uint8),
    )
    config = ClipConfig(cuts=False, frozen_seconds=None, min_seconds=0.0, max_seconds=seconds)
    found = survey((film[start : start + chapter] for start in range(0, count, chapter)), config)
    assert sum(found.pictures.values()) == count
    assert all(clip.end - clip.start <= seconds + 1e-5 for clip in found.clips)
    assert all(a.end < b.start for a, b in pairwise(found.clips))


def test_memory_stays_flat(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However long a film is, no more than a chapter and a half are looked at together."""
    import bagel_world.video.clips as module

    longest = 0
    divide = module.divide

    def watched(timeline: Timeline, config: ClipConfig) -> list[tuple[int, int, str | None]]:
        nonlocal longest
        longest = max(longest, len(timeline))
        return divide(timeline, config)

    monkeypatch.setattr(module, "divide", watched)
    monkeypatch.setattr(module, "CHAPTER", 40)
    found = look(write_film(tmp_path / "still.mp4", pan(6, 1) * 400), ClipConfig(frozen_seconds=None), length=40)
    assert longest <= 60
    assert sum(found.pictures.values()) == 400


@pytest.mark.parametrize("borders", [{"top": 20, "bottom": 20}, {"left": 32, "right": 32}, {"top": 16, "left": 48, "right": 16}])
def test_black_borders_are_cropped(tmp_path: Path, borders: dict[str, int]) -> None:
    frames = boxed(pan(7, 48), **borders)
    path = write_film(tmp_path / "boxed.mp4", frames)
    (clip,) = look(path).clips
    height, width = frames[0].shape[:2]
    exact = (borders.get("top", 0), height - borders.get("bottom", 0), borders.get("left", 0), width - borders.get("right", 0))
    assert np.abs(np.subtract(clip.box, exact)).max() <= 2
    top, bottom, left, right = clip.box
    assert top >= exact[0]
    assert bottom <= exact[1]
    assert left >= exact[2]
    assert right <= exact[3]
    assert look(path, ClipConfig(borders=False)).clips[0].box == (0, height, 0, width)


def test_a_dark_scene_with_a_lamp_is_not_cropped_to_the_lamp(tmp_path: Path) -> None:
    frames = []
    for place in range(48):
        frame = np.zeros((96, 160, 3), dtype=np.uint8)
        frame[30:50, 40 + place // 2 : 60 + place // 2] = 255
        frames.append(frame)
    found = look(write_film(tmp_path / "lamp.mp4", frames))
    assert [clip.box for clip in found.clips] == [(0, 96, 0, 160)]


def test_short_and_small_clips_are_counted(tmp_path: Path) -> None:
    path = write_film(tmp_path / "both.mp4", [*pan(8, 48), *pan(9, 12)])
    assert look(path).cut == {"kept": 1, "short": 1, "cropped": 0}
    assert look(path, ClipConfig(min_side=97)).cut == {"small": 2}
    assert look(path, ClipConfig(min_seconds=0.0)).cut == {"kept": 2, "cropped": 0}

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bagel_world.episodes.schema import decode_png
from bagel_world.video.config import FootageConfig, FrameConfig
from bagel_world.video.extraction import Wanted, extract, shape
from tests.video.conftest import source_of
from tests.video.films import pan, write_film


@pytest.mark.parametrize(
    ("source", "size", "result"),
    [
        ((720, 1280), 256, (144, 256)),
        ((1280, 720), 256, (256, 144)),
        ((96, 160), 256, (128, 208)),  # enlarged until the shorter side reaches half of what was asked for, to multiples of 16
        ((720, 1280), (128, 128), (128, 128)),
        ((96, 160), (128, 192), (128, 192)),
        ((301, 99), (64, 32), (64, 32)),
        ((16384, 64), 256, (256, 16)),
    ],
)
def test_frames_get_their_size(source: tuple[int, int], size: int | tuple[int, int], result: tuple[int, int]) -> None:
    frame = np.zeros((*source, 3), dtype=np.uint8)
    shaped = shape(frame, (0, source[0], 0, source[1]), FootageConfig(frames=FrameConfig(size=size)))
    assert shaped.shape == (*result, 3)


def test_what_lies_outside_the_box_is_gone() -> None:
    frame = np.zeros((64, 64, 3), dtype=np.uint8)
    frame[16:48] = 200
    assert (shape(frame, (16, 48, 0, 64), FootageConfig(frames=FrameConfig(size=64))) == 200).all()


def test_each_sample_gets_its_frames_even_where_samples_share_one(tmp_path: Path) -> None:
    source = source_of(write_film(tmp_path / "a.mp4", pan(0, 48)))
    wanted = [Wanted(times=(0.0, 0.5, 1.0), box=(0, 96, 0, 160)), Wanted(times=(1.0, 1.5), box=(0, 96, 0, 80))]
    first, second = extract(source, wanted, FootageConfig(frames=FrameConfig(size=(96, 80))))
    np.testing.assert_allclose([shot.time for shot in first], [0.0, 0.5, 1.0], atol=1e-4)
    np.testing.assert_allclose([shot.time for shot in second], [1.0, 1.5], atol=1e-4)
    assert np.array_equal(decode_png(first[1].png), first[1].frame)
    assert not np.array_equal(first[2].frame, second[0].frame)


def test_times_that_fall_on_one_picture_give_it_once(tmp_path: Path) -> None:
    source = source_of(write_film(tmp_path / "slow.mp4", pan(1, 4), times=[0, 1, 2, 3]))
    (shots,) = extract(source, [Wanted(times=(0.0, 0.2, 0.4, 2.6, 2.9), box=(0, 96, 0, 160))], FootageConfig())
    assert [shot.time for shot in shots] == [0.0, 3.0]

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from bagel_world.types import Frame
from bagel_world.video.measures import (
    blur,
    brightness,
    color_distance,
    color_histogram,
    color_print,
    content_box,
    perceptual_hash,
    structure_distance,
)
from tests.video.films import photo


def picture(seed: int, x: int = 0, y: int = 0) -> Frame:
    return np.asarray(photo(seed).crop((x, y, x + 128, y + 72)))


def gray(frame: Frame) -> np.ndarray:
    return np.asarray(Image.fromarray(frame).convert("L"))


def test_brightness_weighs_the_channels() -> None:
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
    np.testing.assert_allclose(brightness(pixels), [[76.245, 149.685, 29.07, 255.0]], rtol=1e-5)


def test_colors_are_counted_in_125_bins_and_dark_ones_apart() -> None:
    frame = np.zeros((2, 2, 3), dtype=np.uint8)
    frame[0, 0], frame[0, 1] = (255, 255, 255), (30, 0, 0)
    histogram = color_histogram(frame)
    assert histogram.shape == (125,)
    assert histogram[0] == 0.5
    assert histogram[124] == 0.25
    assert histogram[1 * 25] == 0.25


def test_color_distance_is_the_share_that_moves() -> None:
    a, b = np.array([0.5, 0.5, 0.0], dtype=np.float32), np.array([0.25, 0.25, 0.5], dtype=np.float32)
    assert color_distance(a, a) == 0.0
    assert color_distance(a, b) == 0.5
    assert color_distance(np.eye(3, dtype=np.float32)[0], np.eye(3, dtype=np.float32)[1]) == 1.0


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (9, 0), (-17, 5), (30, -12)])
def test_a_shifted_picture_has_the_same_structure(dx: int, dy: int) -> None:
    a, b = brightness(picture(1, 60, 40)), brightness(picture(1, 60 + dx, 40 + dy))
    assert structure_distance(a, b) < 0.05


def test_light_does_not_change_structure_and_other_pictures_do() -> None:
    a = brightness(picture(1))
    assert structure_distance(a, a * 0.4 + 10) < 1e-3
    assert structure_distance(a, brightness(picture(2))) > 0.4
    assert structure_distance(a, np.zeros_like(a)) == 1.0


def test_blur_grows_with_blur_and_hardly_minds_contrast() -> None:
    sharp = Image.fromarray(picture(3)).convert("L")
    measured = [blur(np.asarray(sharp.filter(ImageFilter.GaussianBlur(sigma)))) for sigma in (0, 1, 2, 4)]
    assert measured == sorted(measured)
    assert measured[0] < 0.5
    assert measured[-1] > 0.8
    pale = (np.asarray(sharp, dtype=np.float32) * 0.6 + 40).astype(np.uint8)
    assert blur(pale) == pytest.approx(measured[0], abs=0.2)


def test_a_flat_or_tiny_picture_is_not_blurred() -> None:
    assert blur(np.full((64, 64), 90, dtype=np.uint8)) == 0.0
    assert blur(np.eye(8, dtype=np.uint8) * 255) == 0.0


def test_the_content_box_is_what_is_brighter_than_black() -> None:
    luma = np.full((20, 30), 16, dtype=np.uint8)
    assert content_box(luma, 20) is None
    luma[4:15, 7:29] = 100
    assert content_box(luma, 20) == (4, 15, 7, 29)


def test_hashes_survive_scaling_and_light_but_not_another_picture() -> None:
    a = photo(4)
    original = perceptual_hash(np.asarray(a.convert("L")))
    small = perceptual_hash(np.asarray(a.resize((120, 72), Image.Resampling.BOX).convert("L")))
    dark = perceptual_hash((np.asarray(a.convert("L")) * 0.7).astype(np.uint8))
    other = perceptual_hash(np.asarray(photo(5).convert("L")))
    assert original.shape == (4,)
    assert np.bitwise_count(original ^ small).sum() <= 16
    assert np.bitwise_count(original ^ dark).sum() <= 16
    assert np.bitwise_count(original ^ other).sum() >= 80


def test_the_color_print_holds_the_means_of_the_quarters() -> None:
    frame = np.zeros((4, 6, 3), dtype=np.uint8)
    frame[:2, :3], frame[2:, 3:] = (10, 20, 30), (200, 100, 0)
    assert color_print(frame).tolist() == [10, 20, 30, 0, 0, 0, 0, 0, 0, 200, 100, 0]

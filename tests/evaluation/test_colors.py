"""Colors in numbers, on pictures whose numbers are known."""

from __future__ import annotations

import numpy as np

from bagel_world.evaluation.colors import channel_means, channel_spreads, saturation


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> np.ndarray:
    frame = np.empty((4, 4, 3), np.uint8)
    frame[:, :2], frame[:, 2:] = left, right
    return frame


def test_means_and_spreads_per_channel() -> None:
    frames = np.stack([halves((0, 10, 200), (100, 10, 100)), halves((7, 7, 7), (7, 7, 7))])
    np.testing.assert_allclose(channel_means(frames), [[50, 10, 150], [7, 7, 7]])
    np.testing.assert_allclose(channel_spreads(frames), [[50, 0, 50], [0, 0, 0]])


def test_saturation_of_grays_black_and_pure_colors() -> None:
    frames = np.stack([halves((90, 90, 90), (0, 0, 0)), halves((255, 0, 0), (0, 0, 3)), halves((200, 100, 100), (50, 50, 50))])
    np.testing.assert_allclose(saturation(frames), [0.0, 1.0, 0.25])

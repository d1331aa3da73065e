"""Two worlds under the same actions, on rooms whose every frame is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.errors import ActionError, ConfigError
from bagel_world.evaluation.divergence import drive, measure_divergence
from bagel_world.evaluation.metrics import PSNR_OF_EQUAL, psnr
from bagel_world.evaluation.subject import Subject
from bagel_world.types import Episode
from bagel_world.world.fake import FakeWorld
from bagel_world.world.fake_views import draw_room, move_view
from tests.evaluation.conftest import FRAME_SIZE

WORDS = ("Look left", "Move forward", "Look right", "Stay", "Look left")


class Room(gym.Env[Any, Any]):
    """A fake room as a simulator."""

    action_words = NAVIGATE_WORDS
    horizon = 8

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.frame, self.steps = draw_room(seed or 0, *FRAME_SIZE), 0
        return self.frame, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.frame, self.steps = move_view(self.frame, self.action_words[action]), self.steps + 1
        return self.frame, 0.0, False, self.steps >= self.horizon, {}


def subject(noise: int = 0) -> Subject:
    return Subject(FakeWorld(frame_size=FRAME_SIZE, noise=noise), "fake")


@pytest.mark.usefixtures("thirty_degrees")
def test_a_simulator_is_driven_by_words() -> None:
    episode = drive(Room(), WORDS, seed=3)
    expected = [draw_room(3, *FRAME_SIZE)]
    for word in WORDS:
        expected.append(move_view(expected[-1], word))
    np.testing.assert_array_equal(episode.frames, np.stack(expected))
    assert tuple(action.text for action in episode.actions) == WORDS
    assert episode.metadata["reset_seed"] == 3


def test_a_simulator_is_not_asked_for_what_it_cannot_do() -> None:
    with pytest.raises(ActionError, match=r"'Look left'.*'open the door'"):
        drive(Room(), ["Look left", "open the door"], seed=0)
    with pytest.raises(ConfigError, match="at least one action"):
        drive(Room(), [], seed=0)
    with pytest.raises(ConfigError, match="after 8 of 9"):
        drive(Room(), ["Stay"] * 9, seed=0)
    assert len(drive(Room(), ["Stay"] * 8, seed=0)) == 8


def test_a_perfect_world_does_not_diverge(episodes: Sequence[Episode]) -> None:
    found = measure_divergence(subject(), episodes[0], context=2)
    np.testing.assert_array_equal(found.imagined, episodes[0].frames[2:])
    np.testing.assert_array_equal(found.psnr_db, np.full(19, PSNR_OF_EQUAL))
    assert found.still_psnr_db.mean() < PSNR_OF_EQUAL - 10


@pytest.mark.usefixtures("thirty_degrees")
def test_an_imperfect_world_drifts_and_the_figures_are_those_of_its_frames() -> None:
    episode = drive(Room(), WORDS, seed=1)
    calls = []

    def perceive(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        calls.append((one, other))
        return np.abs(one.astype(float) - other).mean(axis=(1, 2, 3))

    found = measure_divergence(subject(noise=20), episode, context=1, seed=5, perceive=perceive)
    again = measure_divergence(subject(noise=20), episode, context=1, seed=5)
    other = measure_divergence(subject(noise=20), episode, context=1, seed=6)
    np.testing.assert_array_equal(found.imagined, again.imagined)
    assert not np.array_equal(found.imagined, other.imagined)
    np.testing.assert_array_equal(found.psnr_db, psnr(found.imagined, episode.frames[1:]))
    assert found.psnr_db[0] > found.psnr_db[-1] + 3
    assert found.features is not None
    np.testing.assert_array_equal(calls[0][0], found.imagined)
    np.testing.assert_array_equal(calls[1][0], np.repeat(episode.frames[:1], 5, axis=0))
    rows = {(row.metric, row.name): row for row in found.rows()}
    assert rows["psnr_db", "imagined, step 2"].value == found.psnr_db[1]
    mean = rows["effnet_lite_feature_distance", "imagined, all steps"]
    assert mean.value == pytest.approx(found.features.mean())
    assert (mean.n, mean.low, mean.high) == (5, pytest.approx(mean.value), pytest.approx(mean.value))
    assert found.captions()[1] == f"2. Move forward: {found.psnr_db[1]:.1f} dB, features {found.features[1]:.3f}"


def test_the_sheet_holds_every_step_in_lines_of_eight(episodes: Sequence[Episode]) -> None:
    found = measure_divergence(subject(noise=3), episodes[1], context=2)
    strips = found.strips()
    assert len(strips) == 3
    for row, frames in (("real", found.real), ("imagined", found.imagined)):
        shown = np.concatenate([strip.rows[row] for strip in strips])
        np.testing.assert_array_equal(shown[:19], frames)
        assert (shown[19:] == 255).all()
    captions = [caption for strip in strips for caption in strip.captions]
    assert captions[18].startswith("19. ")
    assert captions[19:] == [""] * 5


def test_what_does_not_fit_is_refused(episodes: Sequence[Episode]) -> None:
    with pytest.raises(ConfigError, match=r"context of 1\.\.20"):
        measure_divergence(subject(), episodes[0], context=21)
    with pytest.raises(ConfigError, match="48 x 48"):
        measure_divergence(Subject(FakeWorld(frame_size=(24, 24)), "fake"), episodes[0])

"""Going around an object: own pictures, and steps of yaw that add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bagel_world.actions import ROTATE_WORDS
from bagel_world.envs import RotateEnv, WorldEnv
from bagel_world.world.fake import FakeWorld
from bagel_world.world.fake_views import move_view


@pytest.mark.parametrize("kind", ["array", "pillow", "path"])
def test_an_own_object(kind: str, tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    picture = Image.fromarray(photo)
    picture.save(tmp_path / "object.png")
    env = RotateEnv(checkpoint="fake")
    frame, info = env.reset(options={"image": {"array": photo, "pillow": picture, "path": tmp_path / "object.png"}[kind]})
    np.testing.assert_array_equal(frame, photo[:, 32:128])
    assert info["context_frames"] == 1
    assert env.step(ROTATE_WORDS.index("Stay"))[0].shape == frame.shape


def test_steps_to_both_sides_lead_back() -> None:
    env = WorldEnv(FakeWorld(task="rotate", noise=0))
    start, _ = env.reset(seed=1)
    frames = [env.step(action)[0] for action in (0, 1, 5, 6)]
    np.testing.assert_array_equal(frames[0], move_view(start, "left by 15 degrees"))
    np.testing.assert_array_equal(frames[1], move_view(start, "left by 45 degrees"))
    np.testing.assert_array_equal(frames[2], start)
    np.testing.assert_array_equal(frames[3], start)


def test_a_goal_picture_ends_the_turn() -> None:
    env = WorldEnv(FakeWorld(task="rotate", noise=0))
    start, _ = env.reset(seed=1)
    env.reset(seed=1, options={"goal_image": move_view(start, "right by 75 degrees")})
    assert [env.step(action)[2] for action in (4, 5)] == [False, True]

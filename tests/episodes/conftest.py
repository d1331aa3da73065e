"""Small made-up episodes for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bagel_world.types import Action, Episode, Thought


def draw_episode(number: int, *, split: str = "train", steps: int = 3) -> Episode:
    rng = np.random.default_rng(number)
    return Episode(
        frames=rng.integers(0, 256, (steps + 1, 16, 24, 3), dtype=np.uint8),
        actions=tuple(Action(text="Move forward", id=0) if i else Action(text="Open the door") for i in range(steps)),
        poses=rng.normal(size=(steps + 1, 4)),
        visible=tuple(("duck", "cone")[: i % 3] for i in range(steps + 1)),
        thoughts=tuple(Thought(text=f"Step {i}: zurück?") if i % 2 else None for i in range(steps)),
        metadata={"episode_id": f"episode-{number}", "seed": number, "split": split, "nested": {"a": [1, None, "ü"]}},
    )


@pytest.fixture
def make_episode() -> Callable[..., Episode]:
    """Builds an episode of random pixels from a number; equal numbers give equal episodes."""
    return draw_episode


@pytest.fixture
def assert_same_episode() -> Callable[[Episode, Episode], None]:
    """Compares two episodes bit for bit."""

    def check(left: Episode, right: Episode) -> None:
        np.testing.assert_array_equal(left.frames, right.frames)
        assert left.actions == right.actions
        assert (left.poses is None) == (right.poses is None)
        if left.poses is not None and right.poses is not None:
            np.testing.assert_array_equal(left.poses, right.poses)
        assert left.visible == right.visible
        assert left.thoughts == right.thoughts
        assert dict(left.metadata) == dict(right.metadata)

    return check

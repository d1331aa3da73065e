"""Episodes of FakeWorld: turning rolls the view, walking enlarges it, so that every frame is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bagel_world.actions import NAVIGATE_WORDS, action_from_id
from bagel_world.types import Action, Episode
from bagel_world.world import fake, fake_views
from bagel_world.world.fake_views import draw_room, move_view

FRAME_SIZE = (48, 48)
STEPS = 20


def walk_room(number: int, *, steps: int = STEPS, size: tuple[int, int] = FRAME_SIZE, split: str = "test") -> Episode:
    """A walk through fake room `number`; its poses turn by 30 degrees and walk by half a meter, as those of a house."""
    rng = np.random.default_rng(number)
    frames, poses, actions = [draw_room(number, *size)], [np.zeros(4)], []
    for step in range(steps):
        action = action_from_id(int(rng.integers(4)) if step % 5 else step // 5 % 4, NAVIGATE_WORDS)
        frames.append(move_view(frames[-1], action.text))
        x, y, z, yaw = poses[-1]
        forward, turn = (0.5, 0.0) if action.id == 0 else (0.0, {1: 30.0, 2: -30.0}.get(action.id or 0, 0.0))
        heading = np.deg2rad(yaw)
        poses.append(np.array([x + forward * np.cos(heading), y, z - forward * np.sin(heading), (yaw + turn) % 360.0]))
        actions.append(action)
    return Episode(
        frames=np.stack(frames),
        actions=tuple(actions),
        poses=np.stack(poses),
        metadata={"episode_id": f"{split}-{number}", "house": number // 2, "split": split},
    )


def act(*words: str) -> tuple[Action, ...]:
    return tuple(Action(text=word, id=NAVIGATE_WORDS.index(word)) for word in words)


@pytest.fixture
def thirty_degrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake rooms that twelve turns close, as in a house."""
    for module in (fake, fake_views):
        monkeypatch.setattr(module, "VIEWS_PER_TURN", 12)


@pytest.fixture
def episodes(thirty_degrees: None) -> Sequence[Episode]:
    return [walk_room(number) for number in range(8)]


@pytest.fixture
def make_walk() -> Callable[..., Episode]:
    return walk_room


class MoveReader:
    """Reads actions by trying them: the action whose move gives the second frame."""

    def read(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        def off(word: str, one: np.ndarray, other: np.ndarray) -> int:
            return int(np.abs(move_view(one, word).astype(int) - other).sum())

        pairs = zip(before, after, strict=True)
        return np.array([int(np.argmin([off(word, *pair) for word in NAVIGATE_WORDS])) for pair in pairs])


@pytest.fixture
def reader() -> MoveReader:
    return MoveReader()

"""Turntables and drops without a simulator: a strip that rolls by degrees, and squares that fly over stripes."""

from __future__ import annotations

from typing import Any

import numpy as np

from bagel_world.actions import ROLLOUT_WORDS, ROTATE_WORDS, WAITS, action_from_id
from bagel_world.evaluation.kinds import degrees_of
from bagel_world.evaluation.windows import Window
from bagel_world.types import Episode, Frame
from bagel_world.world.fake_views import draw_room, move_view

SIDE = 48
OBJECT = slice(12, 36)
"""Rows and columns of the object of every table."""

SQUARE = 7


def spin(number: int, *, words: list[int] | None = None, steps: int = 14, side: int = SIDE) -> Episode:
    """A turntable whose view rolls by one pixel in 7.5 degrees (where it is 48 pixels wide)."""
    rng = np.random.default_rng(number)
    actions = [action_from_id(each, ROTATE_WORDS) for each in (rng.integers(0, 7, steps).tolist() if words is None else words)]
    frames, yaws = [draw_room(number, side, side)], [10.0 * number]
    for action in actions:
        frames.append(move_view(frames[-1], action.text))
        yaws.append((yaws[-1] + degrees_of(action.text)) % 360)
    poses = np.zeros((len(yaws), 4))
    poses[:, 3] = yaws
    metadata = {"source": "bagel_world.sims.Turntable", "episode_id": f"spin-{number}", "table": number, "first_yaw": yaws[0]}
    return Episode(frames=np.stack(frames), actions=tuple(actions), poses=poses, metadata=metadata)


class RolledTables:
    """What a simulator would tell about `spin`."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def owners(self, window: Window) -> Any:
        owners = np.full((len(window.frames), *self.size), -1, np.int32)
        owners[:, OBJECT, OBJECT] = 0
        return owners

    def views(self, window: Window, yaws: list[float]) -> Frame:
        first = draw_room(window.metadata["table"], SIDE, SIDE)
        shifts = [round((yaw - window.metadata["first_yaw"]) / 7.5) for yaw in yaws]
        return np.stack([np.roll(first, shift, axis=1) for shift in shifts])

    def close(self) -> None:
        pass


def fall(
    number: int,
    *,
    waits: list[int] | None = None,
    speed: tuple[float, float] = (2.0, 1.0),
    bounce: int | None = None,
    side: int = SIDE,
) -> Episode:
    """A textured square that flies over stripes by `speed` pixels a moment; turned round after `bounce` frames."""
    rng = np.random.default_rng(number)
    ids = rng.integers(0, 3, 5).tolist() if waits is None else [WAITS.index(each) for each in waits]
    pattern = np.repeat(rng.integers(90, 120, (side, 1, 3)).astype(np.uint8), side, axis=1)
    square = rng.integers(150, 256, (SQUARE, SQUARE, 3)).astype(np.uint8)
    places, times = [np.array([4.0, 6.0])], [0.0]
    for place, each in enumerate(ids):
        sign = -1 if bounce is not None and place >= bounce else 1
        places.append(places[-1] + sign * np.array(speed) * WAITS[each])
        times.append(round(times[-1] + 0.08 * WAITS[each], 6))
    frames = np.stack([pattern] * len(places))
    for frame, (x, y) in zip(frames, np.rint(places).astype(int), strict=True):
        frame[y : y + SQUARE, x : x + SQUARE] = square[: max(side - y, 0), : max(side - x, 0)]
    metadata = {
        "source": "bagel_world.sims.Drops",
        "episode_id": f"fall-{number}",
        "drop": number,
        "bodies": ["square"],
        "times": times,
        "centers": [[(place + SQUARE / 2).tolist()] for place in places],
        "body_poses": [[[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]]] * len(places),
        "places": [place.tolist() for place in places],
    }
    return Episode(frames=frames, actions=tuple(action_from_id(each, ROLLOUT_WORDS) for each in ids), metadata=metadata)


class KnownSquares:
    """What a simulator would tell about `fall`."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def owners(self, window: Window) -> Any:
        owners = np.full((len(window.frames), *self.size), -1, np.int32)
        places = np.rint(window.metadata["places"][window.start :][: len(owners)]).astype(int)
        for owner, (x, y) in zip(owners, places, strict=True):
            owner[y : y + SQUARE, x : x + SQUARE] = 0
        return owners

    def close(self) -> None:
        pass

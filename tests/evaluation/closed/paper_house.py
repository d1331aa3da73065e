"""A house without pictures: its real plan and rules, and frames that have the pose written into their pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.evaluation.closed.oracle_world import moved
from bagel_world.sims.geodesic import Geodesic
from bagel_world.sims.plans import draw_plan
from bagel_world.types import Frame
from bagel_world.world.scoring import CallableScorer, Goal

SIDE = 64


class PaperHouse:
    """What the closed loop needs of `House`."""

    action_words = NAVIGATE_WORDS
    observation_space = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)

    def __init__(self, split: str = "test") -> None:
        self.split = split
        self.looks = 0

    def reset(self, *, options: dict[str, Any]) -> tuple[Frame, dict[str, Any]]:
        self.plan = draw_plan(self.split, options["house"])
        return self.set_pose(options["pose"]), {}

    @property
    def pose(self) -> np.ndarray:
        return np.array(self.at)

    def set_pose(self, pose: Any) -> Frame:
        self.at = tuple(float(each) for each in pose)
        self.looks += 1
        return write_pose(self.at)

    def step(self, action: int) -> tuple[Any, ...]:
        return self.set_pose(moved(self.plan, self.at, NAVIGATE_WORDS[action])), 0.0, False, False, {}

    def close(self) -> None:
        pass


def write_pose(pose: Any) -> Frame:
    frame = np.zeros((SIDE, SIDE, 3), np.uint8)
    frame.reshape(-1)[:32] = np.frombuffer(np.array(pose, np.float64).tobytes(), np.uint8)
    return frame


def read_pose(frame: Frame) -> np.ndarray:
    return np.frombuffer(frame.reshape(-1)[:32].tobytes(), np.float64)


def perfect_scorer(house: PaperHouse) -> CallableScorer:
    """Knows the walking distance between the two poses it is shown: 1 there, 0 ten meters away."""
    fields: dict[bytes, Any] = {}

    def closeness(frame: Frame, goal: Goal) -> float:
        assert goal.image is not None
        ways = Geodesic(house.plan)
        target = read_pose(goal.image)
        key = target.tobytes()
        if key not in fields:
            fields[key] = ways.to_point(float(target[0]), float(target[2]))
        x, _, z, _ = read_pose(frame)
        return 1.0 - ways.at(fields[key], float(x), float(z)) / 10.0

    return CallableScorer(closeness)

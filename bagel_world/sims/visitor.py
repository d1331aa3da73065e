"""The visitor: a policy that goes up to things. Its walks show objects from all distances, on all sides and right ahead."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from bagel_world.sims.house import step_ahead
from bagel_world.sims.plans import HousePlan
from bagel_world.sims.sightings import AHEAD, Sighting, sightings
from bagel_world.sims.walker import FORWARD, LEFT, RIGHT, STAY, Walker

STYLE = "visits"

_LINGER_CHANCE = 0.5
_MOST_TURNS = 4


class Visitor:
    """A policy over the actions of `House`.

    It turns to an object in view, walks up to it until it stands in front of it, and looks away to find another one. As long as
    there is none, a walker leads the way.

    Args:
        plan: the house it knows its way in.
        rng: where all its choices come from.
    """

    style = STYLE

    def __init__(self, plan: HousePlan, rng: np.random.Generator) -> None:
        self._plan = plan
        self._rng = rng
        self._walker = Walker(plan, rng, style="direct")
        self._queue: deque[int] = deque()
        self._goal: str | None = None
        self._last: str | None = None

    def act(self, pose: npt.ArrayLike) -> int:
        """The next action id for someone at this pose (x, y, z, yaw)."""
        if self._queue:
            return self._queue.popleft()
        every = sightings(self._plan, pose, [each.kind.name for each in self._plan.objects])
        goal = next((each for each in every if each.name == self._goal), None) or self._choose(every)
        if goal is None:
            return self._walker.act(pose)
        if goal.reached:
            return self._look_away()
        if abs(goal.bearing) > AHEAD:
            return LEFT if goal.bearing > 0 else RIGHT
        x, _, z, yaw = np.asarray(pose, dtype=np.float64).tolist()
        return FORWARD if self._plan.is_free(*step_ahead((x, z), yaw)) else self._look_away()

    def _choose(self, every: tuple[Sighting, ...]) -> Sighting | None:
        """An object in view that it does not come from."""
        fresh = [each for each in every if each.clear and each.name != self._last]
        if not fresh:
            return None
        goal = fresh[int(self._rng.integers(len(fresh)))]
        self._goal = goal.name
        return goal

    def _look_away(self) -> int:
        """Linger or not, turn some steps to one side, and now and then all the way back."""
        self._last, self._goal = self._goal, None
        turns = 1 + int(self._rng.integers(_MOST_TURNS))
        aside, back = (LEFT, RIGHT) if self._rng.random() < 0.5 else (RIGHT, LEFT)
        self._queue.extend([STAY] if self._rng.random() < _LINGER_CHANCE else [])
        self._queue.extend([aside] * turns)
        if self._rng.random() < 0.5:
            self._queue.extend([back] * turns)
        return self._queue.popleft()

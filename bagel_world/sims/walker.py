"""`Walker`: the explorer whose walks become training footage. It plans on the house's plan, so it needs no rendering.

Going to an object means going down a map of walking distances and committing to a heading: the walker turns
all the way, walks a few steps and only then chooses again. An arrived walker looks around and picks another, far object.
Now and then it glances aside and back: whoever learns from these walks must see that a place stays what it was.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bagel_world.sims.house import FORWARD_STEP, TURN_STEP, step_ahead
from bagel_world.sims.plans import AGENT_RADIUS, ROOM_GAP, ROOM_SIZE, ROOMS_PER_SIDE, HousePlan

FORWARD, LEFT, RIGHT, STAY = range(4)

STYLES = ("direct", "detours", "random")
STYLE_SHARES = (0.60, 0.25, 0.15)

_CELL = 0.25
_HALF_SIDE = (ROOMS_PER_SIDE * ROOM_SIZE + (ROOMS_PER_SIDE - 1) * ROOM_GAP) / 2
_COMFORT = AGENT_RADIUS + 0.1
_UNREACHABLE = 1e6
_ARRIVED = 1.0
_WALL_DISTANCE = 1.0
_TURN_COST = 0.12
_STAY_CHANCE = 0.035
_BUMP_CHANCE = 0.7
_LOOK_TURNS = (3, 4, 5, 6, 12)
_LOOK_SHARES = (0.30, 0.25, 0.20, 0.15, 0.10)
_LOOK_CHANCE = {"direct": 0.04, "detours": 0.06, "random": 0.08}
_DETOUR_CHANCE = 0.3
_GLANCE_CHANCE = 0.14
_GLANCE_TURNS = (1, 2, 3)
_GLANCE_SHARES = (0.4, 0.4, 0.2)


class WalkMap:
    """Walking distances over a grid of a house."""

    def __init__(self, plan: HousePlan) -> None:
        self.plan = plan
        self._count = round(2 * _HALF_SIDE / _CELL)
        axis = -_HALF_SIDE + _CELL * (np.arange(self._count) + 0.5)
        self._centers = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
        self._by_object: dict[int, npt.NDArray[np.float64]] = {}

    @cached_property
    def _free(self) -> npt.NDArray[np.bool_]:
        return (self.plan.clearance(self._centers) >= _COMFORT).reshape(self._count, self._count)

    def distances_to(self, goal: int) -> npt.NDArray[np.float64]:
        """Walking distance in meters from every cell to this object's reach; large where there is no way."""
        if goal not in self._by_object:
            self._by_object[goal] = self._search(goal)
        return self._by_object[goal]

    def distance(self, goal: int, at: tuple[float, float]) -> float:
        """Walking distance in meters from a place to an object's reach, interpolated between cells."""
        field = self.distances_to(goal)
        place = (np.array(at) + _HALF_SIDE) / _CELL - 0.5
        low = np.clip(np.floor(place).astype(int), 0, self._count - 2)
        part = np.clip(place - low, 0.0, 1.0)
        corners = field[low[0] : low[0] + 2, low[1] : low[1] + 2]
        weights = np.outer((1 - part[0], part[0]), (1 - part[1], part[1])) * (corners < _UNREACHABLE)
        total = weights.sum()
        return float((weights * np.where(corners < _UNREACHABLE, corners, 0.0)).sum() / total) if total > 0 else _UNREACHABLE

    def _search(self, goal: int) -> npt.NDArray[np.float64]:
        """Relax all cells at once until nothing changes: straight steps cost a cell, diagonal ones sqrt 2 cells."""
        target = self.plan.objects[goal]
        away = np.linalg.norm(self._centers - np.array([target.x, target.z]), axis=-1)
        at_goal = self._free & (away < target.kind.radius + _COMFORT + 2 * _CELL)
        field = np.where(at_goal, 0.0, _UNREACHABLE)
        steps = [(i, j, float(np.hypot(i, j)) * _CELL) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        count = self._count
        while True:
            padded = np.pad(field, 1, constant_values=_UNREACHABLE)
            relaxed = field
            for i, j, cost in steps:
                relaxed = np.minimum(relaxed, padded[1 + i : 1 + i + count, 1 + j : 1 + j + count] + cost)
            relaxed = np.where(self._free, relaxed, _UNREACHABLE)
            if np.array_equal(relaxed, field):
                return field
            field = relaxed


class Walker:
    """A policy over the discrete navigation actions of `House`.

    Args:
        plan: the house it knows its way in.
        rng: where all its choices come from.
        style: "direct" (shortest ways), "detours" or "random"; None draws one in the shares of `STYLE_SHARES`.
    """

    def __init__(self, plan: HousePlan, rng: np.random.Generator, *, style: str | None = None) -> None:
        self.plan = plan
        self.style = STYLES[int(rng.choice(len(STYLES), p=STYLE_SHARES))] if style is None else style
        self._rng = rng
        self._map = WalkMap(plan)
        self._queue: deque[int] = deque()
        self._goal: int | None = None
        self._done: list[int] = []
        self._last_turn = LEFT if rng.random() < 0.5 else RIGHT
        self._since_turn = 99

    @property
    def goal(self) -> str | None:
        """Name of the object it is walking to; None before the first step and while it wanders."""
        return None if self._goal is None else self.plan.objects[self._goal].kind.name

    def act(self, pose: npt.ArrayLike) -> int:
        """The next action id for someone at this pose (x, y, z, yaw)."""
        x, _, z, yaw = np.asarray(pose, dtype=np.float64).tolist()
        if self._rng.random() < _STAY_CHANCE:
            return STAY
        if not self._queue:
            self._queue.extend(self._decide((x, z), yaw))
        action = self._queue.popleft()
        if action == FORWARD and not self.plan.is_free(*step_ahead((x, z), yaw)) and self._rng.random() >= _BUMP_CHANCE:
            self._queue.clear()
            self._queue.extend(self._turn_away((x, z), yaw))
            action = self._queue.popleft()
        if action in (LEFT, RIGHT):
            self._last_turn, self._since_turn = action, 0
        else:
            self._since_turn += 1
        return action

    def _decide(self, at: tuple[float, float], yaw: float) -> list[int]:
        if self._rng.random() < _LOOK_CHANCE[self.style]:
            return self._look_around()
        if self._rng.random() < _GLANCE_CHANCE:
            return self._glance()
        if self.style == "random" or (self.style == "detours" and self._rng.random() < _DETOUR_CHANCE):
            return self._wander(at, yaw)
        if self._goal is None:
            seen = self.plan.sees(*at, yaw)
            self._goal = seen[int(self._rng.integers(len(seen)))] if seen else self._pick_goal(at)
        if self._map.distance(self._goal, at) < _ARRIVED * _CELL:
            self._done.append(self._goal)
            return self._search_around(at, yaw)
        return self._approach(at, yaw)

    def _pick_goal(self, at: tuple[float, float]) -> int:
        """Another object: near ones first at the start, far ones once some have been visited."""
        fresh = [i for i in range(len(self.plan.objects)) if i not in self._done[-3:]]
        away = np.array([self._map.distance(i, at) for i in fresh])
        order = np.argsort(np.where((away < 1.5) | (away >= _UNREACHABLE), np.inf, away))
        half = order[len(order) // 2 :] if self._done else order[: max(1, len(order) // 2)]
        return fresh[int(half[int(self._rng.integers(len(half)))])]

    def _look_around(self) -> list[int]:
        count = int(self._rng.choice(_LOOK_TURNS, p=_LOOK_SHARES))
        return [self._preferred_turn()] * count

    def _glance(self) -> list[int]:
        """Turn a little to one side and all the way back."""
        count = int(self._rng.choice(_GLANCE_TURNS, p=_GLANCE_SHARES))
        aside, back = (LEFT, RIGHT) if self._rng.random() < 0.5 else (RIGHT, LEFT)
        return [aside] * count + [back] * count

    def _search_around(self, at: tuple[float, float], yaw: float) -> list[int]:
        """Turn one way until an object comes into view that was not visited lately; that one is the next goal."""
        turn = self._preferred_turn()
        sign = 1 if turn == LEFT else -1
        for turns in range(1, 12):
            fresh = [each for each in self.plan.sees(*at, yaw + sign * TURN_STEP * turns) if each not in self._done[-3:]]
            if fresh:
                self._goal = fresh[int(self._rng.integers(len(fresh)))]
                return [turn] * turns
        self._goal = self._pick_goal(at)
        return self._approach(at, yaw)

    def _preferred_turn(self) -> int:
        """Go on turning the same way for a while; after some steps either way is new."""
        if self._since_turn < 4:
            return self._last_turn
        return LEFT if self._rng.random() < 0.5 else RIGHT

    def _approach(self, at: tuple[float, float], yaw: float) -> list[int]:
        """Turn to the heading from which a few steps gain most on the goal, then walk them."""
        assert self._goal is not None
        here = self._map.distance(self._goal, at)
        best, best_score = (0, 0), -np.inf
        first = 1 if self._rng.random() < 0.5 else -1  # A half turn is as good either way: whichever is tried first is kept.
        for turns in range(-6 * first, 7 * first, first):
            place, heading = at, yaw + TURN_STEP * turns
            for steps in range(1, 5):
                place = step_ahead(place, heading)
                if not self.plan.is_free(*place):
                    break
                gain = (here - self._map.distance(self._goal, place)) / steps - self._turn_price(turns) / steps
                if gain > best_score:
                    best, best_score = (turns, steps), gain
        turns, steps = best
        if steps == 0:
            return self._turn_away(at, yaw)
        return [LEFT if turns > 0 else RIGHT] * abs(turns) + [FORWARD] * steps

    def _turn_price(self, turns: int) -> float:
        price = _TURN_COST * abs(turns)
        reverses = turns and self._since_turn < 4 and (turns > 0) != (self._last_turn == LEFT)
        return price + (0.5 if reverses else 0.0)

    def _wander(self, at: tuple[float, float], yaw: float) -> list[int]:
        """Some turns one way, rather to where an object is in view, then straight on."""
        turn = self._preferred_turn()
        sign = 1 if turn == LEFT else -1
        pull = np.array([3.0 if self.plan.sees(*at, yaw + sign * TURN_STEP * turns) else 1.0 for turns in range(4)])
        turns = int(self._rng.choice(4, p=pull / pull.sum()))
        heading = yaw + sign * TURN_STEP * turns
        room_ahead = int((self.plan.sight(*at, heading) - _WALL_DISTANCE) / FORWARD_STEP)
        if room_ahead < 1:
            return self._turn_away(at, yaw)
        return [turn] * turns + [FORWARD] * min(room_ahead, int(self._rng.integers(2, 7)))

    def _turn_away(self, at: tuple[float, float], yaw: float) -> list[int]:
        """Turn one way until there is room ahead, then walk."""
        turn = self._preferred_turn()
        sign = 1 if turn == LEFT else -1
        for turns in range(1, 12):
            heading = yaw + sign * TURN_STEP * turns
            if self.plan.is_free(*step_ahead(at, heading)) and self.plan.sight(*at, heading) > 2.0:
                return [turn] * turns + [FORWARD] * 2
        return [turn] * 3

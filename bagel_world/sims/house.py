"""`House`: the real navigation simulator, a MiniWorld house with the action words of the imagined navigation worlds."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from bagel_world.actions import NAVIGATE_WORDS, action_from_id
from bagel_world.errors import ConfigError, MissingExtraError, SimulatorError
from bagel_world.sims.opening import RENDER_MODES, check_settings
from bagel_world.sims.palettes import palette_of
from bagel_world.sims.plans import AGENT_RADIUS, ROOM_SIZE, HousePlan, draw_plan
from bagel_world.sims.walls import heading_of
from bagel_world.types import Frame

FORWARD_STEP = 0.5
"""Meters of one "Move forward"."""

TURN_STEP = 30.0
"""Degrees of one "Look left" or "Look right"."""

FIELD_OF_VIEW = 60.0
"""Height of the picture in degrees, MiniWorld's; the camera looks straight ahead from the axis that it turns around."""

VISIBLE_SHARE = 0.004
"""An object counts as visible when it covers at least this share of the picture."""

SYSTEM_PACKAGES = "libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri libglu1-mesa"

_ARMS_LENGTH = 1.5
_OPEN_VIEW = 2.5
_DRAWS = 1_000
_SEED_LIMIT = 2**31


class House(gym.Env[Frame, np.int64]):
    """A house of 3 x 3 textured rooms with six objects, seen through the eyes of an agent that walks in it.

    Actions are `Discrete(4)` with `action_words` "Move forward" (0.5 m; not at all where something is in the way),
    "Look left" (+30 degrees), "Look right" (-30 degrees) and "Stay". Observations are uint8 frames (height, width, 3).
    Rewards are 0 and no episode ends by itself, except after `horizon` steps where one is given.

    `reset(seed=s)` builds house `s` of the split and draws a start pose; `options` may hold `"house"` (the house's seed,
    where it should not be `s`) and `"pose"` (x, y, z in meters and yaw in degrees). Without a seed a house is drawn.

    Args:
        split: "train", "validation", "test" (same textures and objects, no house in common) or "unseen" (textures and
            objects of its own).
        size: (height, width) of the frames in pixels.
        horizon: truncate after this many steps; None never does.
        render_mode: "rgb_array" or None.

    Raises:
        MissingExtraError: MiniWorld is not installed.
        SimulatorError: this machine cannot render.
        UnknownNameError: no such split.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012 (Gymnasium reads a plain dict here)
    action_words = NAVIGATE_WORDS

    def __init__(
        self,
        *,
        split: str = "train",
        size: tuple[int, int] = (64, 64),
        horizon: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        palette_of(split)
        height, width = check_settings(size, horizon, render_mode)
        self.split = split
        self.horizon = horizon
        self.render_mode = render_mode
        self.action_space = spaces.Discrete(len(NAVIGATE_WORDS))
        self.observation_space = spaces.Box(0, 255, (height, width, 3), np.uint8)
        self._plan = draw_plan(split, 0)
        self._scene = _open_scene(self._plan, height, width)
        self._steps = 0
        self._position = (self._plan.rooms[0].x, self._plan.rooms[0].z)
        self._yaw = 0.0
        self._frame: Frame | None = None

    @property
    def plan(self) -> HousePlan:
        """The house that is standing."""
        return self._plan

    @property
    def pose(self) -> npt.NDArray[np.float64]:
        """float64, shape (4,): x, y, z in meters and yaw in degrees [0, 360), counter-clockwise seen from above."""
        return np.array([self._position[0], 0.0, self._position[1], self._yaw])

    @property
    def renderer(self) -> str:
        """What OpenGL renders with; another one may differ in single pixel values."""
        return self._scene.renderer

    def set_pose(self, pose: npt.ArrayLike) -> Frame:
        """Put the agent somewhere and look; equal poses of one house give equal frames, pixel for pixel.

        Args:
            pose: x, y, z, yaw as `pose` gives them; y is 0.

        Raises:
            ConfigError: not four finite numbers, or not a place where an agent can stand.
        """
        values = np.asarray(pose, dtype=np.float64)
        if values.shape != (4,) or not np.isfinite(values).all():
            raise ConfigError(f"Expected a pose of four finite numbers (x, y, z, yaw), got {pose!r}.")
        x, _, z, yaw = (float(each) for each in values)
        if not self._plan.is_free(x, z) or not self._inside(x, z):
            raise ConfigError(f"Expected a free place in the house, got x={x:.3f}, z={z:.3f}, which is in a wall or an object.")
        self._position, self._yaw = (x, z), yaw % 360.0
        return self._look()

    def visible(self) -> tuple[str, ...]:
        """Names of the objects that cover at least `VISIBLE_SHARE` of the picture, nearest first."""
        x, z = self._position
        seen = [
            (float(np.hypot(placed.x - x, placed.z - z)), placed.kind.name)
            for placed, share in self._scene.shares_of_objects()
            if share >= VISIBLE_SHARE
        ]
        return tuple(name for _, name in sorted(seen))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Build a house and stand somewhere in it; see the class for `seed` and `options`."""
        super().reset(seed=seed)
        options = dict(options or {})
        unknown = set(options) - {"house", "pose"}
        if unknown:
            raise ConfigError(f'Expected reset options "house" and "pose", got {sorted(unknown)}.')
        house = options.get("house", seed)
        if house is None:
            house = int(self.np_random.integers(_SEED_LIMIT))
        plan = draw_plan(self.split, int(house))
        if plan.number != self._plan.number:
            self._plan = plan
            self._scene.build(plan)
        self._steps = 0
        pose = options.get("pose")
        frame = self.set_pose(draw_start(plan, self.np_random) if pose is None else pose)
        return frame, self._info(moved=True, text=None)

    def step(self, action: Any) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Do one action.

        Raises:
            ActionError: the id is not in 0..3.
            SimulatorError: there was no reset yet.
        """
        if self._frame is None:
            raise SimulatorError("Expected reset() before the first step(). Call reset(seed=...) to build a house.")
        known = action_from_id(action, NAVIGATE_WORDS)
        self._steps += 1
        moved = True
        if known.id == 0:
            moved = self._walk()
        elif known.id in (1, 2):
            self._yaw = (self._yaw + (TURN_STEP if known.id == 1 else -TURN_STEP)) % 360.0
        frame = self._look()
        truncated = self.horizon is not None and self._steps >= self.horizon
        return frame, 0.0, False, truncated, self._info(moved=moved, text=known.text)

    def render(self) -> Frame | None:  # type: ignore[override]
        """The current frame, where render_mode is "rgb_array"."""
        return None if self.render_mode is None or self._frame is None else self._frame.copy()

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._scene.close()

    def _walk(self) -> bool:
        after = step_ahead(self._position, self._yaw)
        if not self._plan.is_free(*after):
            return False
        self._position = after
        return True

    def _look(self) -> Frame:
        frame: Frame = self._scene.look(*self._position, self._yaw)
        self._frame = frame
        return frame.copy()

    def _inside(self, x: float, z: float) -> bool:
        return any(max(abs(x - room.x), abs(z - room.z)) <= ROOM_SIZE / 2 + AGENT_RADIUS for room in self._plan.rooms)

    def _info(self, *, moved: bool, text: str | None) -> dict[str, Any]:
        return {"action_text": text, "blocked": not moved, "pose": self.pose, "house": self._plan.number}


def step_ahead(position: tuple[float, float], yaw: float) -> tuple[float, float]:
    """Where one "Move forward" leads, as (x, z), if nothing is in the way."""
    heading = heading_of(yaw)
    return position[0] + FORWARD_STEP * heading[0], position[1] + FORWARD_STEP * heading[1]


def draw_start(plan: HousePlan, rng: np.random.Generator, *, facing_object: bool = False) -> npt.NDArray[np.float64]:
    """A pose inside a room, clear of obstacles, that does not face a wall at arm's length; whole degrees.

    Args:
        plan: the house.
        rng: decides.
        facing_object: draw again until an object is in view.
    """
    for _ in range(_DRAWS):
        room = plan.rooms[int(rng.integers(len(plan.rooms)))]
        reach = ROOM_SIZE / 2 - AGENT_RADIUS
        x, z = room.x + float(rng.uniform(-reach, reach)), room.z + float(rng.uniform(-reach, reach))
        yaw = float(rng.integers(360))
        ahead, beside = plan.sight(x, z, yaw), min(plan.sight(x, z, yaw - 20.0), plan.sight(x, z, yaw + 20.0))
        open_view = plan.is_free(x, z) and ahead > _OPEN_VIEW and beside > _ARMS_LENGTH
        if open_view and (not facing_object or plan.sees(x, z, yaw)):
            return np.array([x, 0.0, z, yaw])
    raise SimulatorError(f"House {plan.number} has no free place to start from. Use another seed.")


def _open_scene(plan: HousePlan, height: int, width: int) -> Any:
    try:
        scene = importlib.import_module("bagel_world.sims.scene")
    except ModuleNotFoundError as error:
        if error.name in ("miniworld", "pyglet"):
            raise MissingExtraError("miniworld", "sims", "The house simulator") from error
        raise
    except (ImportError, OSError) as error:
        raise _no_rendering(error) from error
    try:
        return scene.HouseScene(plan, height=height, width=width)
    except Exception as error:  # every driver fails in its own way, and all of it means one thing to the caller
        raise _no_rendering(error) from error


def _no_rendering(error: Exception) -> SimulatorError:
    return SimulatorError(
        f"The house simulator needs OpenGL without a display (EGL), which this machine does not offer "
        f"({type(error).__name__}: {error}). On Debian or Ubuntu: apt-get install {SYSTEM_PACKAGES}"
    )

"""`Drops`: the real simulator of things that go on by themselves, bodies that fall, tumble and collide, by MuJoCo."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from bagel_world.actions import ROLLOUT_WORDS, WAITS, action_from_id
from bagel_world.errors import ConfigError, SimulatorError, StateError
from bagel_world.sims.drop_plans import DropPlan, draw_drop
from bagel_world.sims.opening import RENDER_MODES, check_settings, open_stage
from bagel_world.sims.palettes import palette_of
from bagel_world.sims.tank import prop_mesh, tank_parts, tank_solids
from bagel_world.sims.views import View
from bagel_world.types import Frame

FRAME_INTERVAL = 0.08
"""Seconds of one moment."""

FIELD_OF_VIEW = 38.0
"""Height of the picture in degrees."""

VISIBLE_SHARE = 0.004
"""A body counts as visible when it covers at least this share of the picture."""

_SUBSTEPS = 20
_DENSITY, _FRICTION, _STILL = 400.0, 0.6, 0.5
_TARGET, _DISTANCE = (0.0, 0.0, 0.95), 4.0
_SHADOW_REACH = 2.2
_LAMP_HEIGHT = 65.0
_SEED_LIMIT = 2**31


class Drops(gym.Env[Frame, np.int64]):
    """One to four bodies that fall into a tank, tumble and collide, seen by a camera that stands still.

    Actions are `Discrete(3)` with `action_words` "Wait one moment", "Wait two moments" and "Wait four moments"; a moment is
    `FRAME_INTERVAL` seconds. Observations are uint8 frames (height, width, 3). Rewards are 0 and no episode ends by itself,
    except after `horizon` steps where one is given.

    Everything is decided by the seed: the same drop passes through the same states bit for bit, in whichever moments one
    looks at it. `info` tells the time and every body's pose and velocity; `mask` tells which pixels show which body;
    `state` and `set_state` go back to any moment.

    `reset(seed=s)` lets go of drop `s` of the split; `options` may hold `"drop"` (the drop's seed, where it should not be `s`).
    Without a seed a drop is drawn.

    Args:
        split: "train", "validation", "test" (the same kinds of bodies, no drop in common) or "unseen" (kinds of its own).
        size: (height, width) of the frames in pixels.
        horizon: truncate after this many steps; None never does.
        render_mode: "rgb_array" or None.

    Raises:
        MissingExtraError: MuJoCo is not installed.
        SimulatorError: this machine cannot render.
        UnknownNameError: no such split.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 12}  # noqa: RUF012 (Gymnasium reads a plain dict here)
    action_words = ROLLOUT_WORDS

    def __init__(
        self,
        *,
        split: str = "train",
        size: tuple[int, int] = (64, 64),
        horizon: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        palette_of(split)
        self._size = check_settings(size, horizon, render_mode)
        self.split = split
        self.horizon = horizon
        self.render_mode = render_mode
        self.action_space = spaces.Discrete(len(ROLLOUT_WORDS))
        self.observation_space = spaces.Box(0, 255, (*self._size, 3), np.uint8)
        self._drawer, self._stage = open_stage(*self._size, "The drop simulator")
        self._plan: DropPlan | None = None
        self._steps = 0
        self._frame: Frame | None = None

    @property
    def plan(self) -> DropPlan:
        """The drop that is under way.

        Raises:
            SimulatorError: there was no reset yet.
        """
        if self._plan is None:
            raise SimulatorError("Expected reset() before the first step(). Call reset(seed=...) to let bodies go.")
        return self._plan

    @property
    def time(self) -> float:
        """Seconds since the bodies were let go."""
        self._require_reset()
        return float(self._stage.data.time)

    @property
    def poses(self) -> npt.NDArray[np.float64]:
        """float64, shape (bodies, 7): place in meters (x, y, z) and quaternion (w, x, y, z) of each body."""
        self._require_reset()
        return self._stage.data.qpos.reshape(-1, 7).copy()

    @property
    def velocities(self) -> npt.NDArray[np.float64]:
        """float64, shape (bodies, 6): velocity in m/s (in the world's axes) and spin in rad/s (in the body's)."""
        self._require_reset()
        return self._stage.data.qvel.reshape(-1, 6).copy()

    @property
    def state(self) -> npt.NDArray[np.float64]:
        """Everything that decides what comes next, as `set_state` takes it: float64, one axis."""
        self._require_reset()
        return self._stage.state

    @property
    def renderer(self) -> str:
        """What OpenGL renders with; another one may differ in single pixel values."""
        return self._stage.renderer

    def set_state(self, state: npt.ArrayLike) -> Frame:
        """Go back (or on) to a state of this drop and look; what follows equals what followed then, bit for bit.

        Raises:
            StateError: not a state of this drop.
            SimulatorError: there was no reset yet.
        """
        values = np.asarray(state, dtype=np.float64)
        expected = self.state.shape
        if values.shape != expected or not np.isfinite(values).all():
            raise StateError(
                f"Expected {expected[0]} finite numbers, a state of drop {self.plan.number}, got shape {values.shape}. "
                "Reset to the drop that the state was taken from, then set it."
            )
        self._stage.restore(values)
        return self._look()

    def mask(self) -> npt.NDArray[np.int32]:
        """Which body each pixel of the current frame shows: int32, shape (height, width).

        Bodies are numbered by their place in `plan.bodies`; -1 is none of them.
        """
        self._require_reset()
        owners = self._stage.bodies(self._view())
        first = self._stage.model.body("body0").id
        return np.where(owners >= first, owners - first, -1).astype(np.int32)

    def centers(self) -> npt.NDArray[np.float64]:
        """Where the middle of each body appears: float64, shape (bodies, 2), pixels (x, y) from the upper left corner."""
        return self._view().project(self.poses[:, :3], size=self._size, field_of_view=FIELD_OF_VIEW)

    def visible(self) -> tuple[str, ...]:
        """Names of the bodies that cover at least `VISIBLE_SHARE` of the picture, nearest first."""
        shown = np.bincount(self.mask().ravel() + 1, minlength=len(self.plan.bodies) + 1)[1:]
        away = self._view().distances(self.poses[:, :3])
        seen = [place for place in np.argsort(away, kind="stable") if shown[place] >= VISIBLE_SHARE * np.prod(self._size)]
        return tuple(self.plan.names[place] for place in seen)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Let bodies go; see the class for `seed` and `options`."""
        super().reset(seed=seed)
        options = dict(options or {})
        unknown = set(options) - {"drop"}
        if unknown:
            raise ConfigError(f'Expected the reset option "drop", got {sorted(unknown)}.')
        drop = options.get("drop", seed)
        if drop is None:
            drop = int(self.np_random.integers(_SEED_LIMIT))
        plan = draw_drop(self.split, int(drop))
        if self._plan is None or plan.number != self._plan.number:
            self._build(plan)
            self._plan = plan
        self._steps = 0
        self._let_go(plan)
        return self._look(), self._info(text=None)

    def step(self, action: Any) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Let time go by.

        Raises:
            ActionError: the id is not in 0..2.
            SimulatorError: there was no reset yet.
        """
        self._require_reset()
        known = action_from_id(action, ROLLOUT_WORDS)
        assert known.id is not None
        self._steps += 1
        self._stage.advance(_SUBSTEPS * WAITS[known.id])
        truncated = self.horizon is not None and self._steps >= self.horizon
        return self._look(), 0.0, False, truncated, self._info(text=known.text)

    def render(self) -> Frame | None:  # type: ignore[override]
        """The current frame, where render_mode is "rgb_array"."""
        return None if self.render_mode is None or self._frame is None else self._frame.copy()

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._stage.close()

    def _require_reset(self) -> None:
        _ = self.plan

    def _look(self) -> Frame:
        frame: Frame = self._stage.look(self._view())
        self._frame = frame
        return frame.copy()

    def _view(self) -> View:
        return View(target=_TARGET, distance=_DISTANCE, pitch=self.plan.pitch)

    def _info(self, *, text: str | None) -> dict[str, Any]:
        plan = self.plan
        return {
            "action_text": text,
            "time": self.time,
            "bodies": plan.names,
            "poses": self.poses,
            "velocities": self.velocities,
            "centers": self.centers(),
            "drop": plan.number,
        }

    def _let_go(self, plan: DropPlan) -> None:
        self._stage.start(
            [(*each.place, *each.quaternion) for each in plan.bodies], [(*each.velocity, *each.spin) for each in plan.bodies]
        )

    def _build(self, plan: DropPlan) -> None:
        height, width = self._size
        scene = self._drawer.Blueprint()
        scene.prepare(
            height=height,
            width=width,
            behind=(plan.sky, plan.ground),
            field_of_view=FIELD_OF_VIEW,
            shadow_reach=_SHADOW_REACH,
        )
        scene.set_clock(FRAME_INTERVAL / _SUBSTEPS)
        scene.add_sun(azimuth=plan.lamp, height=_LAMP_HEIGHT, brightness=plan.brightness)
        tank = scene.spec.worldbody.add_body(name="tank")
        for part in tank_parts(plan):
            scene.add_part(tank, part)
        for solid in tank_solids():
            scene.add_solid(tank, solid, density=_DENSITY, friction=_FRICTION, bounce=_STILL)
        prop = prop_mesh(plan)
        if prop is not None:
            scene.add_hull(tank, prop, density=_DENSITY, friction=_FRICTION, bounce=_STILL)
        for place, each in enumerate(plan.bodies):
            body = scene.spec.worldbody.add_body(name=f"body{place}")
            body.add_freejoint()
            for part in each.kind.build(each.paint):
                scene.add_part(body, part)
            for solid in each.kind.solids:
                scene.add_solid(body, solid, density=_DENSITY, friction=_FRICTION, bounce=each.kind.bounce)
        self._stage.show(scene.compile())

"""`Turntable`: the real rotation simulator, an object that the camera goes around, drawn by MuJoCo."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from bagel_world.actions import ROTATE_WORDS, TURNS, action_from_id
from bagel_world.errors import ConfigError, SimulatorError
from bagel_world.sims.exhibits import REACH, build_exhibit
from bagel_world.sims.meshes import cylinder
from bagel_world.sims.opening import RENDER_MODES, check_settings, open_stage
from bagel_world.sims.palettes import palette_of
from bagel_world.sims.patterns import paint
from bagel_world.sims.table_plans import YAW_PERIOD, TablePlan, draw_degrees, draw_table
from bagel_world.sims.toys import Part
from bagel_world.sims.views import View
from bagel_world.types import Frame

YAW_STEPS = (*TURNS, *(-degrees for degrees in TURNS), 0)
"""What each action adds to the yaw, in degrees, in the order of `ROTATE_WORDS`."""

FIELD_OF_VIEW = 42.0
"""Height of the picture in degrees."""

_TABLE_RADIUS, _TABLE_HEIGHT = 1.05, 0.10
_SHADOW_REACH, _LAMP_HEIGHT = 1.8, 55.0
_SEED_LIMIT = 2**31


class Turntable(gym.Env[Frame, np.int64]):
    """An object on a round table, seen by a camera that goes around it.

    Actions are `Discrete(7)` with `action_words` "Rotate the camera to the left by 15 degrees", ... 30, ... 45, the same to the
    right, and "Stay". Observations are uint8 frames (height, width, 3). Rewards are 0 and no episode ends by itself, except
    after `horizon` steps where one is given.

    The yaw is exact: 0 looks at the object's front, left adds to it, so that the object seems to turn counter-clockwise
    seen from above. The lamp stays where it is in the world; table and background look the same from all sides.

    `reset(seed=s)` builds turntable `s` of the split and draws a yaw; `options` may hold `"table"` (the turntable's seed,
    where it should not be `s`) and `"yaw"` (degrees). Without a seed a turntable is drawn.

    Args:
        split: "train", "validation", "test" (the objects of train under yaws, lamps and colors it never had) or "unseen"
            (objects of its own); `table_plans` says precisely what differs.
        size: (height, width) of the frames in pixels.
        horizon: truncate after this many steps; None never does.
        render_mode: "rgb_array" or None.

    Raises:
        MissingExtraError: MuJoCo or MiniWorld (for its meshes) is not installed.
        SimulatorError: this machine cannot render.
        UnknownNameError: no such split.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012 (Gymnasium reads a plain dict here)
    action_words = ROTATE_WORDS

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
        self.action_space = spaces.Discrete(len(ROTATE_WORDS))
        self.observation_space = spaces.Box(0, 255, (height, width, 3), np.uint8)
        self._drawer, self._stage = open_stage(height, width, "The turntable simulator")
        self._plan: TablePlan | None = None
        self._yaw = 0.0
        self._steps = 0
        self._frame: Frame | None = None

    @property
    def plan(self) -> TablePlan:
        """The turntable that is standing.

        Raises:
            SimulatorError: there was no reset yet.
        """
        if self._plan is None:
            raise SimulatorError("Expected reset() before anything else. Call reset(seed=...) to build a turntable.")
        return self._plan

    @property
    def yaw(self) -> float:
        """Degrees in [0, 360): 0 looks at the front, "to the left" adds."""
        return self._yaw

    @property
    def pose(self) -> npt.NDArray[np.float64]:
        """float64, shape (4,): 0, 0, 0 and the yaw, as episodes hold it."""
        return np.array([0.0, 0.0, 0.0, self._yaw])

    @property
    def renderer(self) -> str:
        """What OpenGL renders with; another one may differ in single pixel values."""
        return self._stage.renderer

    def set_yaw(self, yaw: float) -> Frame:
        """Look from elsewhere; equal yaws of one turntable give equal frames, pixel for pixel.

        Raises:
            ConfigError: not a finite number.
            SimulatorError: there was no reset yet.
        """
        degrees = np.asarray(yaw)
        if degrees.ndim or degrees.dtype.kind not in "iuf" or not np.isfinite(degrees):
            raise ConfigError(f"Expected a yaw as a finite number of degrees, got {yaw!r}.")
        self._require_reset()
        self._yaw = float(degrees) % 360.0
        return self._look()

    def visible(self) -> tuple[str, ...]:
        """The name of the object."""
        return (self.plan.exhibit,)

    def mask(self) -> npt.NDArray[np.bool_]:
        """Which pixels of the current frame show the object: bool, shape (height, width)."""
        self._require_reset()
        return self._stage.bodies(self._view()) == self._stage.model.body("exhibit").id

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Build a turntable and look at it; see the class for `seed` and `options`."""
        super().reset(seed=seed)
        options = dict(options or {})
        unknown = set(options) - {"table", "yaw"}
        if unknown:
            raise ConfigError(f'Expected reset options "table" and "yaw", got {sorted(unknown)}.')
        table = options.get("table", seed)
        if table is None:
            table = int(self.np_random.integers(_SEED_LIMIT))
        plan = draw_table(self.split, int(table))
        if self._plan is None or plan.number != self._plan.number:
            self._build(plan)
            self._plan = plan
        self._steps = 0
        yaw = options.get("yaw")
        frame = self.set_yaw(draw_degrees(self.split, YAW_PERIOD, self.np_random) if yaw is None else yaw)
        return frame, self._info(text=None)

    def step(self, action: Any) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Do one action.

        Raises:
            ActionError: the id is not in 0..6.
            SimulatorError: there was no reset yet.
        """
        self._require_reset()
        known = action_from_id(action, ROTATE_WORDS)
        assert known.id is not None
        self._steps += 1
        frame = self.set_yaw(self._yaw + YAW_STEPS[known.id])
        truncated = self.horizon is not None and self._steps >= self.horizon
        return frame, 0.0, False, truncated, self._info(text=known.text)

    def render(self) -> Frame | None:  # type: ignore[override]
        """The current frame, where render_mode is "rgb_array"."""
        return None if self.render_mode is None or self._frame is None else self._frame.copy()

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._stage.close()

    def _require_reset(self) -> None:
        if self._plan is None:
            raise SimulatorError("Expected reset() before the first step(). Call reset(seed=...) to build a turntable.")

    def _look(self) -> Frame:
        frame: Frame = self._stage.look(self._view())
        self._frame = frame
        return frame.copy()

    def _view(self) -> View:
        plan = self.plan
        return View(target=(0.0, 0.0, REACH), distance=plan.distance, pitch=plan.pitch, yaw=self._yaw)

    def _build(self, plan: TablePlan) -> None:
        height, width, _ = self.observation_space.shape  # type: ignore[misc]
        scene = self._drawer.Blueprint()
        behind = (plan.sky, plan.ground)
        scene.prepare(height=height, width=width, behind=behind, field_of_view=FIELD_OF_VIEW, shadow_reach=_SHADOW_REACH)
        scene.add_sun(azimuth=plan.lamp, height=_LAMP_HEIGHT, brightness=plan.brightness)
        world = scene.spec.worldbody
        table = world.add_body(name="table", pos=[0.0, 0.0, _TABLE_HEIGHT / 2])
        top = paint("plain", plan.table, plan.table, grain=0.0)
        scene.add_part(table, Part(mesh=cylinder(_TABLE_RADIUS, _TABLE_HEIGHT), texture=top))
        exhibit = world.add_body(name="exhibit", pos=[0.0, 0.0, _TABLE_HEIGHT])
        for part in build_exhibit(plan.exhibit, plan.paint, plan.hue):
            scene.add_part(exhibit, part)
        self._stage.show(scene.compile())

    def _info(self, *, text: str | None) -> dict[str, Any]:
        plan = self.plan
        return {"action_text": text, "yaw": self._yaw, "pose": self.pose, "object": plan.exhibit, "table": plan.number}

"""`Doom`: rooms of a real game, which no checkpoint was trained on, with the action words of the navigation worlds."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from PIL import Image

from bagel_world.actions import NAVIGATE_WORDS, action_from_id
from bagel_world.errors import ConfigError, MissingExtraError, SimulatorError
from bagel_world.sims.dungeon_plan import UNITS_PER_METER, DungeonPlan, read_dungeon
from bagel_world.sims.house import TURN_STEP, step_ahead
from bagel_world.sims.opening import RENDER_MODES, check_settings
from bagel_world.types import Frame

SCENARIO = "my_way_home"
"""The map: eight rooms with walls of their own and the corridors between them, all on one level."""

_DRAWN = (480, 640)
_STRETCH = 1.2  # the engine draws heights that much too tall, as the game did for screens of tall pixels
_FIELD_OF_VIEW = 85  # across 4:3, in whole degrees; a square cut from the middle sees 60, as in a house
_SETTLING = 16  # tics until the weapon is up and the field of view has stopped changing
_RISING = 4  # tics until a player who was put somewhere has its eyes at their height again
_ANGLES = 65536
_ARMS_LENGTH = 1.5
_OPEN_VIEW = 2.5
_DRAWS = 1_000


class Doom(gym.Env[Frame, np.int64]):
    """The rooms of ViZDoom's "my way home", seen through the eyes of an agent that walks in them.

    It is used as `House` is: actions are `Discrete(4)` with `action_words` "Move forward" (0.5 m; not at all where something
    is in the way), "Look left" (+30 degrees), "Look right" (-30 degrees) and "Stay", and every action ends at rest.
    Observations are uint8 frames (height, width, 3). Rewards are 0 and no episode ends by itself, except after `horizon`
    steps where one is given. Distances are in meters of 32 map units. Nothing in the map moves: a frame depends on the pose
    alone, and is drawn from the nearest whole map unit (3 cm), because the engine puts its player on no other places.

    There is one map. `reset(seed=s)` draws a start pose in it; `options` may hold `"pose"` (x, y, z in meters and yaw in
    degrees).

    Args:
        size: (height, width) of the frames in pixels.
        horizon: truncate after this many steps; None never does.
        render_mode: "rgb_array" or None.

    Raises:
        MissingExtraError: ViZDoom is not installed.
        SimulatorError: its engine does not start.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012 (Gymnasium reads a plain dict here)
    action_words = NAVIGATE_WORDS

    def __init__(self, *, size: tuple[int, int] = (64, 64), horizon: int | None = None, render_mode: str | None = None) -> None:
        height, width = check_settings(size, horizon, render_mode)
        self.horizon = horizon
        self.render_mode = render_mode
        self.action_space = spaces.Discrete(len(NAVIGATE_WORDS))
        self.observation_space = spaces.Box(0, 255, (height, width, 3), np.uint8)
        self._size = (height, width)
        self._game, folder = _open_game()
        self._end = weakref.finalize(self, _end, self._game, folder)
        self._plan = read_dungeon(SCENARIO, self._game.get_state().sectors)
        self._steps = 0
        self._position = (0.0, 0.0)
        self._yaw = 0.0
        self._frame: Frame | None = None

    @property
    def plan(self) -> DungeonPlan:
        """The floor of the map."""
        return self._plan

    @property
    def pose(self) -> npt.NDArray[np.float64]:
        """float64, shape (4,): x, y, z in meters and yaw in degrees [0, 360), counter-clockwise seen from above."""
        return np.array([self._position[0], 0.0, self._position[1], self._yaw])

    def set_pose(self, pose: npt.ArrayLike) -> Frame:
        """Put the agent somewhere and look; equal poses give equal frames, pixel for pixel.

        Args:
            pose: x, y, z, yaw as `pose` gives them; y is 0.

        Raises:
            ConfigError: not four finite numbers, or not a place where an agent can stand.
        """
        values = np.asarray(pose, dtype=np.float64)
        if values.shape != (4,) or not np.isfinite(values).all():
            raise ConfigError(f"Expected a pose of four finite numbers (x, y, z, yaw), got {pose!r}.")
        x, _, z, yaw = (float(each) for each in values)
        if not self._plan.is_free(x, z):
            raise ConfigError(f"Expected a free place in a room, got x={x:.3f}, z={z:.3f}, which is in a wall or outside.")
        self._position, self._yaw = (x, z), yaw % 360.0
        return self._look()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Stand somewhere in the map; see the class for `seed` and `options`."""
        super().reset(seed=seed)
        options = dict(options or {})
        unknown = set(options) - {"pose"}
        if unknown:
            raise ConfigError(f'Expected the reset option "pose", got {sorted(unknown)}.')
        self._steps = 0
        pose = options.get("pose")
        frame = self.set_pose(draw_start(self._plan, self.np_random) if pose is None else pose)
        return frame, self._info(moved=True, text=None)

    def step(self, action: Any) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Do one action.

        Raises:
            ActionError: the id is not in 0..3.
            SimulatorError: there was no reset yet.
        """
        if self._frame is None:
            raise SimulatorError("Expected reset() before the first step(). Call reset(seed=...) to stand somewhere.")
        known = action_from_id(action, NAVIGATE_WORDS)
        self._steps += 1
        moved = True
        if known.id == 0:
            ahead = step_ahead(self._position, self._yaw)
            moved = self._plan.is_free(*ahead)
            self._position = ahead if moved else self._position
        elif known.id in (1, 2):
            self._yaw = (self._yaw + (TURN_STEP if known.id == 1 else -TURN_STEP)) % 360.0
        frame = self._look()
        truncated = self.horizon is not None and self._steps >= self.horizon
        return frame, 0.0, False, truncated, self._info(moved=moved, text=known.text)

    def render(self) -> Frame | None:  # type: ignore[override]
        """The current frame, where render_mode is "rgb_array"."""
        return None if self.render_mode is None or self._frame is None else self._frame.copy()

    def close(self) -> None:
        """End the engine."""
        self._end()

    def _look(self) -> Frame:
        """Have the engine put its player here, turn it, and cut a picture of the right shape from the middle of its own."""
        x, z = (round(each * UNITS_PER_METER) for each in self._position)
        self._game.send_game_command(f"warp {x} {-z}")
        wanted = round(self._yaw * _ANGLES / 360)
        turn = (wanted - round(self._angle() * _ANGLES / 360) + _ANGLES // 2) % _ANGLES - _ANGLES // 2
        self._game.make_action([-turn * 360 / _ANGLES], 1)  # to the right is positive there
        self._game.make_action([0.0], _RISING)
        self._frame = _cut(self._game.get_state().screen_buffer, *self._size)
        return self._frame.copy()

    def _angle(self) -> float:
        return float(self._game.get_state().game_variables[0])

    def _info(self, *, moved: bool, text: str | None) -> dict[str, Any]:
        return {"action_text": text, "blocked": not moved, "pose": self.pose}


def draw_start(plan: DungeonPlan, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A free pose that does not face a wall at arm's length; whole degrees.

    Args:
        plan: of the map.
        rng: decides.
    """
    (low_x, low_z), (high_x, high_z) = plan.bounds
    for _ in range(_DRAWS):
        x, z = float(rng.uniform(low_x, high_x)), float(rng.uniform(low_z, high_z))
        yaw = float(rng.integers(360))
        if not plan.is_free(x, z):
            continue
        ahead, beside = plan.sight(x, z, yaw), min(plan.sight(x, z, yaw - 20.0), plan.sight(x, z, yaw + 20.0))
        if ahead > _OPEN_VIEW and beside > _ARMS_LENGTH:
            return np.array([x, 0.0, z, yaw])
    raise SimulatorError(f"The map {plan.name} has no free place to start from. Use another seed.")


def _open_game() -> tuple[Any, Path]:
    """A running engine without anything on its screen but the rooms, and the folder where it keeps its settings."""
    try:
        vizdoom = importlib.import_module("vizdoom")
    except ModuleNotFoundError as error:
        if error.name == "vizdoom":
            raise MissingExtraError("vizdoom", "doom", "The Doom simulator") from error
        raise
    game, folder = vizdoom.DoomGame(), Path(tempfile.mkdtemp(prefix="bagel-doom-"))
    game.set_doom_config_path(str(folder / "engine.ini"))
    game.set_doom_scenario_path(str(Path(vizdoom.scenarios_path) / f"{SCENARIO}.wad"))
    game.set_doom_map("map01")
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_window_visible(False)
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_640X480)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    for part in ("hud", "weapon", "crosshair", "decals", "particles", "effects_sprites", "messages", "corpses", "screen_flashes"):
        getattr(game, f"set_render_{part}")(False)
    game.set_sectors_info_enabled(True)
    game.set_available_buttons([vizdoom.Button.TURN_LEFT_RIGHT_DELTA])
    game.set_available_game_variables([vizdoom.GameVariable.ANGLE])
    game.set_episode_timeout(0)
    game.set_episode_start_time(_SETTLING)
    game.set_seed(0)
    try:
        game.init()
    except Exception as error:  # the engine is a program of its own, with an exception type for each way to fail
        _end(game, folder)
        raise SimulatorError(f"The Doom engine does not start ({type(error).__name__}: {error}).") from error
    game.send_game_command("remove GreenArmor")  # it blinks, and touching it would end the engine's episode
    game.send_game_command(f"fov {_FIELD_OF_VIEW}")
    game.make_action([0.0], _SETTLING)
    return game, folder


def _end(game: Any, folder: Path) -> None:
    game.close()  # writes its settings a last time
    shutil.rmtree(folder, ignore_errors=True)


def _cut(picture: npt.NDArray[np.uint8], height: int, width: int) -> Frame:
    """The middle of a picture in the shape of a frame and true proportions, in full height where that fits."""
    full, across = _DRAWN
    scale = min(full / (_STRETCH * height), across / width)
    rows, columns = round(_STRETCH * height * scale), round(width * scale)
    top, left = (full - rows) // 2, (across - columns) // 2
    part = np.ascontiguousarray(picture[top : top + rows, left : left + columns])
    return np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.BOX))

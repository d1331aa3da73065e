"""WorldVectorEnv: many walks through one world, stepped in one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from bagel_world.envs.dynamics import Dynamics
from bagel_world.envs.rendering import RENDER_FPS, RENDER_MODES, Renderer
from bagel_world.envs.session import Session
from bagel_world.envs.starts import Start
from bagel_world.errors import ActionError, ConfigError
from bagel_world.types import Frame, Transition
from bagel_world.world.protocol import World
from bagel_world.world.scoring import Goal, Scorer

Flags = npt.NDArray[np.bool_]
Rewards = npt.NDArray[np.float64]


class WorldVectorEnv(gym.vector.VectorEnv[Frame, Any, npt.NDArray[Any]]):
    """`num_envs` environments over one world: one call of the world per step for all of them.

    Frame by frame it equals `gymnasium.vector.SyncVectorEnv` over as many `WorldEnv`: sub-environment i seeds with seed + i,
    infos have the same layout, and all three autoreset modes work the same way.

    Args:
        world: imagines the frames.
        num_envs: how many walks.
        autoreset_mode: `AutoresetMode` or its value: "NextStep" (default), "SameStep" or "Disabled".
        render_mode, reward, starts, reset_options, **settings: as in `WorldEnv`.

    Raises:
        ConfigError: a setting, mode or number of environments that does not fit.
    """

    def __init__(
        self,
        world: World,
        num_envs: int = 1,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        reward: str | Scorer | Callable[[Frame, Goal], float] | None = None,
        starts: Sequence[Any] | None = None,
        reset_options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise ConfigError(f"Expected num_envs of at least 1, got {num_envs!r}.")
        self.autoreset_mode = _read_mode(autoreset_mode)
        self._renderer = Renderer(render_mode)
        self.dynamics = Dynamics(world, reward=reward, starts=starts, reset_options=reset_options, **settings)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.metadata = {
            "render_modes": list(RENDER_MODES),
            "render_fps": RENDER_FPS,
            "autoreset_mode": self.autoreset_mode,
        }
        self.single_observation_space = self.dynamics.observation_space
        self.single_action_space = self.dynamics.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._sessions: list[Session | None] = [None] * num_envs
        self._generators: list[np.random.Generator | None] = [None] * num_envs

    @property
    def world(self) -> World:
        """The world all sub-environments step through."""
        return self.dynamics.world

    @property
    def action_words(self) -> tuple[str, ...]:
        """The words of the discrete actions; the id is the place in the tuple."""
        return self.dynamics.action_words

    def reset(  # type: ignore[override]  (a seed per sub-environment is allowed, as in SyncVectorEnv)
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Frame, dict[str, Any]]:
        """Begin an episode in every sub-environment, or in those that `options["reset_mask"]` names.

        Args:
            seed: sub-environment i seeds with seed + i; or one seed per sub-environment; None goes on with the generators.
            options: as in `WorldEnv`, for all of them, and `reset_mask` (bool, shape (num_envs,)). The caller's dictionary is
                left as it is.

        Raises:
            ConfigError, ImageError, ActionError, StateError: options that do not fit; the running episodes stay as they are.
        """
        seeds = self._seeds(seed)
        rest = dict(options or {})
        mask = self._read_mask(rest.pop("reset_mask", None))
        start = self.dynamics.read_start(rest)
        infos: dict[str, Any] = {}
        for place in np.flatnonzero(mask).tolist():
            infos = self._add_info(infos, self._begin(place, start, seeds[place]), place)
        frames = self._frames()
        self._renderer.announce(frames, "")
        return np.stack(frames), infos

    def step(self, actions: Any) -> tuple[Frame, Rewards, Flags, Flags, dict[str, Any]]:
        """One step of every sub-environment, in one batch.

        Args:
            actions: one per sub-environment: whole numbers of shape (num_envs,), or a sequence of texts.

        Raises:
            ActionError: another number of actions, or in discrete mode an unknown id; nothing has moved then.
            gymnasium.error.ResetNeeded: before the first reset, or in mode "Disabled" an episode that is over.
        """
        actions = self._read_actions(actions)
        sessions = [self._session(place) for place in range(self.num_envs)]
        over = [self.autoreset_mode is AutoresetMode.NEXT_STEP and session.over for session in sessions]
        moving = [place for place in range(self.num_envs) if not over[place]]
        steps: dict[int, Transition] = {}
        advanced = self.dynamics.advance([sessions[place] for place in moving], [actions[place] for place in moving])
        for place, (session, transition) in zip(moving, advanced, strict=True):
            self._sessions[place], steps[place] = session, transition
        infos: dict[str, Any] = {}
        for place in range(self.num_envs):
            infos = self._close_one(place, steps.get(place), infos)
        frames = self._frames()
        self._renderer.announce(frames, "")
        return (
            np.stack(frames),
            np.array([steps[place].reward or 0.0 if place in steps else 0.0 for place in range(self.num_envs)], np.float64),
            np.array([place in steps and steps[place].terminated for place in range(self.num_envs)], np.bool_),
            np.array([place in steps and steps[place].truncated for place in range(self.num_envs)], np.bool_),
            infos,
        )

    def render(self) -> tuple[Any, ...] | None:
        """A tuple of one array or text per sub-environment; mode "human" shows them in a grid and gives None."""
        return self._renderer.render(self._frames(), single=False)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window, if there is one; the world lives on."""
        self._renderer.close()

    def _close_one(self, place: int, transition: Transition | None, infos: dict[str, Any]) -> dict[str, Any]:
        """The infos with those of one sub-environment; begins its next episode where the autoreset mode says so."""
        if transition is None:
            return self._add_info(infos, self._begin(place, self.dynamics.read_start(None)), place)
        over = transition.terminated or transition.truncated
        if over and self.autoreset_mode is AutoresetMode.SAME_STEP:
            final = {"final_obs": transition.frame, "final_info": dict(transition.info)}
            infos = self._add_info(infos, final, place)
            return self._add_info(infos, self._begin(place, self.dynamics.read_start(None)), place)
        return self._add_info(infos, dict(transition.info), place)

    def _begin(self, place: int, start: Start, seed: int | None = None) -> dict[str, Any]:
        generator = self._generators[place]
        if seed is not None or generator is None:
            generator, _ = seeding.np_random(seed)
            self._generators[place] = generator
        (session,) = self.dynamics.begin(start, [generator], seeded=seed is not None)
        self._sessions[place] = session
        return self.dynamics.info(session)

    def _session(self, place: int) -> Session:
        session = self._sessions[place]
        if session is None:
            raise ResetNeeded("Expected reset() before anything else, got no episodes yet. Call reset() first.")
        return session

    def _frames(self) -> list[Frame]:
        return [self._session(place).frame for place in range(self.num_envs)]

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + place for place in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ConfigError(f"Expected one seed per sub-environment ({self.num_envs}), got {len(seed)}.")
        return list(seed)

    def _read_mask(self, mask: Any) -> Flags:
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,) or not mask.any():
            raise ConfigError(f"Expected reset_mask as bool, shape ({self.num_envs},), with at least one True, got {mask!r:.80}.")
        return mask

    def _read_actions(self, actions: Any) -> list[Any]:
        try:
            listed = list(actions) if not isinstance(actions, str) else None
        except TypeError:
            listed = None
        if listed is None or len(listed) != self.num_envs:
            raise ActionError(f"Expected {self.num_envs} actions, one per sub-environment, got {actions!r:.80}.")
        return listed


def _read_mode(mode: str | AutoresetMode) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        known = [known.value for known in AutoresetMode]
        raise ConfigError(f"Expected autoreset_mode as one of {known}, got {mode!r}.") from error

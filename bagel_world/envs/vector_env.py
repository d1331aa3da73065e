"""WorldVectorEnv: many walks through one world, stepped in one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from bagel_world.envs.dynamics import Dynamics, copy_generator
from bagel_world.envs.rendering import RENDER_FPS, RENDER_MODES, Renderer
from bagel_world.envs.session import Session
from bagel_world.envs.starts import Start, options_of
from bagel_world.envs.vector_arguments import (
    read_actions,
    read_branch_seeds,
    read_mask,
    read_mode,
    read_place,
    read_reseed,
    read_rows,
    read_seeds,
)
from bagel_world.envs.vector_state import join_states, split_state
from bagel_world.errors import ConfigError, StateError
from bagel_world.types import Frame, Transition
from bagel_world.world.protocol import World
from bagel_world.world.scoring import Goal, Scorer

Flags = npt.NDArray[np.bool_]
Rewards = npt.NDArray[np.float64]


class Beginning(NamedTuple):
    """A walk that may begin: its session, the generator of its noise, and what seeded that."""

    session: Session
    generator: np.random.Generator
    seed: int


class WorldVectorEnv(gym.vector.VectorEnv[Frame, Any, npt.NDArray[Any]]):
    """`num_envs` environments over one world: one call of the world per step for all of them.

    Frame by frame it equals `gymnasium.vector.SyncVectorEnv` over as many `WorldEnv`, up to float tolerance: sub-environment i
    seeds with seed + i, infos have the same layout, and all three autoreset modes work the same way. States of single walks go
    from a `WorldEnv` to a place here and back.

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
        self.autoreset_mode = read_mode(autoreset_mode)
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
        self._seeds = [-1] * num_envs

    @property
    def world(self) -> World:
        """The world all sub-environments step through."""
        return self.dynamics.world

    @property
    def action_words(self) -> tuple[str, ...]:
        """The words of the discrete actions; the id is the place in the tuple."""
        return self.dynamics.action_words

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]  (one per sub-environment, as in SyncVectorEnv)
        """The seed of every sub-environment's generator; -1 where there was no reset yet."""
        return tuple(self._seeds)

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
        seeds = read_seeds(seed, self.num_envs)
        rest = options_of(options)
        mask = read_mask(rest.pop("reset_mask", None), self.num_envs)
        begun = self._begin({place: seeds[place] for place in np.flatnonzero(mask).tolist()}, self.dynamics.read_start(rest))
        self._keep(begun)
        infos: dict[str, Any] = {}
        for place, beginning in begun.items():
            infos = self._add_info(infos, self.dynamics.info(beginning.session), place)
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
        actions = read_actions(actions, self.num_envs)
        sessions = [self._session(place) for place in range(self.num_envs)]
        over = [self.autoreset_mode is AutoresetMode.NEXT_STEP and session.over for session in sessions]
        moving = [place for place in range(self.num_envs) if not over[place]]
        advanced = self.dynamics.advance([sessions[place] for place in moving], [actions[place] for place in moving])
        steps = {place: transition for place, (_, transition) in zip(moving, advanced, strict=True)}
        begun = self._begin_again(steps)
        # From here on nothing can fail: either all walks have moved, or none.
        for place, (session, _) in zip(moving, advanced, strict=True):
            self._sessions[place] = session
        self._keep(begun)
        infos = self._infos(steps, begun)
        frames = self._frames()
        self._renderer.announce(frames, "")
        return (
            np.stack(frames),
            np.array([steps[place].reward or 0.0 if place in steps else 0.0 for place in range(self.num_envs)], np.float64),
            np.array([place in steps and steps[place].terminated for place in range(self.num_envs)], np.bool_),
            np.array([place in steps and steps[place].truncated for place in range(self.num_envs)], np.bool_),
            infos,
        )

    def branch(
        self,
        actions: Sequence[Sequence[Any]] | npt.NDArray[Any],
        *,
        reseed: int | Sequence[int | Sequence[int] | None] | None = None,
    ) -> list[list[Transition]]:
        """The futures of every walk, one step each, all imagined in one batch; no walk moves.

        Args:
            actions: per sub-environment, one per future: an array of shape (num_envs, n), or rows of any length. A walk that is
                over has no futures: its row is empty.
            reseed: draws other futures: one seed for all; or per sub-environment None, a seed, or one seed per future. Without
                it, every future is the one that `step` would show, up to float tolerance.

        Raises:
            ActionError: not one row per sub-environment, or in discrete mode an unknown id.
            StateError: a wrong seed, or another number of seeds than of actions.
            gymnasium.error.ResetNeeded: futures of a walk that is over.
        """
        sessions = [self._session(place) for place in range(self.num_envs)]
        rows, seeds = read_rows(actions, self.num_envs), read_branch_seeds(reseed, self.num_envs)
        return self.dynamics.branch_all(sessions, rows, seeds)

    def get_state(self, place: int | None = None) -> dict[str, Any]:
        """All that the rest of the episodes, and the resets after them, depend on; see `WorldEnv.get_state`.

        Args:
            place: of one sub-environment: its state is that of a single `WorldEnv`. None gives the state of all of them.

        Raises:
            StateError: there is no such place.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if place is not None:
            return self._save(read_place(place, self.num_envs))
        return join_states([self._save(each) for each in range(self.num_envs)], self.autoreset_mode)

    def set_state(
        self, state: Mapping[str, Any] | bytes, *, place: int | None = None, reseed: int | Sequence[int | None] | None = None
    ) -> None:
        """Go on from a saved state: the same actions then show the same frames.

        Args:
            state: from `get_state`, or its bytes.
            place: puts the state of one walk, also one of a `WorldEnv`, into this sub-environment; the others go on as they
                were. None restores all of them.
            reseed: draws other futures. For a place, one seed. For all, sub-environment i takes reseed + i, or one seed (or
                None) per sub-environment.

        Raises:
            StateError: the state does not fit, or a seed is none; all walks stay as they are.
        """
        places = list(range(self.num_envs)) if place is None else [read_place(place, self.num_envs)]
        states = split_state(state, self.num_envs, self.autoreset_mode) if place is None else [state]
        seeds = read_reseed(reseed, len(places))
        restored: list[tuple[Session, np.random.Generator]] = []
        for each, seed in zip(states, seeds, strict=True):
            generator = np.random.default_rng(0)  # its words come from the state
            session = self._checked(self.dynamics.restore(each, generator))
            restored.append((session if seed is None else session.reseeded(seed), generator))
        for each, (session, generator) in zip(places, restored, strict=True):
            self._sessions[each], self._generators[each] = session, generator
        if all(session is not None for session in self._sessions):
            self._renderer.announce(self._frames(), "")

    def render(self) -> tuple[Any, ...] | None:
        """A tuple of one array or text per sub-environment; mode "human" shows them in a grid and gives None."""
        return self._renderer.render(self._frames(), single=False)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window, if there is one; the world lives on."""
        self._renderer.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> WorldVectorEnv:
        """A second environment with its walks at the same places: weights and contexts are shared, never copied."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        memo[id(self)] = twin
        twin.single_observation_space = self.dynamics.observation_space
        twin.single_action_space = self.dynamics.action_space
        twin.observation_space = batch_space(twin.single_observation_space, self.num_envs)
        twin.action_space = batch_space(twin.single_action_space, self.num_envs)
        twin._renderer = Renderer(self.render_mode)
        twin._sessions, twin._seeds = list(self._sessions), list(self._seeds)
        twin._generators = [None if each is None else copy_generator(each) for each in self._generators]
        return twin

    def _begin_again(self, steps: Mapping[int, Transition]) -> dict[int, Beginning]:
        """The next episodes where the autoreset mode says so, all of them together."""
        again = [place for place in range(self.num_envs) if place not in steps]
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            again = [place for place, step in steps.items() if step.terminated or step.truncated]
        return self._begin(dict.fromkeys(again), self.dynamics.read_start(None)) if again else {}

    def _infos(self, steps: Mapping[int, Transition], begun: Mapping[int, Beginning]) -> dict[str, Any]:
        """The infos of a step."""
        infos: dict[str, Any] = {}
        for place in range(self.num_envs):
            if place in begun and place in steps:
                final = {"final_obs": steps[place].frame, "final_info": dict(steps[place].info)}
                infos = self._add_info(infos, final, place)
            info = self.dynamics.info(begun[place].session) if place in begun else dict(steps[place].info)
            infos = self._add_info(infos, info, place)
        return infos

    def _begin(self, seeds: Mapping[int, int | None], start: Start) -> dict[int, Beginning]:
        """An episode for each of these places, none of them under way yet."""
        generators: dict[int, np.random.Generator] = {}
        numbers: dict[int, int] = {}
        for place, seed in seeds.items():
            known = self._generators[place]
            # On generators of their own, so that episodes that cannot begin leave no trace.
            if seed is None and known is not None:
                generators[place], numbers[place] = copy_generator(known), self._seeds[place]
            else:
                generators[place], numbers[place] = seeding.np_random(seed)
        begun: dict[int, Session] = {}
        for seeded in (True, False):
            places = [place for place, seed in seeds.items() if (seed is not None) == seeded]
            sessions = self.dynamics.begin(start, [generators[place] for place in places], seeded=seeded)
            begun.update(zip(places, map(self._checked, sessions), strict=True))
        return {place: Beginning(begun[place], generators[place], numbers[place]) for place in seeds}

    def _keep(self, begun: Mapping[int, Beginning]) -> None:
        for place, each in begun.items():
            self._sessions[place], self._generators[place], self._seeds[place] = each

    def _checked(self, session: Session) -> Session:
        if session.over and self.autoreset_mode is AutoresetMode.SAME_STEP:
            raise StateError("This walk is over; with autoreset_mode 'SameStep' none ever stands at its end. Reset instead.")
        return session

    def _save(self, place: int) -> dict[str, Any]:
        session, generator = self._session(place), self._generators[place]
        assert generator is not None, "a walk has a generator"
        return self.dynamics.save(session, generator)

    def _session(self, place: int) -> Session:
        session = self._sessions[place]
        if session is None:
            raise ResetNeeded("Expected reset() before anything else, got no episodes yet. Call reset() first.")
        return session

    def _frames(self) -> list[Frame]:
        return [self._session(place).frame for place in range(self.num_envs)]

"""WorldFuncEnv: a world in Gymnasium's functional form (`gymnasium.experimental.functional.FuncEnv`).

The rules of an environment are a function already; this gives it the names that planners written for `FuncEnv` call. States are
`Session` values: keep as many as you like, go on from any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.experimental.functional import FuncEnv

from bagel_world.envs.dynamics import Dynamics
from bagel_world.envs.rewards import reward_of
from bagel_world.envs.session import Session
from bagel_world.types import Frame
from bagel_world.world.protocol import World
from bagel_world.world.scoring import Goal, Scorer


class WorldFuncEnv(FuncEnv[Session, Frame, Any, float, bool, None, Mapping[str, Any]]):
    """The rules of `WorldEnv` as functions of states.

    `params` everywhere are reset options (see `WorldEnv`) and matter to `initial` alone. Randomness is that of the state: a
    generator handed to `transition` draws another future, None the one that the state stands for.

    Args:
        world: imagines the frames.
        reward, starts, reset_options, **settings: as in `WorldEnv`.
    """

    def __init__(
        self,
        world: World,
        *,
        reward: str | Scorer | Callable[[Frame, Goal], float] | None = None,
        starts: Sequence[Any] | None = None,
        reset_options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.dynamics = Dynamics(world, reward=reward, starts=starts, reset_options=reset_options, **settings)
        self.observation_space = self.dynamics.observation_space
        self.action_space = self.dynamics.action_space

    def initial(self, rng: np.random.Generator, params: Mapping[str, Any] | None = None) -> Session:
        """A new walk; which one, and its noise, are drawn from the generator."""
        (session,) = self.dynamics.begin(self.dynamics.read_start(params), [rng], seeded=False)
        return session

    def transition(
        self, state: Session, action: Any, rng: np.random.Generator | None = None, params: Mapping[str, Any] | None = None
    ) -> Session:
        """The walk one step on; `state` stays as it is.

        Raises:
            ActionError: in discrete mode, an unknown id.
            gymnasium.error.ResetNeeded: the walk is over.
        """
        before = state if rng is None else state.reseeded(int(rng.integers(2**63)))
        ((after, _),) = self.dynamics.advance([before], [action])
        return after

    def observation(self, state: Session, rng: Any = None, params: Mapping[str, Any] | None = None) -> Frame:
        """The newest frame, uint8 (height, width, 3)."""
        return state.frame.copy()

    def reward(
        self, state: Session, action: Any, next_state: Session, rng: Any = None, params: Mapping[str, Any] | None = None
    ) -> float:
        """What the step from `state` to `next_state` pays."""
        return reward_of(state, next_state, self.dynamics.config)

    def terminal(self, state: Session, rng: Any = None, params: Mapping[str, Any] | None = None) -> bool:
        """Whether the goal is reached; a walk that has taken `horizon` steps is over too, but not terminal."""
        return bool(self.dynamics.info(state)["success"])

    def state_info(self, state: Session, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The info of a reset to this state."""
        return self.dynamics.info(state)

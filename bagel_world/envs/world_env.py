"""WorldEnv: one walk through a world as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding

from bagel_world.envs.dynamics import Dynamics, copy_generator
from bagel_world.envs.rendering import RENDER_FPS, RENDER_MODES, Renderer
from bagel_world.envs.session import Session
from bagel_world.types import Frame, Transition
from bagel_world.world.protocol import World
from bagel_world.world.scoring import Goal, Scorer


class WorldEnv(gym.Env[Frame, Any]):
    """A world one can step into.

    ## Actions
    With `action_mode="discrete"`, an id of one of `action_words`; any other id raises `ActionError`. With `action_mode="text"`,
    any words; text that cannot be an action leaves the frame as it is, calls no model, counts as a step, and is explained in
    `info["action_error"]`. With `action_mode="either"`, (0, id) or (1, text), or a bare id or text.

    ## Observations
    The newest frame: uint8, shape (height, width, 3), RGB.

    ## Rewards and ends
    Without a goal the reward is 0. With one it is the progress towards it: of the visual similarity to a goal picture, or of the
    checkpoint's own P(yes) to a goal in words. `terminated` is true once the goal is reached, `truncated` after `horizon` steps;
    the environment counts by itself, no TimeLimit is needed.

    ## Reset options
    `image` (array, PIL image or path: begin here), `history` ({"frames": n + 1 images, "actions": n words or ids}, or an
    `Episode`), `state` (from `get_state`, or its bytes), `goal_image`, `goal_text`, `prompt`. By default an episode begins with
    the first frames of one of the world's starting episodes, picked by the seed.

    ## Info
    action_text, action_valid, action_error, success, goal_distance, reward_source, context_frames, context_tokens,
    dropped_frames, model_calls (since the reset); with `think=True` thought; with `consistency=True` action_read (which action
    the world reads from the two frames), agreement (the probability that it gives to the one that was done), redraws (how often
    the frame was drawn again) and draw (which of the draws was kept, 0 being the first).

    Args:
        world: imagines the frames; may be shared by any number of environments.
        render_mode: "rgb_array", "human" or "ansi".
        reward: "none", "goal_image", "judge", "reach", "random", a `Scorer`, or a function (frame, goal) -> float, 1 for "there";
            None takes "goal_image" for episodes with a goal picture, else "judge" for those with a goal in words where the world
            can write, else "none".
        starts: episodes or images that a reset picks from; None takes those of the world.
        reset_options: defaults of `reset(options=...)`.
        **settings: fields of `EnvConfig`: action_mode ("discrete"), horizon (64), start_frames (2), think (False),
            progress (True), success_distance (None: the scorer's own), consistency (False), consistency_redraws (0).

    Raises:
        ConfigError: a setting, render mode or reset option that does not fit.
        UnknownNameError: no scorer of that name.
        CapabilityError: a judge, thoughts or a self-check that this world does not offer.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": RENDER_FPS}  # noqa: RUF012 (Gymnasium's own declaration)

    def __init__(
        self,
        world: World,
        *,
        render_mode: str | None = None,
        reward: str | Scorer | Callable[[Frame, Goal], float] | None = None,
        starts: Sequence[Any] | None = None,
        reset_options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self._renderer = Renderer(render_mode)
        self.dynamics = Dynamics(world, reward=reward, starts=starts, reset_options=reset_options, **settings)
        self.render_mode = render_mode
        self.observation_space = self.dynamics.observation_space
        self.action_space = self.dynamics.action_space
        self._session: Session | None = None

    @property
    def world(self) -> World:
        """The world this environment steps through."""
        return self.dynamics.world

    @property
    def action_words(self) -> tuple[str, ...]:
        """The words of the discrete actions; the id is the place in the tuple."""
        return self.dynamics.action_words

    @property
    def session(self) -> Session:
        """The walk as it stands: a value.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if self._session is None:
            raise ResetNeeded("Expected reset() before anything else, got no episode yet. Call reset() first.")
        return self._session

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: decides the starting episode and all noise from here on, later resets without a seed included.
            options: see the class.

        Raises:
            ConfigError, ImageError, ActionError, StateError: options that do not fit; the running episode stays as it is.
        """
        start = self.dynamics.read_start(options)
        # On a generator of its own, so that an episode that cannot begin leaves no trace.
        generator = copy_generator(self.np_random) if seed is None else seeding.np_random(seed)[0]
        (session,) = self.dynamics.begin(start, [generator], seeded=seed is not None)
        super().reset(seed=seed)
        self._session, self._np_random = session, generator
        self._renderer.announce([self._session.frame], "")
        return self._session.frame.copy(), self.dynamics.info(self._session)

    def step(self, action: Any) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Do something and see what comes of it.

        Raises:
            ActionError: in discrete mode, an unknown id; the episode stays as it is.
            gymnasium.error.ResetNeeded: before the first reset, or after the end of an episode.
        """
        ((session, transition),) = self.dynamics.advance([self.session], [action])
        self._session = session
        self._renderer.announce([session.frame], transition.action.text)
        return (transition.frame, transition.reward or 0.0, transition.terminated, transition.truncated, dict(transition.info))

    def branch(self, actions: Sequence[Any], *, reseed: int | Sequence[int] | None = None) -> list[Transition]:
        """The futures these actions would lead to, one step each, imagined in one batch; the episode itself does not move.

        Args:
            actions: one per future, equal ones allowed.
            reseed: draws other futures, as `set_state` does: one seed for all, or one per action. Without it, every future is
                the one that `step` would show, up to float tolerance (a level of 255 or two, where a model imagines them).

        Raises:
            ActionError: no list, or in discrete mode an unknown id.
            StateError: a wrong seed, or another number of seeds than of actions.
        """
        return self.dynamics.branch(self.session, actions, reseed)

    def get_state(self) -> dict[str, Any]:
        """All that the rest of the episode, and the resets after it, depend on: JSON values and small arrays, never weights.

        `state_to_bytes` makes bytes of it for other processes.
        """
        return self.dynamics.save(self.session, self.np_random)

    def set_state(self, state: Mapping[str, Any] | bytes, reseed: int | None = None) -> None:
        """Go on from a saved state: the same actions then show the same frames.

        Args:
            state: from `get_state`, or its bytes.
            reseed: a whole number that draws another future; None replays the saved one.

        Raises:
            StateError: the state does not fit this world; the running episode stays as it is.
        """
        if reseed is not None:
            Session.check_seed(reseed)
        session = self.dynamics.restore(state, self.np_random)
        self._session = session if reseed is None else session.reseeded(reseed)
        self._renderer.announce([self._session.frame], "")

    def render(self) -> Any:
        """The newest frame: an array ("rgb_array"), colored text ("ansi"), or on the screen ("human")."""
        return self._renderer.render([self.session.frame], single=True)

    def close(self) -> None:
        """Close the window, if there is one; the world lives on."""
        self._renderer.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> WorldEnv:
        """A second environment at the same place in the same world: weights and contexts are shared, never copied."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        memo[id(self)] = twin
        twin.observation_space = self.dynamics.observation_space
        twin.action_space = self.dynamics.action_space
        twin._renderer = Renderer(self.render_mode)
        twin._np_random = None if self._np_random is None else copy_generator(self._np_random)
        return twin

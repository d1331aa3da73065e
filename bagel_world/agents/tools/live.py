"""LiveWalk: the one walk of a session that really happens, in the world itself or in somebody's environment."""

from __future__ import annotations

from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import TimeLimit

from bagel_world.agents.body import Body, success_of
from bagel_world.agents.imagination import Budget, Imagination, checked_seed
from bagel_world.agents.tools.place import Place
from bagel_world.errors import StateError
from bagel_world.images import fit_image
from bagel_world.types import Action
from bagel_world.world.protocol import Context, World
from bagel_world.world.scoring import Goal, RandomScorer, Scorer

START_FRAMES = 2
"""Frames of a starting episode that a walk begins with."""


class LiveWalk:
    """A walk that goes on, back, and begins again; it begins when it is made.

    Args:
        world: imagines the frames, or looks ahead for the environment.
        body: the environment that actions happen in; None lets them happen in the world itself.
        undo: most steps that can be taken back.
        seed: decides where the walk begins and all noise.
    """

    def __init__(self, world: World, body: Body | None, *, undo: int, seed: int) -> None:
        self.world = world
        self._body = body
        self._past: deque[Place] = deque(maxlen=undo)
        self._place: Place | None = None
        self._picture: Context | None = None
        self._closed = False
        self._seed = checked_seed(seed)
        self.reset()

    @property
    def place(self) -> Place:
        """Where the walk is: a value.

        Raises:
            StateError: it has not begun.
        """
        if self._place is None:
            raise StateError("Nothing has been seen yet. Begin a walk: observe with a picture file and begin=true.")
        return self._place

    @property
    def in_environment(self) -> bool:
        """Whether actions happen in somebody's environment rather than in the world itself."""
        return self._body is not None

    @property
    def actions(self) -> tuple[Action, ...]:
        """What can be done by name; other words may work too where the environment takes any."""
        own = () if self._body is None else self._body.actions
        return own or tuple(Action(text=word, id=place) for place, word in enumerate(self.world.action_words))

    @property
    def seed(self) -> int:
        """What decided where the walk began."""
        return self._seed

    @property
    def steps_back(self) -> int:
        """How many steps can be taken back."""
        return len(self._past)

    def begin(self, frame: Any) -> Place:
        """Begin anew at this picture.

        Raises:
            StateError: the walk is closed, or in an environment, which shows its own pictures.
        """
        self._check_open()
        if self._body is not None:
            raise StateError("This walk is in an environment that shows its own pictures. Look at pictures with begin=false.")
        self._picture = self.world.observe(fit_image(frame, self.world.frame_size))
        return self._start(self._picture)

    def reset(self, seed: int | None = None) -> Place | None:
        """Begin again.

        Args:
            seed: begins elsewhere; None begins as the last time, be that at a seed's start or at a picture.

        Returns:
            Where the walk begins; None where the world carries no starts and waits for a picture.

        Raises:
            StateError: the walk is closed.
        """
        self._check_open()
        if seed is None and self._picture is not None:
            return self._start(self._picture)
        seed = self._seed if seed is None else checked_seed(seed)
        context = self._beginning(seed) if self._body is None else self.world.observe(self._body.begin(seed=seed))
        self._seed, self._picture = seed, None
        if context is not None:
            return self._start(context)
        self._past.clear()
        self._place = None
        return None

    def commit(self, action: Action) -> Place:
        """Do something, and be where it leads.

        Raises:
            ActionError: the environment has no such action; nothing has moved.
            StateError: the episode is over, or the walk is closed.
        """
        self._check_open()
        place = self.place
        if place.over:
            raise StateError("The episode is over. Reset to begin again, or undo to go back.")
        after = self._dream(place, action) if self._body is None else _act(self._body, place, action)
        self._past.append(place)
        self._place = after
        return after

    def undo(self, steps: int) -> Place:
        """Go back to where the walk was.

        Raises:
            StateError: there were not so many steps, the environment cannot go back, or the walk is closed; nothing has moved.
        """
        self._check_open()
        if not 1 <= steps <= len(self._past):
            raise StateError(f"{len(self._past)} steps can be taken back, got {steps}. Take back fewer, or reset.")
        place = self._past[-steps]
        if self._body is not None:
            _go_back(self._body.env, place)
        for _ in range(steps):
            self._past.pop()
        self._place = place
        return place

    def tree(self, goal: Goal, scorer: Scorer, budget: Budget | None = None) -> Imagination:
        """The futures that begin at the present; growing them leaves the walk where it is."""
        place = self.place
        return Imagination(
            self.world,
            place.context,
            goal,
            scorer=scorer,
            actions=self.actions,
            budget=budget,
            seed=self._seed,
            step=place.step,
        )

    def close(self) -> None:
        """Close the environment, where there is one; nothing moves from here on."""
        self._closed = True
        if self._body is not None:
            self._body.env.close()

    def get_state(self) -> dict[str, Any]:
        """The walk as JSON values and arrays."""
        place = self.place
        return {
            "seed": self._seed,
            "step": place.step,
            "over": place.over,
            "context": place.context.get_state(),
            "env": None if self._body is None else _state_of(self._body.env),
        }

    def _check_open(self) -> None:
        if self._closed:
            raise StateError("This walk is closed. Make a new session to go on.")

    def _dream(self, place: Place, action: Action) -> Place:
        tree = self.tree(Goal(), RandomScorer())
        (node,) = tree.grow([(tree.root, action, 0)])  # as in imagination, so that what was imagined is what comes
        return Place(context=node.context, step=place.step + 1, action=action)

    def _start(self, context: Context) -> Place:
        self._past.clear()
        self._place = Place(context=context, env_state=None if self._body is None else _state_of(self._body.env))
        return self._place

    def _beginning(self, seed: int) -> Context | None:
        starts, size = self.world.starts, self.world.frame_size
        if not len(starts):
            return None
        episode = starts[int(np.random.default_rng(seed).integers(len(starts)))]
        context = self.world.observe(fit_image(episode.frames[0], size))
        for action, frame in zip(episode.actions, episode.frames[1:START_FRAMES], strict=False):
            context = context.say(action.text).observe(fit_image(frame, size))
        return context


def _act(body: Body, place: Place, action: Action) -> Place:
    sight = body.act(action)
    return Place(
        context=place.context.say(action.text).observe(sight.frame),
        step=place.step + 1,
        action=action,
        reward=sight.reward,
        terminated=sight.terminated,
        truncated=sight.truncated,
        success=success_of(sight.info),
        env_state=_state_of(body.env),
    )


def _keeper_of(env: gym.Env[Any, Any]) -> tuple[Any, list[TimeLimit[Any, Any]]]:
    """The outermost layer of an environment that gives and takes states, or None; and Gymnasium's limits around it."""
    limits: list[TimeLimit[Any, Any]] = []
    layer: Any = env
    while True:
        if callable(getattr(layer, "get_state", None)) and callable(getattr(layer, "set_state", None)):
            return layer, limits
        if isinstance(layer, TimeLimit):
            limits.append(layer)
        if not isinstance(layer, gym.Wrapper):
            return None, limits
        layer = layer.env


def _state_of(env: gym.Env[Any, Any]) -> Any:
    """The environment's state and the steps that its limits have counted, where it can give and take a state."""
    keeper, limits = _keeper_of(env)
    return None if keeper is None else {"state": keeper.get_state(), "elapsed": [each._elapsed_steps for each in limits]}


def _go_back(env: gym.Env[Any, Any], place: Place) -> None:
    if place.env_state is None:
        raise StateError("This environment cannot go back. Reset to begin again.")
    keeper, limits = _keeper_of(env)
    keeper.set_state(place.env_state["state"])
    for limit, elapsed in zip(limits, place.env_state["elapsed"], strict=True):
        limit._elapsed_steps = elapsed

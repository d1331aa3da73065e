"""The rules of an environment as a function: sessions and actions in, sessions and transitions out.

Single environments, vector environments and branches all step here, so that they cannot differ. Nothing here remembers a
session, and one call of the world moves all sessions of a call.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from bagel_world.envs.config import EnvConfig
from bagel_world.envs.rewards import is_success, reward_of, score_sessions
from bagel_world.envs.session import Draw, Session, session_from_state
from bagel_world.envs.spaces import Reading, action_space, observation_space, read_action
from bagel_world.envs.starts import History, Start, begin_context, read_options, read_starts
from bagel_world.envs.state import state_from_bytes
from bagel_world.errors import CapabilityError, ConfigError, StateError
from bagel_world.types import Action, Frame, Thought, Transition
from bagel_world.world.protocol import Context, World
from bagel_world.world.scoring import Goal, GoalImageScorer, Scorer, make_scorer

NO_ACTION = Action(text="")
"""The action of a transition whose text could not be read."""

_START = Reading(action=None)


class Dynamics:
    """How sessions begin and go on.

    Args:
        world: imagines the frames; shared, never changed.
        reward: a scorer, its name, or a function (frame, goal) -> float; None means "goal_image" for sessions with a goal
            picture and "none" for the others.
        starts: episodes or images that a reset picks from; None means the world's own.
        reset_options: defaults of `reset(options=...)`.
        **settings: fields of `EnvConfig`.

    Raises:
        ConfigError: settings or reset options that do not fit.
        UnknownNameError: no scorer of that name.
        CapabilityError: a scorer that no world offers yet, or thoughts of a world that cannot think.
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
        self.world = world
        self.config = EnvConfig.from_settings(settings)
        self.action_words = tuple(world.action_words)
        self._picture_scorer = GoalImageScorer()
        self._scorer = None if reward is None else make_scorer(reward)
        self._by_goal = reward is None
        self._starts = starts
        self._defaults = dict(reset_options or {})
        self._process = os.getpid()
        read_options(None, self._defaults, world)
        if self.config.think and not callable(getattr(world, "think", None)):
            raise CapabilityError(f"think=True needs a world that can think, {type(world).__name__} cannot. Leave think out.")

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """The space of one session's frames."""
        return observation_space(self.world.frame_size)

    @property
    def action_space(self) -> spaces.Space[Any]:
        """The space of one session's actions; a new one per call, as each carries its own generator."""
        return action_space(self.config.action_mode, self.action_words)

    def read_start(self, options: Mapping[str, Any] | None) -> Start:
        """What these reset options ask for, checked before anything changes; see `starts.read_options`."""
        return read_options(options, self._defaults, self.world)

    def begin(self, start: Start, generators: Sequence[np.random.Generator], *, seeded: bool) -> list[Session]:
        """A new session per generator, from which its noise and its starting episode are drawn.

        Args:
            start: what the reset asks for. A state in it restores the generators too, unless they are `seeded`.
            generators: one per session.
            seeded: whether the caller has just seeded the generators; then a state goes on with other noise.
        """
        self._guard_fork()
        if start.state is None:
            return self._scored([self._begin_one(start, generator) for generator in generators])
        if seeded:
            session, _ = self._read_state(start.state)
            return [session.reseeded(_draw_seed(generator)) for generator in generators]
        return [self.restore(start.state, generator) for generator in generators]

    def save(self, session: Session, generator: np.random.Generator) -> dict[str, Any]:
        """The state of a session and of the generator of its later resets."""
        return {**session.get_state(self.world), "generator": generator.bit_generator.state}

    def restore(self, state: Any, generator: np.random.Generator) -> Session:
        """The session of a saved state (a mapping or bytes); the generator goes on from where it was.

        Raises:
            StateError: it does not fit; the generator is as before.
        """
        self._guard_fork()
        session, words = self._read_state(state)
        try:
            generator.bit_generator.state = words
        except (KeyError, TypeError, ValueError) as error:
            kind = type(generator.bit_generator).__name__
            raise StateError(f"Expected a state with the words of a {kind} generator, got others ({error}).") from error
        return session

    def advance(self, sessions: Sequence[Session], actions: Sequence[Any]) -> list[tuple[Session, Transition]]:
        """One step of every session: one call of the world for all of them, none for sessions whose text cannot be read.

        Raises:
            ActionError: in discrete mode, an unknown id; no session has moved then.
            gymnasium.error.ResetNeeded: a session that is over; no session has moved then.
        """
        if any(session.over for session in sessions):
            raise ResetNeeded("This episode is over (terminated or truncated). Call reset() before the next step.")
        readings = [read_action(action, self.config.action_mode, self.action_words) for action in actions]
        self._guard_fork()
        moving = [place for place, reading in enumerate(readings) if reading.action is not None]
        after = [replace(session, step=session.step + 1) for session in sessions]
        thoughts: dict[int, Thought] = {}
        if moving:
            said = [sessions[place].context.say(_words_of(readings[place])) for place in moving]
            moved, thoughts = self._imagine([sessions[place] for place in moving], said, moving)
            for place, session in zip(moving, self._scored(moved), strict=True):
                after[place] = session
        return [
            self._close(before, stepped, reading, thoughts.get(place))
            for place, (before, stepped, reading) in enumerate(zip(sessions, after, readings, strict=True))
        ]

    def branch(self, session: Session, actions: Sequence[Any], reseed: int | Sequence[int] | None = None) -> list[Transition]:
        """One transition per action, all from this session, imagined in one batch; see `WorldEnv.branch`."""
        fork = replace(session, context=session.context.fork())  # one for all: what they share is read once
        futures = [fork for _ in actions]
        if reseed is not None:
            seeds = list(reseed) if isinstance(reseed, Sequence) else [reseed] * len(actions)
            if len(seeds) != len(actions):
                raise StateError(f"Expected one seed for all or one per action ({len(actions)}), got {len(seeds)}.")
            futures = [future.reseeded(seed) for future, seed in zip(futures, seeds, strict=True)]
        return [transition for _, transition in self.advance(futures, actions)]

    def info(self, session: Session, reading: Reading = _START, thought: Thought | None = None) -> dict[str, Any]:
        """The info of a step or a reset: new plain values, the same for the same seeds and actions."""
        info: dict[str, Any] = {
            "action_text": None if reading.action is None else reading.action.text,
            "action_valid": reading.error is None,
            "action_error": reading.error,
            "success": is_success(session, self._scorer_of(session), self.config),
            "goal_distance": session.goal_distance,
            "reward_source": session.reward_source,
            "context_frames": len(session.context.frames),
            "context_tokens": session.context.tokens,
            "dropped_frames": session.context.dropped_frames,
            "model_calls": session.model_calls,
        }
        if self.config.think:
            info["thought"] = None if thought is None else thought.text
        return info

    def _read_state(self, state: Any) -> tuple[Session, Any]:
        if isinstance(state, (bytes, bytearray, memoryview)):
            state = state_from_bytes(bytes(state))
        session = session_from_state(self.world, state)
        scorer = self._scorer_of(session)
        if session.reward_source != (scorer.source if scorer else "none"):
            session = self._scored([replace(session, score=None, reward_source="none")])[0]
        return session, state.get("generator")

    def _begin_one(self, start: Start, generator: np.random.Generator) -> Session:
        # Both are always drawn, so that options do not shift the noise of later episodes.
        noise_seed = _draw_seed(generator)
        place = generator.random()
        history = start.history
        if history is None:
            history = self._beginnings[int(place * len(self._beginnings))]
        return Session(context=begin_context(self.world, history, start.prompt), noise_seed=noise_seed, goal=start.goal)

    @cached_property
    def _beginnings(self) -> tuple[History, ...]:
        starts = self.world.starts if self._starts is None else self._starts
        if not len(starts):
            raise ConfigError("This world carries no starting episodes. Pass reset(options={'image': ...}) or starts=[...].")
        return read_starts(starts, self.world, self.config.start_frames)

    def _imagine(
        self, sessions: Sequence[Session], said: Sequence[Context], places: Sequence[int]
    ) -> tuple[list[Session], dict[int, Thought]]:
        thoughts: dict[int, Thought] = {}
        if self.config.think:
            thinker: Any = self.world
            spoken = thinker.think(said, seeds=[session.seed_for(Draw.THOUGHT) for session in sessions])
            said = [context.say(thought) for context, thought in zip(said, spoken, strict=True)]
            thoughts = dict(zip(places, spoken, strict=True))
        contexts = self.world.advance(said, seeds=[session.seed_for(Draw.FRAME) for session in sessions])
        calls = 2 if self.config.think else 1
        moved = [
            replace(session, context=context, step=session.step + 1, model_calls=session.model_calls + calls)
            for session, context in zip(sessions, contexts, strict=True)
        ]
        return moved, thoughts

    def _close(self, before: Session, after: Session, reading: Reading, thought: Thought | None) -> tuple[Session, Transition]:
        terminated = is_success(after, self._scorer_of(after), self.config)
        truncated = after.step >= self.config.horizon
        session = replace(after, over=terminated or truncated)
        transition = Transition(
            action=reading.action or NO_ACTION,
            frame=session.frame.copy(),
            thought=thought,
            reward=reward_of(before, session, self.config),
            terminated=terminated,
            truncated=truncated,
            info=self.info(session, reading, thought),
        )
        return session, transition

    def _scorer_of(self, session: Session) -> Scorer | None:
        if self._by_goal:
            return self._picture_scorer if session.goal.image is not None else None
        return self._scorer

    def _scored(self, sessions: Sequence[Session]) -> list[Session]:
        return score_sessions(self.world, sessions, [self._scorer_of(session) for session in sessions])

    def _guard_fork(self) -> None:
        """A forked child keeps one torch thread: the thread pool of its parent does not exist there and waiting for it hangs."""
        if os.getpid() != self._process:
            self._process = os.getpid()
            torch = sys.modules.get("torch")
            if torch is not None:
                torch.set_num_threads(1)


def _draw_seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**63))


def _words_of(reading: Reading) -> str:
    return NO_ACTION.text if reading.action is None else reading.action.text

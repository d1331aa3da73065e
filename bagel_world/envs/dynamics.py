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
from bagel_world.envs.consistency import Drawing, settle
from bagel_world.envs.rewards import is_success, reward_of, score_sessions
from bagel_world.envs.session import Draw, Session, session_from_state
from bagel_world.envs.spaces import Reading, action_space, as_list, observation_space, read_action
from bagel_world.envs.starts import History, Start, begin_context, check_starts, options_of, read_options, read_starts
from bagel_world.envs.state import state_from_bytes
from bagel_world.envs.step_info import RESET, Step, step_info
from bagel_world.errors import ActionError, CapabilityError, ConfigError, StateError
from bagel_world.types import Action, Frame, Transition
from bagel_world.world.protocol import Context, World
from bagel_world.world.scoring import (
    CallableScorer,
    Goal,
    GoalImageScorer,
    JudgeScorer,
    Scorer,
    can_write,
    check_writes,
    make_scorer,
)

NO_ACTION = Action(text="")
"""The action of a transition whose text could not be read."""


class Dynamics:
    """How sessions begin and go on.

    Args:
        world: imagines the frames; shared, never changed.
        reward: a scorer, its name, or a function (frame, goal) -> float; None means "goal_image" for sessions with a goal
            picture, "judge" for those with a goal in words where the world can write, and "none" for the others.
        starts: episodes or images that a reset picks from; None means the world's own.
        reset_options: defaults of `reset(options=...)`.
        **settings: fields of `EnvConfig`.

    Raises:
        ConfigError: settings or reset options that do not fit.
        UnknownNameError: no scorer of that name.
        CapabilityError: a judge, thoughts or a self-check of a world that cannot give them.
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
        self._picture_scorer, self._word_scorer = GoalImageScorer(), JudgeScorer()
        self._scorer = None if reward is None else make_scorer(reward)
        self._by_goal = reward is None
        self._starts = None if starts is None else check_starts(starts)
        self._defaults = options_of(reset_options)
        self._process = os.getpid()
        read_options(None, self._defaults, world)
        if self.config.think:
            check_writes(world, "think=True")
        if isinstance(self._scorer, JudgeScorer):
            check_writes(world, "The reward 'judge'")
        if self.config.consistency and not callable(getattr(world, "explain", None)):
            raise CapabilityError(
                f"consistency=True needs a world that can explain frames, {type(world).__name__} cannot. Leave consistency out."
            )

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
            copy_generator(generator).bit_generator.state = words  # NumPy may take the first of them and refuse the next
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
            kind = type(generator.bit_generator).__name__
            raise StateError(f"Expected a state with the words of a {kind} generator, got others ({error}).") from error
        generator.bit_generator.state = words
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
        steps = [Step(reading=reading) for reading in readings]
        after = [replace(session, step=session.step + 1) for session in sessions]
        moving = [place for place, reading in enumerate(readings) if reading.action is not None]
        if moving:
            moved, taken = self._imagine([sessions[place] for place in moving], [readings[place] for place in moving])
            for place, session, step in zip(moving, self._scored(moved), taken, strict=True):
                after[place], steps[place] = session, step
        return [self._close(*each) for each in zip(sessions, after, steps, strict=True)]

    def branch(self, session: Session, actions: Sequence[Any], reseed: int | Sequence[int] | None = None) -> list[Transition]:
        """One transition per action, all from this session, imagined in one batch; see `WorldEnv.branch`."""
        listed = as_list(actions)
        if listed is None:
            raise ActionError(f"Expected a list of actions, one per future, got {actions!r:.80}.")
        return self.branch_all([session], [listed], [reseed])[0]

    def branch_all(
        self,
        sessions: Sequence[Session],
        actions: Sequence[Sequence[Any]],
        reseed: Sequence[int | Sequence[int] | None],
    ) -> list[list[Transition]]:
        """The futures of many sessions, imagined in one batch; see `WorldVectorEnv.branch`.

        Args:
            sessions: they stay as they are.
            actions: per session, one per future.
            reseed: per session None, one seed for all of its futures, or one per future.
        """
        futures: list[Session] = []
        for session, row, seeds in zip(sessions, actions, reseed, strict=True):
            fork = replace(session, context=session.context.fork())  # one for all: what they share is read once
            futures += [fork if seed is None else fork.reseeded(seed) for seed in _seed_each(seeds, len(row))]
        shown = iter(self.advance(futures, [action for row in actions for action in row]))
        return [[next(shown)[1] for _ in row] for row in actions]

    def info(self, session: Session, step: Step = RESET) -> dict[str, Any]:
        """The info of a step or a reset: new plain values, the same for the same seeds and actions."""
        success = is_success(session, self._scorer_of(session), self.config)
        return step_info(session, step, self.config, success=success)

    def _read_state(self, state: Any) -> tuple[Session, Any]:
        if isinstance(state, (bytes, bytearray, memoryview)):
            state = state_from_bytes(bytes(state))
        session = session_from_state(self.world, state)
        scorer = self._scorer_of(session)
        # Functions of one name may be different ones.
        if isinstance(scorer, CallableScorer) or session.reward_source != (scorer.source if scorer else "none"):
            session = self._scored([replace(session, score=None, reward_source="none")])[0]
        return session, state.get("generator")

    def _begin_one(self, start: Start, generator: np.random.Generator) -> Session:
        # Both are always drawn, so that options do not shift the noise of later episodes.
        noise_seed = _draw_seed(generator)
        place = generator.random()
        history = start.history
        if history is None:
            history = self._beginnings[int(place * len(self._beginnings))]
        context = begin_context(self.world, history, start.prompt, think=self.config.think)
        return Session(context=context, noise_seed=noise_seed, goal=start.goal)

    @cached_property
    def _beginnings(self) -> tuple[History, ...]:
        starts = self.world.starts if self._starts is None else self._starts
        if not len(starts):
            raise ConfigError("This world carries no starting episodes. Pass reset(options={'image': ...}) or starts=[...].")
        return read_starts(starts, self.world, self.config.start_frames)

    def _imagine(self, sessions: Sequence[Session], readings: Sequence[Reading]) -> tuple[list[Session], list[Step]]:
        """One step of sessions whose actions were understood, before anything is scored."""
        said = [session.context.say(_words_of(reading)) for session, reading in zip(sessions, readings, strict=True)]
        steps, calls = [Step(reading=reading) for reading in readings], 1
        if self.config.think:
            thinker: Any = self.world
            thoughts = thinker.think(said, seeds=[session.seed_for(Draw.THOUGHT) for session in sessions])
            said = [context.say(thought) for context, thought in zip(said, thoughts, strict=True)]
            steps = [replace(step, thought=thought) for step, thought in zip(steps, thoughts, strict=True)]
            calls = 2
        contexts = self.world.advance(said, seeds=[session.seed_for(Draw.FRAME) for session in sessions])
        if self.config.consistency:
            contexts, steps = self._checked(sessions, said, contexts, steps)
        moved = []
        for session, context, step in zip(sessions, contexts, steps, strict=True):
            spent = calls + (0 if step.check is None else step.check.model_calls)
            moved.append(replace(session, context=context, step=session.step + 1, model_calls=session.model_calls + spent))
        return moved, steps

    def _checked(
        self, sessions: Sequence[Session], said: Sequence[Context], contexts: Sequence[Context], steps: Sequence[Step]
    ) -> tuple[list[Context], list[Step]]:
        drawings = [
            Drawing(session=session, action=step.reading.action or NO_ACTION, said=before, context=after)
            for session, step, before, after in zip(sessions, steps, said, contexts, strict=True)
        ]
        settled = settle(self.world, drawings, self.action_words, self.config.consistency_redraws)
        checked = [replace(step, check=check) for step, (_, check) in zip(steps, settled, strict=True)]
        return [context for context, _ in settled], checked

    def _close(self, before: Session, after: Session, step: Step) -> tuple[Session, Transition]:
        terminated = is_success(after, self._scorer_of(after), self.config)
        truncated = after.step >= self.config.horizon
        session = replace(after, over=terminated or truncated)
        transition = Transition(
            action=step.reading.action or NO_ACTION,
            frame=session.frame.copy(),
            thought=step.thought,
            reward=reward_of(before, session, self.config),
            terminated=terminated,
            truncated=truncated,
            info=self.info(session, step),
        )
        return session, transition

    def _scorer_of(self, session: Session) -> Scorer | None:
        if self._by_goal and session.goal.image is not None:
            return self._picture_scorer
        if self._by_goal and session.goal.text is not None and can_write(self.world):
            return self._word_scorer
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


def copy_generator(generator: np.random.Generator) -> np.random.Generator:
    """A generator that draws the same from here on, and leaves the other one alone."""
    kind: Any = type(generator.bit_generator)
    twin = type(generator)(kind(0))
    twin.bit_generator.state = generator.bit_generator.state
    return twin


def _seed_each(reseed: int | Sequence[int] | None, count: int) -> list[int | None]:
    """One seed per future; None keeps the session's own."""
    if not isinstance(reseed, (Sequence, np.ndarray)):
        return [reseed] * count
    if len(reseed) != count:
        raise StateError(f"Expected one seed for all or one per action ({count}), got {len(reseed)}.")
    return list(reseed)


def _draw_seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**63))


def _words_of(reading: Reading) -> str:
    return NO_ACTION.text if reading.action is None else reading.action.text

"""WorldSession: one live walk, the world that looks ahead for it, and what both may spend. All that tools do, they do here.

Imagining forks the context of the present and never touches an environment, so it cannot move the walk.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium as gym

from bagel_world.actions import action_from_text
from bagel_world.agents.body import Body
from bagel_world.agents.choosing import look_ahead
from bagel_world.agents.goals import checked_goal, needed, read_goal, scorer_for
from bagel_world.agents.imagination import Budget, Imagination, Node, checked_world
from bagel_world.agents.plan import Plan
from bagel_world.agents.planner import Planner
from bagel_world.agents.tools.gallery import Gallery
from bagel_world.agents.tools.limits import Limits, Meter
from bagel_world.agents.tools.live import LiveWalk
from bagel_world.agents.tools.place import Place
from bagel_world.errors import ActionError, CapabilityError, ConfigError, LimitError, StateError
from bagel_world.images import fit_image
from bagel_world.types import Action, Frame
from bagel_world.world.protocol import World
from bagel_world.world.scoring import Goal, RandomScorer, Scorer, make_scorer


class WorldSession:
    """One live walk that tools look at, imagine from and act in.

    Args:
        world: imagines; may be shared by any number of sessions.
        env: where actions really happen; None acts in the world itself. It is reset at once, and belongs to this session,
            which closes it.
        goal: what is to be reached where a tool names no other goal: words, a picture (array, PIL image, `Path`), or a `Goal`.
        scorer: tells how near a frame is to a goal: a `Scorer`, its name, or a function; None picks one by the goal.
        limits: what the session may spend.
        folders: where picture files may be read, one or several; none by default.
        seed: decides where the walk begins and all noise.
        actions: what to hand to `env.step` for every action word; see `Body`.
        look: makes a picture of an observation; see `Body`.
        clock: tells seconds; only differences count.

    Attributes:
        walk: the live walk.
        meter: what was spent so far.
        gallery: the picture files that may be opened.

    Raises:
        ConfigError: an argument that does not fit, a goal in words that cannot be read, or no way to see or act in the
            environment.
        ImageError: a goal picture that cannot be read.
    """

    def __init__(
        self,
        world: World,
        env: gym.Env[Any, Any] | None = None,
        *,
        goal: Goal | str | Any = None,
        scorer: str | Scorer | Callable[[Frame, Goal], float] | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        folders: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
        seed: int = 0,
        actions: Mapping[str, Any] | None = None,
        look: Callable[[Any], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.world = checked_world(world)
        self.limits = _read_limits(limits)
        self.meter = Meter(self.limits, clock)
        self.gallery = Gallery(folders, max_pixels=self.limits.pixels)
        self._goal = Goal() if goal is None else read_goal(goal, world.frame_size)
        self._scorer = None if scorer is None else needed(make_scorer(scorer))
        self._turn = threading.RLock()
        body = None if env is None else Body(env, world.frame_size, actions=actions, look=look)
        self.walk = LiveWalk(world, body, undo=self.limits.undo, seed=seed)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One tool call: alone in this session, admitted by its limits, and timed.

        Raises:
            LimitError: the session has spent its calls or its seconds.
        """
        with self._turn, self.meter.call():
            yield

    @property
    def place(self) -> Place:
        """Where the walk is: a value.

        Raises:
            StateError: it has not begun.
        """
        return self.walk.place

    @property
    def words(self) -> tuple[str, ...]:
        """The action words of the live walk; others may work in imagination."""
        return tuple(action.text for action in self.walk.actions)

    def taught(self, word: str) -> bool:
        """Whether the world was taught these words, in this or another of its tasks."""
        tasks: Mapping[str, tuple[str, ...]] = getattr(self.world, "tasks", {})
        return word in {*self.world.action_words, *(each for words in tasks.values() for each in words)}

    def read_action(self, text: str) -> Action:
        """The action in these words.

        Raises:
            ActionError: words that cannot be an action.
        """
        return action_from_text(text, self.words)

    def goal(self, picture: str | None = None, text: str | None = None) -> Goal:
        """The goal in a picture file or in words, or else the session's own.

        Raises:
            ConfigError: there is none, or words that cannot be read.
            AccessError, ImageError: a picture that cannot be opened.
        """
        if picture is None and text is None:
            if not self._goal:
                raise ConfigError("This session has no goal of its own. Name one: goal_image (a picture file) or goal_text.")
            return self._goal
        image = None if picture is None else fit_image(self.gallery.open(picture), self.world.frame_size)
        return Goal(image=image, text=None if text is None else checked_goal(text))

    def scorer_for(self, goal: Goal) -> Scorer:
        """What tells how near a frame is to this goal."""
        return scorer_for(goal, self._scorer)

    # --- looking ahead: the live walk stays where it is

    def imagine(self, futures: Sequence[Sequence[str]], *, draw: int = 0) -> list[tuple[Node, ...]]:
        """What these futures would show.

        Args:
            futures: action words, one sequence per future.
            draw: 0 shows the very frames that acting in the world itself would; others are drawn anew.

        Returns:
            Per future one node per action; equal beginnings share theirs.

        Raises:
            ActionError: words that cannot be an action.
            LimitError: too many futures, too long ones, or too few frames left.
        """
        return [node.path for node in self._follow(self._tree(Goal(), RandomScorer()), futures, draw)]

    def compare(
        self, futures: Sequence[Sequence[str]], goal: Goal, *, draw: int = 0
    ) -> tuple[float, list[tuple[Node, ...]], list[float]]:
        """How near futures come to a goal.

        Returns:
            The score of the present, the nodes of every future as in `imagine`, and the scores of their ends.

        Raises:
            ActionError, LimitError: as in `imagine`.
            ConfigError, CapabilityError: a goal that cannot be scored here.
        """
        tree = self._tree(goal, self.scorer_for(goal))
        now = tree.now  # first: a goal that cannot be scored costs no frames
        nodes = self._follow(tree, futures, draw)
        return now, [node.path for node in nodes], tree.score(nodes)

    def plan(self, goal: Goal, *, depth: int, search: str) -> Plan:
        """What a planner would do from here.

        Args:
            goal: what is to be reached.
            depth: actions to look ahead.
            search: the name of a search; see `Planner`.

        Raises:
            ConfigError, CapabilityError: a goal that cannot be scored here.
            LimitError: no frames are left.
        """
        self.meter.check(frames=1)
        place, budget = self.place, self._budget(self.limits.plan_frames)
        found_search, proposer = look_ahead(search, depth)
        planner = Planner(self.world, proposer, self.scorer_for(goal), found_search, budget=budget)
        tree = planner.imagination(place.context, goal, seed=self.walk.seed, step=place.step, actions=self.walk.actions)
        try:
            return planner.decide(tree)
        finally:
            self.meter.spend(frames=tree.imagined)

    def ask(self, question: str, *, think: bool = False) -> str:
        """The world's answer to a question about the walk.

        Raises:
            CapabilityError: this world was never taught to answer.
        """
        asked = getattr(self.world, "ask", None)
        if not callable(asked):
            raise CapabilityError("This world only imagines frames, it cannot answer. Look, imagine and compare instead.")
        return str(asked(self.place.context, question, think=think, seed=self.walk.seed))

    # --- acting

    def commit(self, text: str) -> Place:
        """Act in the live walk.

        Raises:
            ActionError: words that cannot be an action here; nothing has moved.
            StateError: the episode is over.
            LimitError: no steps or frames are left.
        """
        action, frames = self.read_action(text), 0 if self.walk.in_environment else 1
        self.meter.check(steps=1, frames=frames)
        try:
            place = self.walk.commit(action)
        except (ActionError, StateError):
            raise  # nothing has moved
        except Exception:
            self.meter.spend(steps=1, frames=frames)
            raise
        self.meter.spend(steps=1, frames=frames)
        return place

    def undo(self, steps: int = 1) -> Place:
        """Go back to where the live walk was.

        Raises:
            StateError: there were not so many steps, or the environment cannot go back; nothing has moved.
        """
        return self.walk.undo(steps)

    def begin(self, frame: Any) -> Place:
        """Begin a new walk at this picture.

        Raises:
            StateError: the walk is in an environment, which shows its own pictures.
        """
        return self.walk.begin(frame)

    def reset(self, seed: int | None = None) -> Place | None:
        """Begin the walk again; see `LiveWalk.reset`. What was spent stays spent."""
        return self.walk.reset(seed)

    def close(self) -> None:
        """Close the environment; the session is over."""
        self.walk.close()

    def get_state(self) -> dict[str, Any]:
        """The live walk as JSON values and arrays; whatever looks ahead leaves every byte of it as it was."""
        return self.walk.get_state()

    def _tree(self, goal: Goal, scorer: Scorer) -> Imagination:
        self.meter.check(frames=1)
        return self.walk.tree(goal, scorer, self._budget())

    def _budget(self, frames: int | None = None) -> Budget:
        """What is left of the session, and so many frames at most."""
        left = self.meter.frames_left if frames is None else min(frames, self.meter.frames_left)
        return Budget(frames=left, seconds=self.meter.seconds_left)

    def _follow(self, tree: Imagination, futures: Sequence[Sequence[str]], draw: int) -> list[Node]:
        """The ends of these futures."""
        sequences = [tuple(self.read_action(word) for word in words) for words in futures]
        self._check_shape(sequences)
        beginnings = {tuple(action.text for action in each[:length]) for each in sequences for length in range(1, len(each) + 1)}
        self.meter.check(frames=len(beginnings))
        try:
            nodes = tree.follow(sequences, draw)
        finally:
            self.meter.spend(frames=tree.imagined)
        if any(node.depth < len(actions) for node, actions in zip(nodes, sequences, strict=True)):
            raise LimitError(f"The {self.limits.seconds:g} seconds of this session ended before all was imagined.")
        return nodes

    def _check_shape(self, sequences: Sequence[Sequence[Action]]) -> None:
        longest = max((len(each) for each in sequences), default=0)
        if len(sequences) > self.limits.futures:
            raise LimitError(f"Expected at most {self.limits.futures} futures in one call, got {len(sequences)}. Ask for fewer.")
        if longest > self.limits.horizon:
            raise LimitError(f"Expected at most {self.limits.horizon} actions in a future, got {longest}. Look less far ahead.")


def _read_limits(limits: Limits | Mapping[str, Any] | None) -> Limits:
    if isinstance(limits, Limits):
        return limits
    if limits is not None and not isinstance(limits, Mapping):
        raise ConfigError(f"Expected limits by name, such as {{'frames': 100}}, got {limits!r:.80}.")
    return Limits(**(limits or {}))

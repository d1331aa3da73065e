"""A session: all that one walk through a world is, as a value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Self

import numpy as np

from bagel_world.errors import StateError
from bagel_world.types import Frame
from bagel_world.world.protocol import Context, World
from bagel_world.world.scoring import Goal

STATE_VERSION = 1


class Draw(IntEnum):
    """What a step draws noise for; each has its own stream."""

    FRAME = 0
    THOUGHT = 1
    SCORE = 2
    CHECK = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Session:
    """One walk through a world.

    Attributes:
        context: what has been seen and done; its newest frame is the observation.
        noise_seed: whole number from which the seeds of all steps follow.
        step: steps taken since the reset.
        goal: what is to be reached; empty where nothing is.
        score: the scorer's last word; None where nothing is scored.
        reward_source: the scorer that gave `score`, "none" without one.
        model_calls: calls of the world since the reset that this session took part in.
        over: whether the episode has ended.
    """

    context: Context
    noise_seed: int
    step: int = 0
    goal: Goal = field(default_factory=Goal)
    score: float | None = None
    reward_source: str = "none"
    model_calls: int = 0
    over: bool = False

    @property
    def frame(self) -> Frame:
        """The newest frame; shared, not to be written to."""
        return self.context.frames[-1]

    @property
    def goal_distance(self) -> float | None:
        """One minus the score; None where nothing is scored."""
        return None if self.score is None else 1.0 - self.score

    def seed_for(self, draw: Draw, again: int = 0) -> int:
        """The seed of this step's draw, 0..2**63 - 1: a function of `noise_seed`, `step`, `draw` and `again` alone.

        Args:
            draw: what is drawn.
            again: counts the draws of the same thing that take the place of the first one.
        """
        key = (self.step, int(draw)) if again == 0 else (self.step, int(draw), again)
        words = np.random.SeedSequence(self.noise_seed, spawn_key=key).generate_state(1, np.uint64)
        return int(words[0]) >> 1

    def reseeded(self, seed: int) -> Self:
        """This session with another future.

        Raises:
            StateError: the seed is not a whole number from 0 on.
        """
        return replace(self, noise_seed=self.check_seed(seed))

    @staticmethod
    def check_seed(seed: object) -> int:
        """This seed, if it is one.

        Raises:
            StateError: the seed is not a whole number from 0 on.
        """
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise StateError(f"Expected reseed to be a whole number from 0 on, got {seed!r}.")
        return int(seed)

    def get_state(self, world: World) -> dict[str, Any]:
        """JSON values and arrays from which `session_from_state` rebuilds this session; never weights."""
        return {
            "version": STATE_VERSION,
            "weights": world.provenance.get("weights"),
            "frame_size": list(world.frame_size),
            "context": self.context.get_state(),
            "noise_seed": self.noise_seed,
            "step": self.step,
            "goal_image": None if self.goal.image is None else self.goal.image.copy(),
            "goal_text": self.goal.text,
            "score": self.score,
            "reward_source": self.reward_source,
            "model_calls": self.model_calls,
            "over": self.over,
        }


def session_from_state(world: World, state: Mapping[str, Any]) -> Session:
    """The session whose `get_state` gave this value.

    Raises:
        StateError: not such a value, or one from another format, other weights or another frame size.
    """
    _check_origin(world, state)
    try:
        goal = Goal(image=_read_picture(state["goal_image"], world.frame_size), text=_read_words(state["goal_text"]))
        session = Session(
            context=world.restore(state["context"]),
            noise_seed=_read_whole(state, "noise_seed"),
            step=_read_whole(state, "step"),
            goal=goal,
            score=_read_score(state["score"]),
            reward_source=str(state["reward_source"]),
            model_calls=_read_whole(state, "model_calls"),
            over=bool(state["over"]),
        )
        shape = session.frame.shape
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StateError(f"Expected a state from get_state, got one with a wrong or missing entry ({error}).") from error
    if shape != (*world.frame_size, 3):
        raise StateError(f"Expected a state whose newest frame has shape {(*world.frame_size, 3)}, got {shape}. Save it again.")
    return session


def _check_origin(world: World, state: Mapping[str, Any]) -> None:
    if not isinstance(state, Mapping):
        raise StateError(f"Expected a state from get_state (a mapping) or its bytes, got {type(state).__name__}.")
    if "states" in state:
        raise StateError(
            "Expected the state of one walk, got that of a vector environment. Restore all of its walks together, or take one: "
            "state['states'][0]."
        )
    # By what they look like, as anything may stand here: arrays do not compare to a truth value.
    version, belongs, size = (repr(state.get(name)) for name in ("version", "weights", "frame_size"))
    if version != repr(STATE_VERSION):
        raise StateError(f"Expected a state of version {STATE_VERSION}, got {version:.80}. Save it again.")
    weights = world.provenance.get("weights")
    if belongs != repr(weights):
        raise StateError(f"This state belongs to weights {belongs:.80}, this world has {weights!r}. Load those.")
    if size != repr(list(world.frame_size)):
        raise StateError(f"This state has frames of size {size:.80}, this world imagines {world.frame_size}.")


def _read_whole(state: Mapping[str, Any], name: str) -> int:
    value = state[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"expected {name} as a whole number from 0 on, got {value!r:.80}")
    return value


def _read_score(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"expected a score as a finite number, got {value!r:.80}")
    return float(value)


def _read_picture(value: Any, frame_size: tuple[int, int]) -> Frame | None:
    if value is None:
        return None
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.shape != (*frame_size, 3):
        raise ValueError(f"expected a goal picture as uint8 of shape {(*frame_size, 3)}, got {value!r:.80}")
    return value.copy()


def _read_words(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"expected a goal in words as a text, got {value!r:.80}")
    return value

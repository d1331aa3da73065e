"""What a step leaves behind beside the session, and the info that tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bagel_world.envs.config import EnvConfig
from bagel_world.envs.consistency import Check, check_info
from bagel_world.envs.session import Session
from bagel_world.envs.spaces import Reading
from bagel_world.types import Thought


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What came of one session's action.

    Attributes:
        reading: the action as understood.
        thought: what was thought before the frame, if anything.
        check: what was read from the frame, if it was checked.
    """

    reading: Reading
    thought: Thought | None = None
    check: Check | None = None


RESET = Step(reading=Reading(action=None))
"""What a reset leaves behind: nothing was done."""


def step_info(session: Session, step: Step, config: EnvConfig, *, success: bool) -> dict[str, Any]:
    """The info of a step or a reset: new plain values, the same for the same seeds and actions."""
    info: dict[str, Any] = {
        "action_text": None if step.reading.action is None else step.reading.action.text,
        "action_valid": step.reading.error is None,
        "action_error": step.reading.error,
        "success": success,
        "goal_distance": session.goal_distance,
        "reward_source": session.reward_source,
        "context_frames": len(session.context.frames),
        "context_tokens": session.context.tokens,
        "dropped_frames": session.context.dropped_frames,
        "model_calls": session.model_calls,
    }
    if config.think:
        info["thought"] = None if step.thought is None else step.thought.text
    if config.consistency:
        info |= check_info(step.check)
    return info

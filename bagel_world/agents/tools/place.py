"""Place: where a live walk is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bagel_world.types import Action, Frame
from bagel_world.world.protocol import Context


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """Where a walk is: a value.

    Attributes:
        context: what has been seen and done; its newest frame is the present view.
        step: actions since the walk began.
        action: what led here; None at the beginning.
        reward: what the environment paid for it; None in the world itself.
        terminated: the environment says that the episode is over.
        truncated: the environment broke it off.
        success: the environment's word on the goal; None where it says nothing.
        env_state: from which the environment can go on here; None where it cannot go back.
    """

    context: Context
    step: int = 0
    action: Action | None = None
    reward: float | None = None
    terminated: bool = False
    truncated: bool = False
    success: bool | None = None
    env_state: Any = None

    @property
    def frame(self) -> Frame:
        """The present view; shared, not to be written to."""
        return self.context.frames[-1]

    @property
    def over(self) -> bool:
        """Whether nothing more can be done here."""
        return self.terminated or self.truncated

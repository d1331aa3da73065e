"""OracleWorld: a real house, or a map of Doom, that answers as an imagined world does: perfect imagination, the upper bound.

It knows where the agent is, moves it in thought by the rules of the house, and looks from there. What frames look like to a
model (`similarity`), what they mean to it (`judge`) and whatever it says is left to the world whose place it takes, so that the
two differ in nothing but dynamics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.errors import StateError
from bagel_world.images import read_image
from bagel_world.sims.doom import Doom
from bagel_world.sims.dungeon_plan import DungeonPlan
from bagel_world.sims.house import TURN_STEP, House, step_ahead
from bagel_world.sims.naming import public_name
from bagel_world.sims.plans import HousePlan
from bagel_world.sims.walking import Field, WalkingGrid
from bagel_world.types import Episode, Frame, Thought
from bagel_world.world.protocol import World

Pose = tuple[float, float, float, float]
"""x, y, z in meters and yaw in degrees."""

FORWARD, LEFT, RIGHT, _ = NAVIGATE_WORDS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OracleContext:
    """Where someone is, and what was seen and said on the way: a value.

    Attributes:
        pose: of the newest frame.
        frames: seen so far, oldest first.
        said: since the newest frame.
    """

    pose: Pose
    frames: tuple[Frame, ...] = ()
    said: tuple[str, ...] = ()
    plan: HousePlan | DungeonPlan

    def observe(self, frame: Any) -> Self:
        """This context with one more frame, seen from where the actions since the last one lead."""
        return replace(self, pose=self.next_pose if self.frames else self.pose, frames=(*self.frames, read_image(frame)), said=())

    def say(self, text: str | Thought) -> Self:
        """This context with one more action; thoughts change nothing."""
        return self if isinstance(text, Thought) else replace(self, said=(*self.said, text))

    def fork(self) -> Self:
        """The context itself: a value needs no copy."""
        return self

    @property
    def next_pose(self) -> Pose:
        """Where the actions since the newest frame lead."""
        pose = self.pose
        for text in self.said:
            pose = moved(self.plan, pose, text)
        return pose

    @property
    def tokens(self) -> int:
        """None: nothing is read."""
        return 0

    @property
    def dropped_frames(self) -> int:
        """None: nothing is forgotten."""
        return 0

    def get_state(self) -> dict[str, Any]:
        """Pose and words."""
        return {"pose": list(self.pose), "said": list(self.said), "frames": list(self.frames)}


class OracleWorld:
    """A house as a world; contexts begin where the house stands when they are begun.

    Args:
        house: the simulator, in which the agent itself may walk: thoughts leave it where it is.
        seer: the world whose eyes and words are used.
    """

    def __init__(self, house: House | Doom, seer: World) -> None:
        self.house, self.seer = house, seer
        self.way: tuple[WalkingGrid, Field] | None = None
        """How far it is to walk to a goal, where somebody has told it; for a scorer that knows the way."""

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of the house's frames."""
        height, width, _ = self.house.observation_space.shape  # type: ignore[misc]
        return height, width

    @property
    def action_words(self) -> tuple[str, ...]:
        """Those of the house."""
        return self.house.action_words

    @property
    def provenance(self) -> dict[str, Any]:
        """That it is the simulator, and who looks."""
        return {**self.seer.provenance, "world": public_name(type(self.house))}

    @property
    def starts(self) -> Sequence[Episode]:
        """None."""
        return ()

    @property
    def can_write(self) -> bool:
        """Whether the seer can."""
        return bool(getattr(self.seer, "can_write", False))

    def begin(self, prompt: str | None = None, *, think: bool = False) -> OracleContext:
        """An empty context at the house's present pose; the seer begins its own where it has to think."""
        x, y, z, yaw = self.house.pose.tolist()
        return OracleContext(pose=(x, y, z, yaw), plan=self.house.plan)

    def observe(self, frame: Any) -> OracleContext:
        """A context that begins with this frame."""
        return self.begin().observe(frame)

    def imagine(self, contexts: Sequence[Any], *, seeds: Sequence[int]) -> list[Frame]:
        """What will really be seen, whatever the seeds."""
        here = self.house.pose
        frames = [self.house.set_pose(context.next_pose) for context in contexts]
        self.house.set_pose(here)
        return frames

    def advance(self, contexts: Sequence[Any], *, seeds: Sequence[int]) -> list[Any]:
        """Every context with its next frame."""
        frames = self.imagine(contexts, seeds=seeds)
        return [context.observe(frame) for context, frame in zip(contexts, frames, strict=True)]

    def similarity(self, frames: Sequence[Frame], goals: Sequence[Frame]) -> list[float]:
        """As the seer sees it."""
        return self.seer.similarity(frames, goals)

    def explain(
        self, contexts: Sequence[Any], frames: Sequence[Frame], *, words: Sequence[str], seeds: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        """All chances for the words that lead nearest to the frame, shared where several do."""
        rows = []
        for context, frame in zip(contexts, frames, strict=True):
            shown = self.imagine([context.say(word) for word in words], seeds=[0] * len(words))
            off = np.array([np.abs(each.astype(np.int64) - frame).sum() for each in shown])
            rows.append((off == off.min()) / (off == off.min()).sum())
        return np.stack(rows) if rows else np.zeros((0, len(words)))

    def restore(self, state: dict[str, Any]) -> OracleContext:
        """The context whose `get_state` gave this value, in the house that stands now."""
        try:
            frames = tuple(np.asarray(frame, np.uint8) for frame in state["frames"])
            x, y, z, yaw = (float(each) for each in state["pose"])
            return OracleContext(pose=(x, y, z, yaw), frames=frames, said=tuple(state["said"]), plan=self.house.plan)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"Expected the state of an OracleWorld context, got one without {error}. Save it again.") from error

    def judge(self, contexts: Sequence[Any], goals: Sequence[str]) -> list[float]:
        """The seer's judgment of the newest frame of every context."""
        seer: Any = self.seer
        return seer.judge([seer.observe(context.frames[-1]) for context in contexts], goals)


def moved(plan: HousePlan | DungeonPlan, pose: Pose, text: str) -> Pose:
    """Where an action leads in a house; other words lead nowhere."""
    x, y, z, yaw = pose
    if text == FORWARD:
        ahead = step_ahead((x, z), yaw)
        return (ahead[0], y, ahead[1], yaw) if plan.is_free(*ahead) else pose
    turn = {LEFT: TURN_STEP, RIGHT: -TURN_STEP}.get(text, 0.0)
    return (x, y, z, (yaw + turn) % 360.0)

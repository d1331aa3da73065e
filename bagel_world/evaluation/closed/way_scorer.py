"""WayScorer: a scorer that knows the way, in place of one that has to see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from bagel_world.errors import ConfigError
from bagel_world.evaluation.closed.oracle_world import OracleContext, OracleWorld
from bagel_world.world.protocol import World
from bagel_world.world.scoring import Candidate


@dataclass(frozen=True, slots=True)
class WayScorer:
    """How near a frame of an `OracleWorld` really is to the goal of the mission that the world was told of.

    Attributes:
        discount: what a score loses per meter of walking.
    """

    discount: float = 0.8
    source: str = "way"
    calibration: str = "0.8 ** meters of walking to the goal, as the simulator knows them, in (0, 1]; 1 means there."
    model_calls: int = 0
    judges_success: bool = True
    success_distance: float = 0.2

    def score(self, world: World, candidates: Sequence[Candidate]) -> list[float]:
        """The score of where each candidate's frame was seen from.

        Raises:
            ConfigError: another world, or one that was told of no mission.
        """
        if not isinstance(world, OracleWorld) or world.way is None:
            raise ConfigError("The scorer 'way' needs an OracleWorld that was told the way: OracleWorld.way.")
        grid, field = world.way
        poses = [cast(OracleContext, each.context).pose for each in candidates]
        return [self.discount ** grid.at(field, pose[0], pose[2]) for pose in poses]

"""Real simulators with the action words of the imagined worlds: they make footage and are the ground truth of evaluations.

Importing this package needs none of the simulators; constructing one does: `pip install "bagel-world[sims]"`, and
`"bagel-world[doom]"` for `Doom`.
"""

from __future__ import annotations

from bagel_world.sims.doom import Doom
from bagel_world.sims.drops import Drops
from bagel_world.sims.house import House
from bagel_world.sims.palettes import SPLITS
from bagel_world.sims.plans import HousePlan, draw_plan
from bagel_world.sims.spinner import Spinner
from bagel_world.sims.turntable import Turntable
from bagel_world.sims.waiter import Waiter
from bagel_world.sims.walker import Walker

__all__ = ["SPLITS", "Doom", "Drops", "House", "HousePlan", "Spinner", "Turntable", "Waiter", "Walker", "draw_plan"]

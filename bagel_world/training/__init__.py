"""Teaching new worlds: from recorded walks to a checkpoint folder."""

from __future__ import annotations

from bagel_world.training.config import TrainingConfig, read_recipe
from bagel_world.training.stages import Stages
from bagel_world.training.trainer import MotConfig, Trainer

__all__ = ["MotConfig", "Stages", "Trainer", "TrainingConfig", "read_recipe"]

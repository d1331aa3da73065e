"""Teaching new worlds: from recorded walks to a checkpoint folder."""

from __future__ import annotations

from bagel_world.training.config import TrainingConfig, read_recipe
from bagel_world.training.data.sources import Source
from bagel_world.training.sample_feed import sample_feed
from bagel_world.training.stages import Stages
from bagel_world.training.trainer import MotConfig, Trainer

__all__ = ["MotConfig", "Source", "Stages", "Trainer", "TrainingConfig", "read_recipe", "sample_feed"]

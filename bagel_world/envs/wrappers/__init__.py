"""Wrappers through which the states and branches of a world's environment keep working."""

from __future__ import annotations

from bagel_world.envs.wrappers.frame_history import FrameHistory
from bagel_world.envs.wrappers.recorder import Recorder
from bagel_world.envs.wrappers.resize import Resize
from bagel_world.envs.wrappers.stateful import StatefulWrapper
from bagel_world.envs.wrappers.time_limit import TimeLimit

__all__ = ["FrameHistory", "Recorder", "Resize", "StatefulWrapper", "TimeLimit"]

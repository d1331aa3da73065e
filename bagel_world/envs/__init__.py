"""Gymnasium environments whose dynamics are a world model.

`WorldEnv` steps one session, `WorldVectorEnv` many of them in one batch; both are thin shells over `Dynamics`. The registered
environments are `NavigateEnv`, `RotateEnv` and `RolloutEnv`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bagel_world.envs.config import EnvConfig
    from bagel_world.envs.dynamics import Dynamics
    from bagel_world.envs.navigate import NavigateEnv
    from bagel_world.envs.registry import register_all
    from bagel_world.envs.rollout import RolloutEnv
    from bagel_world.envs.rotate import RotateEnv
    from bagel_world.envs.session import Session
    from bagel_world.envs.state import state_from_bytes, state_to_bytes
    from bagel_world.envs.vector_env import WorldVectorEnv
    from bagel_world.envs.world_env import WorldEnv

__all__ = [
    "Dynamics",
    "EnvConfig",
    "NavigateEnv",
    "RolloutEnv",
    "RotateEnv",
    "Session",
    "WorldEnv",
    "WorldVectorEnv",
    "register_all",
    "state_from_bytes",
    "state_to_bytes",
]

# Registering the ids must stay cheap, so nothing below loads before it is used.
_HOMES = {
    "Dynamics": "bagel_world.envs.dynamics",
    "EnvConfig": "bagel_world.envs.config",
    "NavigateEnv": "bagel_world.envs.navigate",
    "RolloutEnv": "bagel_world.envs.rollout",
    "RotateEnv": "bagel_world.envs.rotate",
    "Session": "bagel_world.envs.session",
    "WorldEnv": "bagel_world.envs.world_env",
    "WorldVectorEnv": "bagel_world.envs.vector_env",
    "register_all": "bagel_world.envs.registry",
    "state_from_bytes": "bagel_world.envs.state",
    "state_to_bytes": "bagel_world.envs.state",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

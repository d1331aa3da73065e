"""TaskEnv: the environments that have an id: a world for one task, loaded by the name of its checkpoint."""

from __future__ import annotations

from typing import Any, ClassVar

from bagel_world.envs.registry import load_world
from bagel_world.envs.vector_env import WorldVectorEnv
from bagel_world.envs.world_env import WorldEnv


class TaskEnv(WorldEnv):
    """A `WorldEnv` that loads its world; arguments are JSON values, as `gym.make` wants them.

    Args:
        checkpoint: a shipped name, a folder, a hub id, or "fake"; None takes that of the class.
        device, dtype, sampling, context: as in `load_world`.
        **settings: arguments of `WorldEnv`.

    Attributes:
        checkpoint: the name by which the weights were loaded.
    """

    task: ClassVar[str]
    """What the world is used for."""
    shipped: ClassVar[str]
    """The checkpoint inside the package that knows it best."""

    def __init__(
        self,
        checkpoint: str | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        sampling: str | dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        loading = {"device": device, "dtype": dtype, "sampling": sampling, "context": context}
        self.checkpoint = checkpoint or self.shipped
        super().__init__(load_world(self.task, self.checkpoint, **loading), **settings)

    @classmethod
    def vector(
        cls,
        num_envs: int = 1,
        checkpoint: str | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        sampling: str | dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        **settings: Any,
    ) -> WorldVectorEnv:
        """What `gym.make_vec` calls: so many walks in one batch; arguments as for a single one."""
        loading = {"device": device, "dtype": dtype, "sampling": sampling, "context": context}
        return WorldVectorEnv(load_world(cls.task, checkpoint or cls.shipped, **loading), num_envs, **settings)

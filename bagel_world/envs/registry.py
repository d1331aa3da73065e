"""The environment ids: registering them costs no torch; making one loads its world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gymnasium.envs.registration import register, registry

if TYPE_CHECKING:
    from bagel_world.envs.vector_env import WorldVectorEnv
    from bagel_world.envs.world_env import WorldEnv
    from bagel_world.world.protocol import World

NAVIGATE_ID = "BagelNavigate-v0"

FAKE_CHECKPOINT = "fake"
"""The checkpoint name of `FakeWorld`: numpy instead of a model, for development and tests."""


def register_all() -> None:
    """Make the ids known to Gymnasium; again and again if need be."""
    if NAVIGATE_ID not in registry:
        register(
            NAVIGATE_ID,
            entry_point="bagel_world.envs.registry:make_navigate",
            vector_entry_point="bagel_world.envs.registry:make_navigate_vector",
            nondeterministic=False,
        )


def make_navigate(
    checkpoint: str = "nano",
    *,
    device: str = "auto",
    dtype: str = "auto",
    sampling: str | dict[str, Any] | None = None,
    **settings: Any,
) -> WorldEnv:
    """What `gym.make("BagelNavigate-v0", ...)` calls. All arguments are JSON values.

    Args:
        checkpoint: "nano", a folder, a hub id, or "fake" (no model at all: for development). Environments of one checkpoint,
            device and dtype share their weights.
        device: "auto", "cpu", "cuda", ...
        dtype: "auto", "float32", "bfloat16", ...
        sampling: the name of a sampling preset, or its fields; None takes the checkpoint's own.
        **settings: arguments of `WorldEnv`.
    """
    from bagel_world.envs.world_env import WorldEnv

    return WorldEnv(_load_world(checkpoint, device, dtype, sampling), **settings)


def make_navigate_vector(
    num_envs: int = 1,
    checkpoint: str = "nano",
    *,
    device: str = "auto",
    dtype: str = "auto",
    sampling: str | dict[str, Any] | None = None,
    **settings: Any,
) -> WorldVectorEnv:
    """What `gym.make_vec("BagelNavigate-v0", num_envs=...)` calls: one batch for all; arguments as in `make_navigate`."""
    from bagel_world.envs.vector_env import WorldVectorEnv

    return WorldVectorEnv(_load_world(checkpoint, device, dtype, sampling), num_envs, **settings)


def _load_world(checkpoint: str, device: str, dtype: str, sampling: str | dict[str, Any] | None) -> World:
    if checkpoint == FAKE_CHECKPOINT:
        from bagel_world.world.fake import FakeWorld

        return FakeWorld()
    from bagel_world.world.simulator import BagelWorld

    # World cannot say that a world takes the contexts it gave itself, so the checker is told so.
    return cast("World", BagelWorld.from_pretrained(checkpoint, device=device, dtype=dtype, sampling=sampling))


# gym.make looks for it here, to offer "rgb_array_list".
make_navigate.metadata = {"render_modes": ["rgb_array", "human", "ansi"], "render_fps": 8}  # pyright: ignore[reportFunctionMemberAccess]

"""The environment ids: registering them costs no torch; making one loads its world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gymnasium.envs.registration import register, registry

from bagel_world.errors import ConfigError

if TYPE_CHECKING:
    from bagel_world.world.protocol import World

NAVIGATE_ID = "BagelNavigate-v0"
ROTATE_ID = "BagelRotate-v0"
ROLLOUT_ID = "BagelRollout-v0"

ENTRY_POINTS = {
    NAVIGATE_ID: ("bagel_world.envs.navigate:NavigateEnv", "bagel_world.envs.navigate:make_navigate_vector"),
    ROTATE_ID: ("bagel_world.envs.rotate:RotateEnv", "bagel_world.envs.rotate:make_rotate_vector"),
    ROLLOUT_ID: ("bagel_world.envs.rollout:RolloutEnv", "bagel_world.envs.rollout:make_rollout_vector"),
}
"""What `gym.make` and `gym.make_vec` call, by id."""

FAKE_CHECKPOINT = "fake"
"""The checkpoint name of `FakeWorld`: numpy instead of a model, for development and tests."""


def register_all() -> None:
    """Make the ids known to Gymnasium; again and again if need be."""
    for name, (single, vector) in ENTRY_POINTS.items():
        if name not in registry:
            register(name, entry_point=single, vector_entry_point=vector, nondeterministic=False)


def load_world(
    task: str,
    checkpoint: str = "nano",
    *,
    device: str = "auto",
    dtype: str = "auto",
    sampling: str | dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
) -> World:
    """The world of a checkpoint, for one of its tasks. All arguments are JSON values.

    Args:
        task: "navigate", "rotate", "rollout", or another one that the checkpoint was taught.
        checkpoint: "nano", a folder, a hub id, or "fake" (no model at all: for development). Worlds of one checkpoint, device
            and dtype share their weights.
        device: "auto", "cpu", "cuda", ...
        dtype: "auto", "float32", "bfloat16", ...
        sampling: the name of a sampling preset, or its fields; None takes the checkpoint's own.
        context: fields of `ContextConfig` over the checkpoint's own: how many frames a context keeps (`max_frames`,
            `keep_frames`, `sinks`), how it sees them, and whether an imagined frame is encoded again (`reuse_latents`).

    Raises:
        UnknownNameError: no such checkpoint, task or preset.
        CapabilityError: a task that the checkpoint was never taught.
    """
    if checkpoint == FAKE_CHECKPOINT:
        from bagel_world.world.fake import FakeWorld

        if context:
            raise ConfigError(f"The checkpoint 'fake' keeps a fixed context, got {sorted(context)}. Leave context out.")
        return FakeWorld(task=task)
    from bagel_world.world.simulator import BagelWorld

    # World cannot say that a world takes the contexts it gave itself, so the checker is told so.
    return cast(
        "World", BagelWorld.from_pretrained(checkpoint, task=task, device=device, dtype=dtype, sampling=sampling, context=context)
    )

"""Recording footage in simulators: shard i is a function of the settings and i alone, so recordings can stop and go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from bagel_world.episodes.manifest import Manifest, package_versions
from bagel_world.episodes.shards import shard_path, write_shard
from bagel_world.sims.palettes import SPLITS
from bagel_world.sims.recordables import Recordable, recordable_of
from bagel_world.sims.shard_plan import ShardPlan
from bagel_world.types import Episode

_SCENES_PER_SEED = 2**20


class Recording(ShardPlan):
    """What to record."""

    sim: str = "house"
    """One of `recordables.RECORDABLES`."""
    split: str = "train"
    """One of `palettes.SPLITS`."""
    steps: int = Field(default=32, ge=1)
    """Actions per episode."""
    size: tuple[int, int] = (64, 64)
    """(height, width) of the frames in pixels."""
    seed: int = Field(default=0, ge=0, lt=2**20)
    """Another seed means other scenes and other choices."""
    episodes_per_house: int = Field(default=3, ge=1)
    """Consecutive episodes of the same scene (house, turntable or drop)."""

    @property
    def recordable(self) -> Recordable:
        """The simulator and how it is recorded.

        Raises:
            UnknownNameError: there is none of this name.
        """
        return recordable_of(self.sim)

    def manifest(self, *, command: str, finished_episodes: int = 0, renderer: str | None = None) -> Manifest:
        """The manifest of a folder that holds this recording."""
        recordable = self.recordable
        return Manifest(
            simulator=recordable.simulator,
            split=self.split,
            seed=self.seed,
            episodes=self.episodes,
            steps=self.steps,
            episodes_per_house=self.episodes_per_house,
            episodes_per_shard=self.episodes_per_shard,
            frame_size=self.size,
            action_words=recordable.action_words,
            licenses=recordable.licenses,
            command=command,
            packages=package_versions(recordable.packages),
            renderer=renderer,
            finished_episodes=finished_episodes,
            finished_frames=finished_episodes * (self.steps + 1),
        )


def record_shard(recording: Recording, shard: int, folder: str | Path, simulator: Any = None) -> Path:
    """Record one shard, unless it is there already; returns its path.

    Args:
        recording: the settings.
        shard: which shard, in `range(recording.shards)`.
        folder: where shards lie.
        simulator: one of the right kind, split and size to use; None opens one and closes it again.

    Raises:
        RecordingError: the shard could not be written.
    """
    if not recording.lacks(folder, shard):
        return shard_path(folder, shard)
    used = recording.recordable.open(split=recording.split, size=recording.size) if simulator is None else simulator
    try:
        return write_shard(folder, shard, (_record_one(recording, number, used) for number in recording.episodes_of(shard)))
    finally:
        if simulator is None:
            used.close()


def _record_one(recording: Recording, number: int, simulator: Any) -> Episode:
    recordable = recording.recordable
    rng = np.random.default_rng((recording.seed, SPLITS.index(recording.split), number, *recordable.salt))
    seed = recording.seed * _SCENES_PER_SEED + number // recording.episodes_per_house
    episode_id = f"{recording.sim}-{recording.split}-{recording.seed}-{number:06d}"
    return recordable.record(simulator, steps=recording.steps, seed=seed, episode_id=episode_id, rng=rng)

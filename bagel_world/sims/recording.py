"""Recording walks through houses: shard i is a function of the settings and i alone, so recordings can stop and go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.actions import NAVIGATE_WORDS, action_from_id
from bagel_world.episodes.manifest import AssetLicense, Manifest, package_versions
from bagel_world.episodes.shards import EPISODES_PER_SHARD, shard_path, write_shard
from bagel_world.sims.house import House, draw_start
from bagel_world.sims.palettes import SPLITS
from bagel_world.sims.plans import draw_plan
from bagel_world.sims.walker import Walker
from bagel_world.types import Episode

LICENSES = (
    AssetLicense(
        name="miniworld",
        license="MIT (license file and README of the project; the license field of its package says Apache)",
        source="https://github.com/Farama-Foundation/Miniworld/blob/master/LICENSE",
    ),
)

FACING_OBJECT_SHARE = 0.85
"""Walks that begin with an object in view."""

_PACKAGES = ("bagel-world", "miniworld", "pyglet", "gymnasium", "numpy", "pillow", "pyarrow")
_HOUSES_PER_SEED = 2**20


class HouseRecording(BaseModel):
    """What to record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: str = "train"
    """One of `palettes.SPLITS`."""
    episodes: int = Field(default=64, ge=1)
    """How many episodes."""
    steps: int = Field(default=32, ge=1)
    """Actions per episode."""
    size: tuple[int, int] = (64, 64)
    """(height, width) of the frames in pixels."""
    seed: int = Field(default=0, ge=0, lt=2**20)
    """Another seed means other houses and other walks."""
    episodes_per_house: int = Field(default=3, ge=1)
    """Walks through the same house, from different start poses."""
    episodes_per_shard: int = Field(default=EPISODES_PER_SHARD, ge=1)
    """Episodes in every shard but the last."""

    @property
    def shards(self) -> int:
        """The number of shards."""
        return -(-self.episodes // self.episodes_per_shard)

    def episodes_of(self, shard: int) -> range:
        """The numbers of a shard's episodes."""
        first = shard * self.episodes_per_shard
        return range(first, min(first + self.episodes_per_shard, self.episodes))

    def missing_from(self, folder: str | Path) -> list[int]:
        """The shards that are not in a folder yet."""
        return [shard for shard in range(self.shards) if not shard_path(folder, shard).exists()]

    def finished_in(self, folder: str | Path) -> int:
        """How many of the episodes are in a folder."""
        return self.episodes - sum(len(self.episodes_of(shard)) for shard in self.missing_from(folder))

    def manifest(self, *, command: str, finished_episodes: int = 0, renderer: str | None = None) -> Manifest:
        """The manifest of a folder that holds this recording."""
        return Manifest(
            simulator="bagel_world.sims.House",
            split=self.split,
            seed=self.seed,
            episodes=self.episodes,
            steps=self.steps,
            episodes_per_house=self.episodes_per_house,
            episodes_per_shard=self.episodes_per_shard,
            frame_size=self.size,
            action_words=NAVIGATE_WORDS,
            licenses=LICENSES,
            command=command,
            packages=package_versions(_PACKAGES),
            renderer=renderer,
            finished_episodes=finished_episodes,
            finished_frames=finished_episodes * (self.steps + 1),
        )


def record_walk(house: House, *, steps: int, seed: int, episode_id: str, rng: np.random.Generator) -> Episode:
    """Let a walker explore a house and write down what it sees.

    Args:
        house: the simulator, of any split.
        steps: how many actions.
        seed: which house of the split.
        episode_id: the name under which the episode is stored.
        rng: decides the start pose and every choice of the walker.
    """
    start = draw_start(draw_plan(house.split, seed), rng, facing_object=rng.random() < FACING_OBJECT_SHARE)
    frame, _ = house.reset(options={"house": seed, "pose": start})
    walker = Walker(house.plan, rng)
    frames, poses, visible, actions = [frame], [house.pose], [house.visible()], []
    for _ in range(steps):
        action = walker.act(house.pose)
        frames.append(house.step(action)[0])
        poses.append(house.pose)
        visible.append(house.visible())
        actions.append(action_from_id(action, house.action_words))
    return Episode(
        frames=np.stack(frames),
        actions=tuple(actions),
        poses=np.stack(poses),
        visible=tuple(visible),
        metadata={
            "episode_id": episode_id,
            "source": "bagel_world.sims.House",
            "split": house.split,
            "seed": seed,
            "house": house.plan.number,
            "style": walker.style,
        },
    )


def record_shard(recording: HouseRecording, shard: int, folder: str | Path, house: House | None = None) -> Path:
    """Record one shard, unless it is there already; returns its path.

    Args:
        recording: the settings.
        shard: which shard, in `range(recording.shards)`.
        folder: where shards lie.
        house: a simulator of the right split and size to use; None opens one and closes it again.

    Raises:
        RecordingError: the shard could not be written.
    """
    path = shard_path(folder, shard)
    if path.exists():
        return path
    simulator = House(split=recording.split, size=recording.size) if house is None else house
    try:
        return write_shard(folder, shard, (_record_one(recording, number, simulator) for number in recording.episodes_of(shard)))
    finally:
        if house is None:
            simulator.close()


def _record_one(recording: HouseRecording, number: int, house: House) -> Episode:
    rng = np.random.default_rng((recording.seed, SPLITS.index(recording.split), number))
    seed = recording.seed * _HOUSES_PER_SEED + number // recording.episodes_per_house
    episode_id = f"house-{recording.split}-{recording.seed}-{number:06d}"
    return record_walk(house, steps=recording.steps, seed=seed, episode_id=episode_id, rng=rng)

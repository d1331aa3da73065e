"""How the episodes of a recording are divided among shards, and which of them a folder still lacks."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from bagel_world.episodes.shards import EPISODES_PER_SHARD, count_episodes


class ShardPlan(BaseModel):
    """How many episodes, and how many of them in a shard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    episodes: int = Field(default=64, ge=1)
    """How many episodes."""
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

    def lacks(self, folder: str | Path, shard: int) -> bool:
        """Whether a folder has not all episodes of a shard; fewer lie there where fewer were asked for before.

        Raises:
            RecordingError: the shard is damaged.
        """
        return count_episodes(folder, shard) < len(self.episodes_of(shard))

    def missing_from(self, folder: str | Path) -> list[int]:
        """The shards that are not in a folder yet, or not all of them.

        Raises:
            RecordingError: a shard is damaged.
        """
        return [shard for shard in range(self.shards) if self.lacks(folder, shard)]

    def finished_in(self, folder: str | Path) -> int:
        """How many of the episodes are in a folder."""
        return self.episodes - sum(len(self.episodes_of(shard)) for shard in self.missing_from(folder))

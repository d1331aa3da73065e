"""Sources: folders of samples to learn from, ours or of the published layout, and how often each is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.episodes.sample_shards import sample_shard_paths
from bagel_world.episodes.samples import Sample
from bagel_world.episodes.shards import shard_paths
from bagel_world.errors import ConfigError, RecordingError
from bagel_world.training.data.published import PublishedFolder
from bagel_world.training.data.walks import identity_of

Read = Callable[[int, np.random.Generator], Sample]
"""Gives the sample at a place; what is random about it (which of several captions) comes from the generator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Samples by place, and how often they are drawn.

    Attributes:
        name: unique among the sources of a stream.
        count: number of samples.
        read: gives a sample; called by several threads where threads read ahead.
        weight: share of the draws, in any unit.
        blocks: how many samples lie together (in one shard) and are best read together; empty where that does not matter.
        identity: tells these samples from others of the same number; empty where nobody knows.
        lost: what is wrong with files whose samples have no places, as no manifest says how many there were.

    Raises:
        ConfigError: no samples, or blocks that do not add up to them.
    """

    name: str
    count: int
    read: Read
    weight: float = 1.0
    blocks: tuple[int, ...] = ()
    identity: str = ""
    lost: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.count < 1 or (self.blocks and sum(self.blocks) != self.count):
            raise ConfigError(
                f"Expected source {self.name!r} to have samples, in blocks that add up, got {self.count} in {self.blocks}."
            )

    @classmethod
    def of(cls, samples: Sequence[Sample], *, name: str, weight: float = 1.0) -> Source:
        """A source over samples in memory, or anything else that gives them by index."""
        return cls(name=name, count=len(samples), read=lambda place, rng: samples[place], weight=weight)


class SourceConfig(BaseModel):
    """A folder to learn from: shards of samples, or parquet and JSON lines of the published program's fine-tuning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = Field(description="Where the files lie.")
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False, description="Its share of the draws, in any unit.")
    split: str = Field(
        default="train",
        description='Only samples of this split, by default "validation" in validation_samples; the published layout knows none.',
    )
    name: str | None = Field(default=None, description="What logs and positions call it; the folder's name where left out.")
    images: Path | None = Field(default=None, description="Folder of the images that JSON lines name.")
    license: str = Field(default="unknown", description="Of a folder in the published layout, which does not tell.")

    @property
    def called(self) -> str:
        """What logs and positions call it."""
        return self.name or self.folder.name

    def open(self) -> Source:
        """The source.

        Raises:
            RecordingError: nothing to read there, or nothing of this split.
        """
        found = open_samples(self.folder, split=self.split, images=self.images, license=self.license)
        facts: dict[str, Any] = {
            "name": self.called,
            "count": len(found),
            "weight": self.weight,
            "lost": tuple(found.unlisted_damage),
        }
        if isinstance(found, PublishedFolder):
            return Source(read=found.draw, blocks=found.blocks, identity=identity_of(files_of(self.folder)), **facts)
        blocks = tuple(shard.samples for shard in found.shards)
        listed = identity_of([shard.model_dump() for shard in found.shards])  # a shard that is damaged since keeps its places
        return Source(read=lambda place, rng: found[place], blocks=blocks, identity=listed, **facts)


def note_lost(source: Source, damage: Damage) -> None:
    """Count every file of a source that could not be opened as damage.

    Raises:
        RecordingError: that is more damage than may be.
    """
    for number, text in enumerate(source.lost, 1):
        damage.note(source.name, -number, RecordingError(text))


def files_of(folder: Path) -> list[tuple[str, int]]:
    """Names and sizes of the files that samples in a folder come from: others when the samples are others."""
    paths = sorted(path for ending in ("*.parquet", "*.jsonl") for path in folder.rglob(ending))
    return [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths]


def open_samples(
    folder: Path, *, split: str | None = None, images: Path | None = None, license: str = "unknown"
) -> SampleFolder | PublishedFolder:
    """The samples of a folder of shards, or else of one in the published layout.

    Args:
        folder: where the files lie.
        split: only samples of this split; the published layout knows none.
        images: where the images lie that JSON lines name.
        license: of a folder in the published layout, which does not tell.

    Raises:
        RecordingError: nothing to read there, or nothing of this split.
    """
    if shard_paths(folder) and not sample_shard_paths(folder):
        raise RecordingError(
            f"Expected samples in {folder}, found recorded episodes. A recipe names folders of episodes as train and validation."
        )
    published = folder.is_dir() and not sample_shard_paths(folder) and _has_rows(folder)
    return PublishedFolder(folder, images=images, license=license) if published else SampleFolder(folder, split=split)


def _has_rows(folder: Path) -> bool:
    return any(folder.rglob("*.parquet")) or any(folder.rglob("*.jsonl"))

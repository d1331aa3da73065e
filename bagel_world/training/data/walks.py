"""Recorded walks, decoded once: all frames of a split in one file that is mapped into memory."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from bagel_world.episodes.shards import read_episodes, shard_paths
from bagel_world.errors import TrainingError
from bagel_world.images import to_pixels
from bagel_world.training.data.cache import store_facts, store_frames

_LOG = logging.getLogger(__name__)


class WalkSource(BaseModel):
    """A folder of recorded episodes to draw windows from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    weight: float = Field(default=1.0, gt=0, description="How often windows are drawn from it, relative to the others.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Walks:
    """The episodes of one split, end to end.

    Attributes:
        frames: uint8, shape (frames, height, width, 3); usually a memory map.
        starts: int64, shape (episodes + 1,): where each episode's frames begin, and the total.
        actions: action words that lead to each frame; "" for the first frame of an episode.
        folders: int64, shape (episodes,): the number of the folder each episode came from; None where all came from one.
        weights: how often each folder is drawn from, relative to the others.
        identity: tells this footage from other footage; "" where it is in memory only.
    """

    frames: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    actions: tuple[str, ...]
    folders: npt.NDArray[np.int64] | None = None
    weights: tuple[float, ...] = (1.0,)
    identity: str = ""

    def __len__(self) -> int:
        """The number of episodes."""
        return len(self.starts) - 1

    def windows(self, length: int) -> list[npt.NDArray[np.int64]]:
        """Every place where a window of `length` frames of one episode can begin, by folder.

        Raises:
            TrainingError: a folder has no episode that is that long.
        """
        origins = np.zeros(len(self), np.int64) if self.folders is None else self.folders
        return [self._windows_of(np.flatnonzero(origins == number), length) for number in range(len(self.weights))]

    def _windows_of(self, episodes: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
        spans = ((int(self.starts[each]), int(self.starts[each + 1])) for each in episodes)
        places = [np.arange(start, end - length + 1) for start, end in spans]
        found = np.concatenate(places) if places else np.empty(0, np.int64)
        if not len(found):
            longest = int(np.diff(self.starts)[episodes].max(initial=0))
            raise TrainingError(f"Expected episodes of at least {length} frames, the longest has {longest}. Use shorter windows.")
        return found


def gather_walks(sources: Sequence[WalkSource], cache: str | Path) -> Walks:
    """The walks of folders of shards; decoded into `cache` the first time and whenever the shards have changed.

    Raises:
        RecordingError: there are no shards in a folder, or one is damaged.
        TrainingError: the frames differ in size, or the cache cannot be written.
    """
    cache = Path(cache)
    shards = {str(path): path.stat().st_size for source in sources for path in shard_paths(source.folder)}
    facts_path, frames_path = cache / "walks.json", cache / "frames.npy"
    facts = json.loads(facts_path.read_text(encoding="utf-8")) if facts_path.is_file() and frames_path.is_file() else {}
    if facts.get("shards") != shards:
        folders = [source.folder for source in sources]
        _LOG.info("decoding the frames of %s into %s", ", ".join(map(str, folders)), cache)
        facts = {"shards": shards, **_decode(folders, frames_path)}
        store_facts(facts_path, facts)
    frames = np.load(frames_path, mmap_mode="r")
    return Walks(
        frames=frames,
        starts=np.array(facts["starts"], np.int64),
        actions=tuple(facts["actions"]),
        folders=np.array(facts["folders"], np.int64),
        weights=tuple(source.weight for source in sources),
        identity=identity_of([[Path(path).name, size] for path, size in shards.items()]),
    )


def identity_of(facts: Any) -> str:
    """A short text that other JSON values do not have."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def as_pixels(frames: npt.NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """Pixels in [-1, 1] of a batch of frames, shape (batch, 3, height, width), channels last in memory."""
    return torch.from_numpy(to_pixels(frames)).to(device).contiguous(memory_format=torch.channels_last)


def _decode(folders: Sequence[Path], frames_path: Path) -> dict[str, list[int] | list[str]]:
    starts, actions, origins = [0], [], []

    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        size: tuple[int, ...] | None = None
        for number, folder in enumerate(folders):
            for episode in read_episodes(folder):
                found = episode.frames.shape[1:]
                if size not in (None, found):
                    raise TrainingError(
                        f"Expected frames of one size, got {size} and {found} in {folder}. Record all footage at one size."
                    )
                size = found
                starts.append(starts[-1] + len(episode.frames))
                actions.extend(["", *(action.text for action in episode.actions)])
                origins.append(number)
                yield episode.frames

    store_frames(frames_path, frames())
    return {"starts": starts, "actions": actions, "folders": origins}

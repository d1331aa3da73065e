"""Recorded walks, decoded once: all frames of a split in one file that is mapped into memory."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.shards import read_episodes, shard_paths
from bagel_world.errors import TrainingError
from bagel_world.images import to_pixels
from bagel_world.training.data.cache import store_facts, store_frames

_LOG = logging.getLogger(__name__)


class WalkSource(BaseModel):
    """A folder of recorded episodes to draw windows from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = Field(description="Where the shards of episodes lie.")
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

    def windows(self, length: int, *, setting: str = "length") -> list[npt.NDArray[np.int64]]:
        """Every place where a window of `length` frames of one episode can begin, by folder.

        Args:
            length: frames of a window.
            setting: what the user sets the length by, for the error.

        Raises:
            TrainingError: a folder has no episode that is that long.
        """
        origins = np.zeros(len(self), np.int64) if self.folders is None else self.folders
        return [self._windows_of(np.flatnonzero(origins == number), length, setting) for number in range(len(self.weights))]

    def _windows_of(self, episodes: npt.NDArray[np.int64], length: int, setting: str) -> npt.NDArray[np.int64]:
        spans = ((int(self.starts[each]), int(self.starts[each + 1])) for each in episodes)
        places = [np.arange(start, end - length + 1) for start, end in spans]
        found = np.concatenate(places) if places else np.empty(0, np.int64)
        if not len(found):
            longest = int(np.diff(self.starts)[episodes].max(initial=0))
            raise TrainingError(
                f"Expected episodes of at least {length} frames, the longest has {longest}. "
                f"Set {setting} lower, or take longer episodes."
            )
        return found


def gather_walks(sources: Sequence[WalkSource], cache: str | Path, *, damage: Damage | None = None) -> Walks:
    """The walks of folders of shards; decoded into `cache` the first time and whenever the shards have changed.

    Args:
        sources: the folders.
        cache: folder for the file.
        damage: counts damaged episodes, which are skipped up to its limit; by default the first one raises.

    Raises:
        RecordingError: there are no shards in a folder, or more episodes are damaged than may be skipped.
        TrainingError: the frames differ in size, a folder has no episode that can be read, or the cache cannot be written.
    """
    cache, damage = Path(cache), damage or Damage(0, kind="episode")
    shards = {str(path): path.stat().st_size for source in sources for path in shard_paths(source.folder)}
    facts_path, frames_path = cache / "walks.json", cache / "frames.npy"
    facts = json.loads(facts_path.read_text(encoding="utf-8")) if facts_path.is_file() and frames_path.is_file() else {}
    if facts.get("shards") != shards or not _still_skipped(facts, damage):
        folders = [source.folder for source in sources]
        _LOG.info("decoding the frames of %s into %s", ", ".join(map(str, folders)), cache)
        facts = {"shards": shards, "written": _times(shards), **_decode(folders, damage, frames_path)}
        store_facts(facts_path, facts)
    frames = np.load(frames_path, mmap_mode="r")
    # Footage without damage is told by its files alone; what was skipped tells the rest of it from the whole.
    files, skipped = [[Path(path).name, size] for path, size in shards.items()], facts.get("skipped", [])
    return Walks(
        frames=frames,
        starts=np.array(facts["starts"], np.int64),
        actions=tuple(facts["actions"]),
        folders=np.array(facts["folders"], np.int64),
        weights=tuple(source.weight for source in sources),
        identity=identity_of([files, skipped] if skipped else files),
    )


def identity_of(facts: Any) -> str:
    """A short text that other JSON values do not have."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def as_pixels(frames: npt.NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """Pixels in [-1, 1] of a batch of frames, shape (batch, 3, height, width), channels last in memory."""
    return torch.from_numpy(to_pixels(frames)).to(device).contiguous(memory_format=torch.channels_last)


def _still_skipped(facts: dict[str, Any], damage: Damage) -> bool:
    """Whether what these walks leave out may be left out today, and no shard was written since: it might be whole now."""
    skipped = facts.get("skipped", [])
    few = damage.limit is None or len(skipped) <= damage.limit
    return not skipped or (few and facts["written"] == _times(facts["shards"]))


def _times(shards: Iterable[str]) -> dict[str, int]:
    """When each was written."""
    return {path: Path(path).stat().st_mtime_ns for path in shards}


def _decode(folders: Sequence[Path], damage: Damage, frames_path: Path) -> dict[str, Any]:
    starts, actions, origins = [0], [], []

    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        size: tuple[int, ...] | None = None
        for number, folder in enumerate(folders):
            for episode in read_episodes(folder, damage=damage):
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
            if number not in origins[-1:]:
                raise TrainingError(
                    f"Expected episodes in {folder}, found none that can be read. Look at them with `bagel-world data check`, "
                    "or record them again."
                )

    store_frames(frames_path, frames())
    skipped = [[number, place] for number, folder in enumerate(folders) for place in sorted(damage.places.get(str(folder), ()))]
    return {"starts": starts, "actions": actions, "folders": origins, "skipped": skipped}

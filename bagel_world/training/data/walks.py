"""Recorded walks, decoded once: all frames of a split in one file that is mapped into memory."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bagel_world.episodes.shards import read_episodes, shard_paths
from bagel_world.errors import TrainingError
from bagel_world.files import replace_text, replacing
from bagel_world.images import to_pixels

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walks:
    """The episodes of one split, end to end.

    Attributes:
        frames: uint8, shape (frames, height, width, 3); usually a memory map.
        starts: int64, shape (episodes + 1,): where each episode's frames begin, and the total.
        actions: action words that lead to each frame; "" for the first frame of an episode.
    """

    frames: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    actions: tuple[str, ...]

    def __len__(self) -> int:
        """The number of episodes."""
        return len(self.starts) - 1

    def windows(self, length: int) -> npt.NDArray[np.int64]:
        """Every place where a window of `length` frames of one episode can begin.

        Raises:
            TrainingError: no episode is that long.
        """
        places = [np.arange(start, end - length + 1) for start, end in zip(self.starts[:-1], self.starts[1:], strict=True)]
        found = np.concatenate(places) if places else np.empty(0, np.int64)
        if not len(found):
            longest = int(np.diff(self.starts).max(initial=0))
            raise TrainingError(f"Expected episodes of at least {length} frames, the longest has {longest}. Use shorter windows.")
        return found


def gather_walks(folder: str | Path, cache: str | Path) -> Walks:
    """The walks of a folder of shards; decoded into `cache` the first time and whenever the shards have changed.

    Raises:
        RecordingError: there are no shards, or one is damaged.
        TrainingError: the frames differ in size, or the cache cannot be written.
    """
    folder, cache = Path(folder), Path(cache)
    shards = {path.name: path.stat().st_size for path in shard_paths(folder)}
    facts_path, frames_path = cache / "walks.json", cache / "frames.npy"
    facts = json.loads(facts_path.read_text(encoding="utf-8")) if facts_path.is_file() and frames_path.is_file() else {}
    if facts.get("shards") != shards:
        _LOG.info("decoding the frames of %s into %s", folder, cache)
        facts = {"shards": shards, **_decode(folder, frames_path)}
        _replace_text(facts_path, json.dumps(facts))
    frames = np.load(frames_path, mmap_mode="r")
    return Walks(frames=frames, starts=np.array(facts["starts"], np.int64), actions=tuple(facts["actions"]))


def as_pixels(frames: npt.NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """Pixels in [-1, 1] of a batch of frames, shape (batch, 3, height, width), channels last in memory."""
    return torch.from_numpy(to_pixels(frames)).to(device).contiguous(memory_format=torch.channels_last)


def _decode(folder: Path, frames_path: Path) -> dict[str, list[int] | list[str]]:
    parts: list[npt.NDArray[np.uint8]] = []
    starts, actions = [0], []
    for episode in read_episodes(folder):
        if parts and parts[0].shape[1:] != episode.frames.shape[1:]:
            sizes = f"{parts[0].shape[1:]} and {episode.frames.shape[1:]}"
            raise TrainingError(f"Expected frames of one size in {folder}, got {sizes}. Keep them in separate folders.")
        parts.append(episode.frames)
        starts.append(starts[-1] + len(episode.frames))
        actions += ["", *(action.text for action in episode.actions)]
    try:
        with replacing(frames_path) as file:
            np.save(file, np.concatenate(parts))
    except OSError as error:
        raise TrainingError(f"Could not write {frames_path}: {error}. Free some space or choose another run folder.") from error
    return {"starts": starts, "actions": actions}


def _replace_text(path: Path, text: str) -> None:
    try:
        replace_text(path, text)
    except OSError as error:
        raise TrainingError(f"Could not write {path}: {error}. Free some space or choose another run folder.") from error

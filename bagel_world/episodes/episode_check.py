"""What a folder of episodes holds: counts of everything in it, every frame decoded, and what is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.folder_check import MOST_FINDINGS, FolderCheck
from bagel_world.episodes.manifest import read_manifest
from bagel_world.episodes.shards import read_episodes, shard_paths
from bagel_world.errors import RecordingError
from bagel_world.types import Episode


@dataclass(slots=True, kw_only=True)
class EpisodeCheck(FolderCheck):
    """What a folder of episodes holds. A shard that cannot be opened counts as one damaged episode.

    Attributes:
        shards: finished shards, damaged or not.
        episodes: whole episodes.
        splits: whole episodes by split.
        lengths: whole episodes by their number of frames.
        sizes: frames by (width, height).
        actions: actions by their words.
    """

    shards: int = 0
    episodes: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)

    @property
    def frames(self) -> int:
        """Frames of all whole episodes."""
        return sum(self.sizes.values())

    def add(self, episode: Episode) -> None:
        """Count a whole episode."""
        self.episodes += 1
        count, height, width, _ = episode.frames.shape
        self.splits[str(episode.metadata.get("split") or "unknown")] += 1
        self.lengths[count] += 1
        self.sizes[width, height] += count
        self.actions.update(action.text for action in episode.actions)
        name = str(episode.metadata.get("episode_id"))
        self.name(name, f"Episode {name!r} comes more than once. Give every episode its own episode_id.")


def check_episodes(folder: str | Path, *, split: str | None = None) -> EpisodeCheck:
    """Read all episodes of a folder, decode every frame, and compare their number with what the manifest says.

    Args:
        folder: where the shards lie.
        split: only episodes of this split; None for all.

    Raises:
        RecordingError: there are no shards, nothing of this split, or the manifest cannot be read.
    """
    check, damage = EpisodeCheck(shards=len(shard_paths(folder))), Damage(None)
    for episode in read_episodes(folder, split=split, damage=damage):
        check.add(episode)
    if not (check.episodes or damage.total):
        which = "" if split is None else f" of the split {split!r}"
        raise RecordingError(f"Expected episodes{which} in {folder}, found none. Record some first.")
    check.damaged = damage.total
    check.findings = [*damage.messages, *check.findings][:MOST_FINDINGS]
    if split is None and not damage.total:  # a damaged shard is found already, and hides how many it held
        _find_lost(check, folder)
    return check


def _find_lost(check: EpisodeCheck, folder: str | Path) -> None:
    """Find episodes that were on disk when the manifest was written. More than those is a recording under way."""
    manifest = read_manifest(folder)
    if manifest is not None and check.episodes < manifest.finished_episodes:
        check.find(
            f"{folder} holds {check.episodes} episodes, but its manifest says that {manifest.finished_episodes} were finished: "
            "a shard was deleted or not copied. Copy it again, or record again with the same command to replace it."
        )

"""Episodes on disk: one schema, parquet shards, and the manifest that travels with them.

A leaf of the package: recorders, training and evaluation all read and write episodes through here.
"""

from __future__ import annotations

from bagel_world.episodes.manifest import Manifest, read_manifest, write_manifest
from bagel_world.episodes.shards import EpisodeFolder, ShardWriter, read_episodes, shard_path, write_shard

__all__ = [
    "EpisodeFolder",
    "Manifest",
    "ShardWriter",
    "read_episodes",
    "read_manifest",
    "shard_path",
    "write_manifest",
    "write_shard",
]

"""Episodes and training samples on disk: a schema for each, parquet shards, and the manifest that travels with them.

An episode is what was recorded: frames, actions, poses. A sample is what a model learns from: texts and images in order, each
with what it is for. A leaf of the package: recorders, training and evaluation all read and write through here.
"""

from __future__ import annotations

from bagel_world.episodes.manifest import Manifest, read_manifest, write_manifest
from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.episodes.sample_writer import SampleWriter, write_samples
from bagel_world.episodes.samples import ImagePart, Sample, TextPart, check_sample, sample_from_episode
from bagel_world.episodes.shards import EpisodeFolder, ShardWriter, count_frames, read_episodes, shard_path, write_shard

__all__ = [
    "EpisodeFolder",
    "ImagePart",
    "Manifest",
    "Sample",
    "SampleFolder",
    "SampleWriter",
    "ShardWriter",
    "TextPart",
    "check_sample",
    "count_frames",
    "read_episodes",
    "read_manifest",
    "sample_from_episode",
    "shard_path",
    "write_manifest",
    "write_samples",
    "write_shard",
]

"""Cuts: which stretches of recorded episodes become samples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bagel_world.episodes.shards import read_rows
from bagel_world.errors import ConfigError


class Cut(NamedTuple):
    """A stretch of an episode."""

    folder: int
    """Place of the folder among those given."""
    row: int
    """Place of the episode in the folder."""
    start: int
    """Its first frame."""


def find_cuts(folders: Sequence[str | Path], *, frames: int, every: int) -> tuple[list[Cut], int]:
    """Every cut of so many frames, one every so many steps; and how many episodes are too short for one.

    Raises:
        ConfigError: all of them are.
        RecordingError: a folder without shards, or a damaged one.
    """
    cuts: list[Cut] = []
    short = 0
    for folder, path in enumerate(folders):
        for row, values in enumerate(read_rows(path, ("action_texts",))):
            starts = range(0, len(values["action_texts"]) + 2 - frames, every)
            cuts += [Cut(folder, row, start) for start in starts]
            short += not starts
    if not cuts:
        raise ConfigError(f"Expected an episode of at least {frames} frames, got {short} shorter ones. Ask for fewer frames.")
    return cuts, short


def draw_cuts(cuts: Sequence[Cut], n: int | None, rng: np.random.Generator) -> list[Cut]:
    """So many cuts at random (None: all), in random order, but those of one episode together, so that it is read once."""
    by_episode: dict[tuple[int, int], list[Cut]] = defaultdict(list)
    for place in rng.permutation(len(cuts))[:n]:
        cut = cuts[int(place)]
        by_episode[cut.folder, cut.row].append(cut)
    return [cut for together in by_episode.values() for cut in together]

"""Houses for reach: footage as it is looked at, read by the commands that teach and measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from bagel_world.episodes.shards import read_episodes
from bagel_world.images import fit_image
from bagel_world.types import Episode, Frame


def read_houses(folders: Sequence[Path], side: int, console: Console) -> tuple[Frame, list[Episode]]:
    """All frames end to end, as small as they are looked at, and the walks with hardly anything in the place of theirs."""
    frames, walks = [], []
    for episode in track(chain.from_iterable(map(read_episodes, folders)), description="reading", console=console):
        small = np.stack([fit_image(frame, (side, side)) for frame in episode.frames])
        frames.append(small)
        walks.append(replace(episode, frames=small[:, :1, :1].copy()))
    return np.concatenate(frames), walks

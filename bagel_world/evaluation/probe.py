"""The action probe: a small network of its own that reads from two frames which action lies between them.

It is trained on pairs of real frames only and knows nothing of the model under test. Which places of one frame look like which
places of the other is all it gets to see, so that it reads movement, not decoration.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from bagel_world.errors import ConfigError
from bagel_world.evaluation.referees import fit_referee, kept_referee, load_referee
from bagel_world.evaluation.subject import Track, untracked
from bagel_world.images import to_pixels
from bagel_world.types import Episode, Frame

logger = logging.getLogger(__name__)

_NAME = "probe"

_GRID = 8
_READ_BATCH = 256
_HELD_OUT = 0.1


class ProbeConfig(BaseModel):
    """How a probe is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: int = Field(default=16_000, ge=1)
    """Pairs of neighboring frames, whole episodes at a time; fewer where the footage has fewer."""
    steps: int = Field(default=1200, ge=1)
    """Optimizer steps."""
    batch: int = Field(default=64, ge=1)
    """Pairs per step, all actions alike often."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak of a one-cycle schedule."""
    width: int = Field(default=64, ge=8, multiple_of=8)
    """Channels of the features that are compared."""
    seed: int = Field(default=0, ge=0)
    """Decides pairs, weights and batches."""


class ProbeSettings(BaseModel):
    """`probe.json`: what a stored probe was trained for and on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action_words: tuple[str, ...]
    frame_size: tuple[int, int]
    footage: str
    config: ProbeConfig
    held_out_accuracy: float
    """On pairs of real training episodes that it was not trained on."""
    held_out_pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Neighboring frames and the action between them.

    Attributes:
        frames: uint8, shape (m, height, width, 3).
        before: where in `frames` the first frame of each pair is; the second follows it.
        labels: action ids.
    """

    frames: Frame
    before: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]


class ActionProbe(nn.Module):
    """Features of both frames on an 8 x 8 grid, every place compared with every place, then a small classifier."""

    def __init__(self, actions: int, width: int) -> None:
        super().__init__()
        half = width // 2
        self.features = nn.Sequential(
            nn.Conv2d(3, half, 5, 2, 2),
            nn.ReLU(),
            nn.Conv2d(half, width, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 2, 1),
            nn.AdaptiveAvgPool2d(_GRID),
        )
        self.temperature = nn.Parameter(torch.tensor(4.0))
        self.classifier = nn.Sequential(nn.Linear(_GRID**4, 128), nn.ReLU(), nn.Linear(128, actions))

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Logits, shape (batch, actions), from pixels (batch, 3, height, width) in [-1, 1]."""
        one, other = (self._places(each) for each in (before, after))
        return self.classifier((self.temperature * one @ other.transpose(1, 2)).flatten(1))

    def _places(self, pixels: Tensor) -> Tensor:
        """[batch, places, width]: unit vectors without what all places of the frame share."""
        found = self.features(pixels).flatten(2).transpose(1, 2)
        return F.normalize(found - found.mean(dim=1, keepdim=True), dim=-1)

    @torch.inference_mode()
    def read(self, before: Frame, after: Frame) -> npt.NDArray[np.int64]:
        """The action ids it reads between pairs of frames, each uint8 (n, height, width, 3)."""
        parts = [
            self(_pixels(before[start : start + _READ_BATCH]), _pixels(after[start : start + _READ_BATCH])).argmax(-1)
            for start in range(0, len(before), _READ_BATCH)
        ]
        return torch.cat(parts).numpy()


def _pixels(frames: Frame) -> Tensor:
    return torch.from_numpy(to_pixels(frames))


def collect_pairs(episodes: Sequence[Episode], order: Sequence[int], words: tuple[str, ...], limit: int) -> Pairs:
    """Pairs of whole episodes, in this order, until there are at least `limit`.

    Left out: words that are not in `words`, and steps that led nowhere although they should have (a walk into a wall), for
    nobody can tell those from "Stay".
    """
    frames, before, labels, count = [], [], [], 0
    for index in order:
        episode = episodes[index]
        for place, action in enumerate(episode.actions):
            if action.text in words and is_readable(episode.frames[place], episode.frames[place + 1], action.text):
                before.append(count + place)
                labels.append(words.index(action.text))
        frames.append(episode.frames)
        count += len(episode.frames)
        if len(labels) >= limit:
            break
    if not labels:
        raise ConfigError(f"Expected episodes with the actions {words}, found none of them. Pass the footage of these actions.")
    return Pairs(frames=np.concatenate(frames), before=np.array(before), labels=np.array(labels))


def is_readable(before: Frame, after: Frame, word: str) -> bool:
    """Whether the action can be read from the frames: a move that changed nothing cannot."""
    return word == "Stay" or not np.array_equal(before, after)


def train_probe(
    episodes: Sequence[Episode], words: tuple[str, ...], config: ProbeConfig, *, footage: str, track: Track = untracked
) -> tuple[ActionProbe, ProbeSettings]:
    """Train a probe; some minutes on a CPU.

    Args:
        episodes: real footage of the train split.
        words: the actions to tell apart.
        config: how to train.
        footage: the name under which the settings remember the episodes.
        track: shows progress.

    Raises:
        ConfigError: fewer than two episodes, or not all of these actions in them.
    """
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(episodes)).tolist()
    if len(order) < 2:
        raise ConfigError(f"Expected at least two episodes to train and to check the action probe on, got {len(order)}.")
    aside = min(max(1, round(_HELD_OUT * len(order))), 100)
    held_out = collect_pairs(episodes, order[:aside], words, config.pairs // 8 + 1)
    pairs = collect_pairs(episodes, order[aside:], words, config.pairs)
    unseen = [word for place, word in enumerate(words) if place not in pairs.labels]
    if unseen:
        raise ConfigError(
            f"Expected footage to train the action probe on that shows all of {list(words)}, it lacks {unseen}. "
            "Record more, or pass other footage."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        probe = ActionProbe(len(words), config.width)
    _fit(probe, pairs, config, rng, track)
    found = probe.read(held_out.frames[held_out.before], held_out.frames[held_out.before + 1])
    accuracy = float((found == held_out.labels).mean())
    logger.info("the action probe reads %.3f of %d held-out pairs right", accuracy, len(held_out.labels))
    height, width = pairs.frames.shape[1:3]
    settings = ProbeSettings(
        action_words=words,
        frame_size=(height, width),
        footage=footage,
        config=config,
        held_out_accuracy=accuracy,
        held_out_pairs=len(held_out.labels),
    )
    return probe, settings


def _fit(probe: ActionProbe, pairs: Pairs, config: ProbeConfig, rng: np.random.Generator, track: Track) -> None:
    members = [np.flatnonzero(pairs.labels == label) for label in np.unique(pairs.labels)]

    def draw() -> tuple[Tensor, Tensor]:
        kinds = rng.integers(len(members), size=config.batch)
        picked = np.array([rng.choice(members[kind]) for kind in kinds])
        before = pairs.before[picked]
        logits = probe(_pixels(pairs.frames[before]), _pixels(pairs.frames[before + 1]))
        return logits, torch.from_numpy(pairs.labels[picked])

    fit_referee(probe, draw, steps=config.steps, learning_rate=config.learning_rate, track=track, what="action probe")


def load_probe(folder: str | Path) -> tuple[ActionProbe, ProbeSettings] | None:
    """The probe in a folder; None where there is none.

    Raises:
        RecordingError: its files are damaged.
    """
    return load_referee(folder, _NAME, ProbeSettings, lambda found: ActionProbe(len(found.action_words), found.config.width))


def load_or_train_probe(
    folder: str | Path,
    episodes: Sequence[Episode],
    words: tuple[str, ...],
    config: ProbeConfig,
    *,
    footage: str,
    track: Track = untracked,
) -> tuple[ActionProbe, ProbeSettings]:
    """The stored probe where it fits these words, frames, footage and settings; otherwise a new one, which is stored."""
    found, size = load_probe(folder), episodes[0].frames.shape[1:3]
    wanted = (words, size, footage, config)
    fits = found is not None and (found[1].action_words, found[1].frame_size, found[1].footage, found[1].config) == wanted
    return kept_referee(
        folder, _NAME, found, fits=fits, train=lambda: train_probe(episodes, words, config, footage=footage, track=track)
    )

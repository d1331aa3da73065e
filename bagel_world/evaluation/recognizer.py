"""The recognizer: a small network of its own that reads from the picture of an object which kind of object it is.

It learns from real frames only and knows nothing of the model under test. While it learns, pictures are moved, mirrored,
blurred and lit otherwise, for a person would still know what they show.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from bagel_world.errors import ConfigError
from bagel_world.evaluation.compared import Mask
from bagel_world.evaluation.kinds import FootageKind
from bagel_world.evaluation.referees import fit_referee, kept_referee, load_referee
from bagel_world.evaluation.subject import Track, untracked
from bagel_world.evaluation.windows import cut_window
from bagel_world.images import to_pixels
from bagel_world.types import Episode, Frame

logger = logging.getLogger(__name__)

SIDE = 48
"""Pictures of objects are so many pixels wide and high."""

LEAST_SHARE = 1 / 150
"""An object counts where it covers at least this share of the frame; smaller ones nobody would know."""

_NAME = "recognizer"
_MARGIN, _RIM = 1.3, 2.0  # how much is seen around an object: a factor of its longer side, and pixels
_STRETCH = 4  # frames per episode
_READ_BATCH = 256
_HELD_OUT, _MOST_HELD_OUT = 0.1, 200


class RecognizerConfig(BaseModel):
    """How a recognizer is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pictures: int = Field(default=10_000, ge=1)
    """Pictures of objects, whole stretches of frames at a time; fewer where the footage has fewer."""
    steps: int = Field(default=1500, ge=1)
    """Optimizer steps."""
    batch: int = Field(default=64, ge=1)
    """Pictures per step."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak of a one-cycle schedule."""
    width: int = Field(default=48, ge=8, multiple_of=8)
    """Channels of the first layers; the last has four times as many."""
    seed: int = Field(default=0, ge=0)
    """Decides pictures, weights and batches."""


class RecognizerSettings(BaseModel):
    """`recognizer.json`: what a stored recognizer was trained for and on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...]
    frame_size: tuple[int, int]
    footage: str
    config: RecognizerConfig
    held_out_accuracy: float
    """On objects of real training episodes that it was not trained on."""
    held_out_pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures of objects and what they show.

    Attributes:
        pixels: uint8, shape (m, SIDE, SIDE, 3).
        names: the kind of each.
    """

    pixels: Frame
    names: npt.NDArray[np.str_]


def picture_of(frame: Frame, mask: Mask) -> Frame:
    """The square around an object, with some of what is around it: uint8, shape (SIDE, SIDE, 3).

    Args:
        frame: uint8, shape (height, width, 3).
        mask: which of its pixels show the object, shape (height, width); at least one.
    """
    rows, columns = np.nonzero(mask)
    ends = [(int(each.min()), int(each.max()) + 1) for each in (columns, rows)]
    half = max(high - low for low, high in ends) / 2 * _MARGIN + _RIM
    x, y = ((low + high) / 2 for low, high in ends)
    around = (x - half, y - half, x + half, y + half)
    return np.asarray(Image.fromarray(frame).transform((SIDE, SIDE), Image.Transform.EXTENT, around, Image.Resampling.BILINEAR))


def is_large(mask: Mask) -> bool:
    """Whether so many pixels show an object that it counts."""
    return bool(mask.sum() >= LEAST_SHARE * mask.size)


class Recognizer(nn.Module):
    """Five convolutions, the mean over places, and one linear layer.

    Args:
        names: the kinds to tell apart.
        width: channels of the first two convolutions.
    """

    def __init__(self, names: Sequence[str], width: int) -> None:
        super().__init__()
        self.names = np.array(names)
        widths, strides = (3, width, width, 2 * width, 2 * width, 4 * width), (1, 2, 2, 1, 2)
        layers: list[nn.Module] = []
        for into, out, stride in zip(widths, widths[1:], strides, strict=False):
            layers += [nn.Conv2d(into, out, 3, stride, 1), nn.GroupNorm(8, out), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(widths[-1], len(names)))

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits, shape (batch, kinds), from pixels (batch, 3, SIDE, SIDE) in [-1, 1]."""
        return self.classifier(self.features(pixels.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3)))

    @torch.inference_mode()
    def read(self, pictures: Frame) -> npt.NDArray[np.str_]:
        """The kind that each picture, uint8 (m, SIDE, SIDE, 3), is taken for."""
        parts = [
            self(torch.from_numpy(to_pixels(pictures[start : start + _READ_BATCH]))).argmax(-1).numpy()
            for start in range(0, len(pictures), _READ_BATCH)
        ]
        return self.names[np.concatenate(parts)]


def collect_pictures(
    kind: FootageKind,
    episodes: Sequence[Episode],
    order: Sequence[int],
    limit: int,
    rng: np.random.Generator,
    track: Track = untracked,
) -> Pictures:
    """Pictures of all objects in a stretch of each episode, in this order, until there are at least `limit`.

    Raises:
        SimulatorError: a scene cannot be built again.
    """
    pixels, names = [], []
    with closing(kind.open_scenes(_size_of(episodes))) as scenes:
        for index in track(order, "pictures of objects"):
            episode = episodes[index]
            start = int(rng.integers(max(1, len(episode.frames) - _STRETCH + 1)))
            window = cut_window(episode, start, context=1, horizon=_STRETCH - 1)
            known = kind.objects(episode.metadata)
            for frame, owners in zip(window.frames, scenes.owners(window), strict=True):
                for number, name in enumerate(known):
                    mask = owners == number
                    if is_large(mask):
                        pixels.append(picture_of(frame, mask))
                        names.append(name)
            if len(names) >= limit:
                break
    return Pictures(pixels=np.stack(pixels) if pixels else np.empty((0, SIDE, SIDE, 3), np.uint8), names=np.array(names))


def train_recognizer(
    kind: FootageKind, episodes: Sequence[Episode], config: RecognizerConfig, *, footage: str, track: Track = untracked
) -> tuple[Recognizer, RecognizerSettings]:
    """Train a recognizer; some minutes on a CPU.

    Args:
        kind: of the footage; one that knows which pixels show its objects.
        episodes: real footage of the train split.
        config: how to train.
        footage: the name under which the settings remember the episodes.
        track: shows progress.

    Raises:
        ConfigError: fewer than two episodes, or of fewer than two kinds of objects.
        SimulatorError: a scene cannot be built again.
    """
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(episodes)).tolist()
    aside = min(max(1, round(_HELD_OUT * len(order))), _MOST_HELD_OUT)
    held_out = collect_pictures(kind, episodes, order[:aside], config.pictures, rng)
    learned = collect_pictures(kind, episodes, order[aside:], config.pictures, rng, track)
    names = sorted(set(learned.names.tolist()))
    if len(names) < 2 or not len(held_out.names):
        raise ConfigError(
            f"Expected footage of at least two kinds of objects in several episodes to train the recognizer on, got {names} in "
            f"{len(order)} episodes. Record more, or pass other footage with --train-data."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        recognizer = Recognizer(names, config.width)
        _fit(recognizer, learned, config, rng, track)
    accuracy = float((recognizer.read(held_out.pixels) == held_out.names).mean())
    logger.info("the recognizer knows %.3f of %d held-out pictures", accuracy, len(held_out.names))
    settings = RecognizerSettings(
        names=tuple(names),
        frame_size=_size_of(episodes),
        footage=footage,
        config=config,
        held_out_accuracy=accuracy,
        held_out_pictures=len(held_out.names),
    )
    return recognizer, settings


def load_or_train_recognizer(
    folder: str | Path,
    kind: FootageKind,
    episodes: Sequence[Episode],
    config: RecognizerConfig,
    *,
    footage: str,
    track: Track = untracked,
) -> tuple[Recognizer, RecognizerSettings]:
    """The stored recognizer where it fits these frames, this footage and these settings; otherwise a new one, which is stored."""
    found = load_referee(folder, _NAME, RecognizerSettings, lambda stored: Recognizer(stored.names, stored.config.width))
    wanted = (_size_of(episodes), footage, config)
    fits = found is not None and (found[1].frame_size, found[1].footage, found[1].config) == wanted
    return kept_referee(
        folder, _NAME, found, fits=fits, train=lambda: train_recognizer(kind, episodes, config, footage=footage, track=track)
    )


def _fit(recognizer: Recognizer, learned: Pictures, config: RecognizerConfig, rng: np.random.Generator, track: Track) -> None:
    labels = torch.from_numpy(np.searchsorted(recognizer.names, learned.names))
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))

    def draw() -> tuple[Tensor, Tensor]:
        picked = rng.integers(len(labels), size=config.batch)
        pixels = torch.from_numpy(to_pixels(learned.pixels[picked]))
        return recognizer(_disturbed(pixels, generator)), labels[picked]

    fit_referee(recognizer, draw, steps=config.steps, learning_rate=config.learning_rate, track=track, what="recognizer")


def _disturbed(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """The same objects elsewhere, larger or smaller, perhaps mirrored; half of them blurred; in another light, with noise."""
    count = len(pixels)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    size = 1 + 0.2 * (2 * uniform(count) - 1)
    where = torch.zeros(count, 2, 3)
    where[:, 0, 0] = torch.where(uniform(count) < 0.5, -size, size)
    where[:, 1, 1] = size
    where[:, :, 2] = 0.2 * (2 * uniform(count, 2) - 1)
    grid = F.affine_grid(where, list(pixels.shape), align_corners=False)
    pixels = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    coarse = int(torch.randint(1, 5, (1,), generator=generator))
    few = F.avg_pool2d(pixels[: count // 2], coarse)
    blurred = F.interpolate(few, size=pixels.shape[-2:], mode="bilinear", align_corners=False)
    pixels = torch.cat([blurred, pixels[count // 2 :]])
    pixels = pixels * (1 + 0.2 * normal(count, 1, 1, 1)) + 0.1 * normal(count, 3, 1, 1)
    return pixels + 0.1 * uniform(count, 1, 1, 1) * normal(*pixels.shape)


def _size_of(episodes: Sequence[Episode]) -> tuple[int, int]:
    height, width = episodes[0].frames.shape[1:3]
    return height, width

"""Frames that a world model imagined, beside the recorded ones that came in truth: what the decoder learns to paint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bagel_world.errors import TrainingError
from bagel_world.model.checkpoint import Checkpoint, save_tensors
from bagel_world.training.data.walks import Walks, as_pixels
from bagel_world.types import Frame

Imagine = Callable[[Checkpoint, Frame, Sequence[Sequence[str]], Sequence[Sequence[int]]], Tensor]
"""What imagines on: (checkpoint, uint8 frames of shape (n, context, height, width, 3), the n x (context - 1 + steps) action words
between and after them, n x steps seeds) -> latents of shape (n, steps, channels, latent height, latent width)."""

_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagined:
    """Pairs of an imagined frame and the recorded one.

    Attributes:
        walks: the recorded frames.
        places: int64, shape (n,): which of them were imagined.
        latents: float16, shape (n, channels, latent height, latent width): as they were imagined.
        encoded: the same shape: as the encoder gives them.
    """

    walks: Walks
    places: Tensor
    latents: Tensor
    encoded: Tensor

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.places)

    def frames(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """The recorded frames of some pairs."""
        return np.stack([self.walks.frames[place] for place in self.places[torch.from_numpy(chosen)].tolist()])

    def save(self, path: Path) -> None:
        """Write everything but the recorded frames.

        Raises:
            TrainingError: the file could not be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_tensors(path, {"places": self.places, "latents": self.latents, "encoded": self.encoded})
        except OSError as error:
            raise TrainingError(f"Could not write {path}: {error}. Free some space and resume.") from error

    @classmethod
    def load(cls, path: Path, walks: Walks) -> Imagined:
        """Read it back.

        Raises:
            TrainingError: the file is damaged.
        """
        try:
            return cls(walks=walks, **load_file(path))
        except (SafetensorError, TypeError) as error:
            raise TrainingError(f"{path} holds no imagined frames: {error}. Delete it to have them imagined again.") from error


def told_windows(walks: Walks, length: int) -> list[npt.NDArray[np.int64]]:
    """Every place where a window of `length` frames with an action between any two can begin, by folder.

    Raises:
        TrainingError: a folder has none.
    """
    silent = np.concatenate([[0], np.cumsum([not word for word in walks.actions])])
    found = []
    for places in walks.windows(length, setting="decoder.context or decoder.ahead"):
        told = places[silent[places + length] == silent[places + 1]]
        if not len(told):
            raise TrainingError(
                f"The decoder learns from what is imagined after actions, and a folder has no {length} frames with an action "
                "between any two. Set decoder.context or decoder.ahead lower, leave out decoder, or add walks as train."
            )
        found.append(told)
    return found


def imagine_walks(
    checkpoint: Checkpoint,
    walks: Walks,
    imagine: Imagine,
    *,
    windows: int,
    context: int,
    ahead: int,
    seed: int,
    workers: int,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
) -> Imagined:
    """Let a world model imagine frames that were recorded.

    Args:
        checkpoint: the world model.
        walks: the recorded frames, drawn from by the weights of their folders.
        imagine: what imagines with it.
        windows: how many stretches of walks.
        context: recorded frames before the imagined ones.
        ahead: frames imagined one after the other.
        seed: decides windows and noise.
        workers: threads that imagine.
        progress: called after every batch with (windows done, windows, nothing more).
    """
    rng = np.random.default_rng(seed)
    found, shares = told_windows(walks, context + ahead), np.array(walks.weights) / sum(walks.weights)
    folders = rng.choice(len(found), size=windows, p=shares)
    starts = np.array([found[folder][rng.integers(len(found[folder]))] for folder in folders])
    seeds = np.random.default_rng((seed, 1)).integers(2**62, size=(windows, ahead)).tolist()
    work = partial(_imagine_batch, checkpoint, walks, imagine, starts, seeds, context)
    places = (starts[:, None] + context + np.arange(ahead)).reshape(-1)
    parts: list[tuple[Tensor, Tensor]] = []
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for part in pool.map(work, range(0, windows, _BATCH)):
            parts.append(part)
            if progress is not None:
                progress(min(len(parts) * _BATCH, windows), windows, {})
    latents, encoded = (torch.cat(each) for each in zip(*parts, strict=True))
    return Imagined(walks=walks, places=torch.from_numpy(places), latents=latents, encoded=encoded)


@torch.no_grad()
def _imagine_batch(
    checkpoint: Checkpoint,
    walks: Walks,
    imagine: Imagine,
    starts: npt.NDArray[np.int64],
    seeds: Sequence[Sequence[int]],
    context: int,
    first: int,
) -> tuple[Tensor, Tensor]:
    """Latents of the frames of a batch of windows, imagined and encoded."""
    those = slice(first, first + _BATCH)
    ahead = len(seeds[0])
    frames = np.stack([walks.frames[start : start + context + ahead] for start in starts[those]])
    words = [walks.actions[start + 1 : start + context + ahead] for start in starts[those]]
    latents = imagine(checkpoint, frames[:, :context], words, seeds[those])
    truth = frames[:, context:].reshape(-1, *frames.shape[2:])
    encoded = checkpoint.vae.encode(as_pixels(truth, checkpoint.bagel.device))
    return latents.flatten(0, 1).half().cpu(), encoded.half().cpu()

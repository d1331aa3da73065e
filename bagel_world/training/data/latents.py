"""Latents of recorded frames, each encoded once when first asked for, and kept in a file that is mapped into memory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bagel_world.errors import TrainingError
from bagel_world.files import replace_text
from bagel_world.model.packing import to_tokens
from bagel_world.model.vae import Vae
from bagel_world.training.data.walks import Walks, as_pixels
from bagel_world.training.fingerprint import digest

_BATCH = 512


class LatentTable:
    """Latent tokens of every frame and of its mirror image (posterior means, stored in float16).

    Args:
        walks: the recorded frames.
        vae: the trained autoencoder.
        patch: latent pixels on a side of a token.
        cache: folder for the file; it starts afresh when the encoder or the footage has changed.
    """

    def __init__(self, walks: Walks, vae: Vae, *, patch: int, cache: Path) -> None:
        self.walks = walks
        self._vae = vae.eval().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._patch = patch
        height, width = walks.frames.shape[1:3]
        side = vae.config.downsample * patch
        self.grid = (height // side, width // side)
        size = patch * patch * vae.config.z_channels
        shape = (2, len(walks.frames), self.grid[0] * self.grid[1], size)
        try:
            cache.mkdir(parents=True, exist_ok=True)
            identity = {
                "encoder": digest(vae.encoder.named_parameters()),
                "shape": list(shape),
                "known": "frames",
                "walks": walks.identity,
            }
            facts = cache / "latents.json"
            same = facts.is_file() and json.loads(facts.read_text(encoding="utf-8")) == identity
            if not same:
                facts.unlink(missing_ok=True)  # until both files are there again
            self._tokens = _opened(cache / "latents.npy", np.float16, shape, fresh=not same)
            self._known = _opened(cache / "known.npy", np.bool_, shape[:2], fresh=not same)
            if not same:
                replace_text(facts, json.dumps(identity))
        except OSError as error:
            raise TrainingError(f"Could not write latents to {cache}: {error}. Free some space or move the run.") from error

    def fill(self) -> None:
        """Encode whatever is not there yet: processes that draw windows later then find everything in the file."""
        places = np.arange(len(self.walks.frames))
        for mirrored in (False, True):
            # The same parts every time: a run that is stopped here goes on with the latents it would have had.
            for part in np.array_split(places, -(-len(places) // _BATCH)):
                if not self._known[int(mirrored), part].all():
                    self._encode(part, mirrored=mirrored)

    def window(self, start: int, length: int, *, mirrored: bool) -> Tensor:
        """Latent tokens of consecutive frames: float32, shape (length, tokens, latent size)."""
        span = slice(start, start + length)
        # One by one: what a frame's latents are must not depend on which others were missing. Two threads that want the same
        # frame write the same values.
        for place in np.flatnonzero(~self._known[int(mirrored), span]):
            self._encode(np.array([start + place]), mirrored=mirrored)
        return torch.from_numpy(self._tokens[int(mirrored), span].astype(np.float32))

    def _encode(self, places: npt.NDArray[np.int64], *, mirrored: bool) -> None:
        frames = self.walks.frames[places]
        tokens = self.encode(frames[:, :, ::-1] if mirrored else frames)
        self._tokens[int(mirrored), places] = tokens.numpy().astype(np.float16)
        self._known[int(mirrored), places] = True

    @torch.no_grad()
    def encode(self, frames: npt.NDArray[np.uint8]) -> Tensor:
        """Latent tokens of frames: float32, shape (frames, tokens, latent size)."""
        pixels = as_pixels(frames, next(self._vae.parameters()).device)
        return to_tokens(self._vae.encode(pixels), self._patch).cpu()


def _opened(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...], *, fresh: bool) -> np.memmap[Any, Any]:
    table = np.lib.format.open_memmap(path, mode="w+" if fresh else "r+", dtype=dtype, shape=shape)
    if fresh and hasattr(os, "posix_fallocate"):
        # A file of holes would find the disk full only when it is written to, and that is no error but the end of the process.
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return table

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from bagel_world.errors import TrainingError
from bagel_world.model.packing import to_tokens
from bagel_world.training.data import latents
from bagel_world.training.data.latents import LatentTable
from tests.training.walks import make_latents, make_vae, make_walks


def test_window_is_what_the_autoencoder_gives(tmp_path: Path) -> None:
    walks, vae = make_walks(), make_vae()
    table = LatentTable(walks, vae, patch=2, cache=tmp_path)
    pixels = torch.from_numpy(walks.frames[7:10].astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected = to_tokens(vae.encode(pixels), 2)
        mirrored = to_tokens(vae.encode(pixels.flip(-1)), 2)
    torch.testing.assert_close(table.window(7, 3, mirrored=False), expected, atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(table.window(7, 3, mirrored=True), mirrored, atol=2e-3, rtol=2e-3)
    assert table.grid == (2, 2)


def test_latents_are_kept_on_disk_until_the_autoencoder_changes(tmp_path: Path) -> None:
    make_latents(tmp_path).window(0, 2, mirrored=False)
    assert np.load(tmp_path / "known.npy").sum() == 2
    make_latents(tmp_path)
    assert np.load(tmp_path / "known.npy").sum() == 2
    other = make_vae()
    with torch.no_grad():
        other.encoder.conv_in.bias.add_(1.0)
    LatentTable(make_walks(), other, patch=2, cache=tmp_path)
    assert np.load(tmp_path / "known.npy").sum() == 0


def test_latents_of_other_footage_are_made_anew(tmp_path: Path) -> None:
    walks, vae = replace(make_walks(), identity="one"), make_vae()
    LatentTable(walks, vae, patch=2, cache=tmp_path).window(0, 2, mirrored=False)
    other = replace(walks, frames=255 - walks.frames, identity="other")
    found = LatentTable(other, vae, patch=2, cache=tmp_path).window(0, 2, mirrored=False)
    fresh = LatentTable(other, vae, patch=2, cache=tmp_path / "fresh").window(0, 2, mirrored=False)
    assert torch.equal(found, fresh)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve room for a file")
def test_a_full_disk_is_a_sentence_before_anything_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(TrainingError, match="No space left"):
        make_latents(tmp_path)
    monkeypatch.undo()
    make_latents(tmp_path).window(0, 2, mirrored=False)


def test_a_filling_that_was_stopped_goes_on_in_the_same_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents, "_BATCH", 5)
    asked: list[list[int]] = []
    encode = LatentTable._encode

    def note(self: LatentTable, places: npt.NDArray[np.int64], *, mirrored: bool) -> None:
        asked.append(places.tolist())
        encode(self, places, mirrored=mirrored)

    monkeypatch.setattr(LatentTable, "_encode", note)
    make_latents(tmp_path / "whole").fill()
    whole = asked.copy()
    stopped = make_latents(tmp_path / "stopped")
    encode(stopped, np.arange(7), mirrored=False)
    asked.clear()
    stopped.fill()
    assert asked == whole[1:]

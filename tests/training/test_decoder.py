from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bagel_world.errors import TrainingError
from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.training.data.imagined import Imagined, imagine_walks, told_windows
from bagel_world.training.data.walks import Walks, as_pixels
from bagel_world.training.decoder import DecoderConfig, DecoderOptimizerConfig, DecoderTrainer
from bagel_world.training.decoder_stage import train_decoder
from bagel_world.types import Frame
from tests.training.resuming import check_resumes
from tests.training.walks import make_config, make_tokenizer, make_vae, make_walks

CONFIG = DecoderConfig(
    steps=6, batch=4, windows=4, context=2, ahead=2, validation_frames=6, validate_every=3, save_every=2, encoded_share=0.5
)


def _checkpoint() -> Checkpoint:
    shape = make_config()
    return Checkpoint(config=shape, bagel=Bagel(shape), vae=make_vae(), tokenizer=make_tokenizer())


def _dull(checkpoint: Checkpoint, frames: Frame, words: Sequence[Sequence[str]], seeds: Sequence[Sequence[int]]) -> Tensor:
    """A world where nothing happens, seen through fog: half of the latents of the last frame, and a little noise."""
    del words
    last = 0.5 * checkpoint.vae.encode(as_pixels(frames[:, -1]))
    steps = [[torch.randn(last.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in row] for row in seeds]
    return last[:, None] + 0.01 * torch.stack([torch.stack(row) for row in steps])


def _imagined(seed: int = 0, walks: Walks | None = None, workers: int = 2) -> Imagined:
    found = walks or make_walks()
    return imagine_walks(_checkpoint(), found, _dull, windows=40, context=2, ahead=2, seed=seed, workers=workers)


def _trainer(run: Path, config: DecoderConfig = CONFIG) -> DecoderTrainer:
    return DecoderTrainer(make_vae(), config, train=_imagined(), validation=_imagined(1), run=run)


def test_imagined_frames_stand_beside_the_recorded_ones() -> None:
    walks, asked = make_walks(episodes=3, frames=6), []

    def watch(checkpoint: Checkpoint, frames: Frame, words: Sequence[Sequence[str]], seeds: Sequence[Sequence[int]]) -> Tensor:
        asked.extend(zip(frames, words, seeds, strict=True))
        return _dull(checkpoint, frames, words, seeds)

    found = imagine_walks(_checkpoint(), walks, watch, windows=40, context=2, ahead=2, seed=0, workers=1)
    assert len(found) == 80
    assert len({seed for _, _, seeds in asked for seed in seeds}) == 80
    for (frames, words, _), places in zip(asked, found.places.reshape(40, 2).tolist(), strict=True):
        start = places[0] - 2
        assert places == [start + 2, start + 3]
        assert start // 6 == (start + 3) // 6  # of one episode
        assert np.array_equal(frames, walks.frames[start : start + 2])
        assert list(words) == list(walks.actions[start + 1 : start + 4])
    chosen = np.array([7, 0])
    pixels = as_pixels(found.frames(chosen))
    assert np.array_equal(found.frames(chosen)[0], walks.frames[int(found.places[7])])
    torch.testing.assert_close(found.encoded[chosen].float(), make_vae().encode(pixels).detach(), atol=2e-3, rtol=1e-3)


def test_threads_change_nothing() -> None:
    one, other = _imagined(workers=1), _imagined(workers=2)
    assert torch.equal(one.latents, other.latents)
    assert torch.equal(one.places, other.places)
    assert not torch.equal(_imagined(seed=1).places, one.places)


def test_folders_are_drawn_from_by_weight() -> None:
    walks = make_walks(episodes=2)
    halves = Walks(frames=walks.frames, starts=walks.starts, actions=walks.actions, folders=np.array([0, 1]), weights=(9.0, 1.0))
    second = (_imagined(walks=halves).places >= 6).float().mean()
    assert 0 < second < 0.4


def test_walks_without_words_are_refused() -> None:
    walks = make_walks(episodes=1)
    words = (*walks.actions[:3], "", *walks.actions[4:])
    told = Walks(frames=walks.frames, starts=walks.starts, actions=words)
    assert [list(each) for each in told_windows(told, 3)] == [[0, 3]]
    with pytest.raises(TrainingError, match=r"an action between any two\. Set decoder\.context or decoder\.ahead lower"):
        told_windows(told, 4)
    with pytest.raises(TrainingError, match=r"at least 7 frames, the longest has 6\. Set decoder\.context or decoder\.ahead"):
        told_windows(told, 7)


def test_what_was_imagined_is_kept(tmp_path: Path) -> None:
    found = _imagined()
    found.save(tmp_path / "folder" / "imagined.safetensors")
    again = Imagined.load(tmp_path / "folder" / "imagined.safetensors", found.walks)
    assert torch.equal(again.latents, found.latents)
    assert torch.equal(again.encoded, found.encoded)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "folder" / "imagined.safetensors").read_bytes()[:100])
    with pytest.raises(TrainingError, match="Delete it to have them imagined again"):
        Imagined.load(tmp_path / "cut.safetensors", found.walks)


def test_a_resumed_training_equals_one_never_stopped(tmp_path: Path) -> None:
    check_resumes(_trainer, tmp_path, lambda trainer: trainer.vae)


def test_the_decoder_learns_the_contrast_that_was_imagined_away_and_the_encoder_stays(tmp_path: Path) -> None:
    config = CONFIG.model_copy(
        update={"steps": 60, "validate_every": 1000, "save_every": 1000, "optimizer": DecoderOptimizerConfig(rate=1e-3)}
    )
    trainer = _trainer(tmp_path, config)
    before, encoder = trainer.validate(), {name: each.clone() for name, each in trainer.vae.encoder.named_parameters()}
    after = trainer.train()
    assert after["sharpness"] > 1.2 * before["sharpness"]
    for name, parameter in trainer.vae.encoder.named_parameters():
        assert torch.equal(parameter, encoder[name]), name


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_batch_without_pictures_of_one_kind_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="leaves pictures of both kinds in a batch of 4"):
        DecoderConfig(batch=4, encoded_share=share)


def test_losses_are_means_over_pictures_however_they_fall_into_slices(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"encoded_share": 0.25})  # one slice with an encoded picture, one without
    together, apart = (
        DecoderTrainer(make_vae(), config, train=_imagined(), validation=_imagined(1), run=tmp_path / str(count), workers=count)
        for count in (1, 2)
    )
    (whole,) = (together._losses(part) for part in together._batch())
    parts = [apart._losses(part) for part in apart._batch()]
    for name in ("loss", "encoded", "pixel"):
        mean = sum(float(part[name].detach()) if name in part else 0.0 for part in parts) / 2
        assert mean == pytest.approx(float(whole[name].detach()), rel=1e-5), name


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_slices_mix_what_is_imagined_and_what_is_encoded(tmp_path: Path, share: float) -> None:
    trainer = _trainer(tmp_path, CONFIG.model_copy(update={"encoded_share": share}))
    slices = trainer._batch()
    assert [len(each.pixels) for each in slices] == [2, 2]
    assert sum(each.encoded for each in slices) == round(4 * share)
    for each in slices:
        encoded = trainer.vae.encode(each.pixels[: each.encoded]) if each.encoded else each.latents[:0]
        torch.testing.assert_close(each.latents[: each.encoded], encoded.detach(), atol=2e-3, rtol=1e-3)
        assert ("pixel" in trainer._losses(each)) == (each.encoded < 2)


def test_a_stage_that_goes_on_does_not_imagine_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def count(checkpoint: Checkpoint, frames: Frame, words: Sequence[Sequence[str]], seeds: Sequence[Sequence[int]]) -> Tensor:
        calls.append(len(frames))
        return _dull(checkpoint, frames, words, seeds)

    def teach(config: DecoderConfig) -> dict[str, float]:
        walks = make_walks()
        return train_decoder(
            _checkpoint(), config, train=walks, validation=walks, imagine=count, folder=tmp_path, seed=0, workers=2
        )

    first, again = teach(CONFIG), teach(CONFIG)
    assert first == again
    assert first["steps"] == 6
    assert calls == [3, 4]  # half of 6 frames to measure on, 4 windows to learn from
    teach(CONFIG.model_copy(update={"windows": 5}))
    assert calls == [3, 4, 5]

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bagel_world.errors import TrainingError
from bagel_world.model.config import preset
from bagel_world.model.vae import Vae
from bagel_world.training.autoencoder import AutoencoderConfig, AutoencoderTrainer
from bagel_world.training.checkpoint import states
from bagel_world.training.data.walks import as_pixels
from bagel_world.training.normalization import fold_normalization
from bagel_world.training.optim import OptimizerConfig
from tests.training.resuming import check_resumes
from tests.training.walks import make_vae, make_walks

CONFIG = AutoencoderConfig(
    steps=6,
    batch=4,
    texture_weight=0.1,
    normalize_at=(0.5,),
    statistics_frames=8,
    validation_frames=4,
    validate_every=3,
    save_every=2,
    optimizer=OptimizerConfig(warmup_steps=1),
)


def _trainer(run: Path, config: AutoencoderConfig = CONFIG) -> AutoencoderTrainer:
    walks = make_walks()
    return AutoencoderTrainer(make_vae(), config, train=walks, validation=walks, run=run)


@torch.no_grad()
def test_folding_normalizes_latents_and_keeps_the_picture_where_no_padding_reaches() -> None:
    vae = make_vae()
    pixels = as_pixels(make_walks().frames)
    latents = vae.encode(pixels)
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    _, log_variance = vae.moments(pixels)
    first = torch.nn.functional.conv2d(latents, vae.decoder.conv_in.weight, vae.decoder.conv_in.bias)
    fold_normalization(dict(vae.named_parameters()), mean, deviation)
    normalized = vae.encode(pixels)
    torch.testing.assert_close(normalized.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalized.std((0, 2, 3)), torch.ones(4), atol=1e-5, rtol=0)
    again = torch.nn.functional.conv2d(normalized, vae.decoder.conv_in.weight, vae.decoder.conv_in.bias)
    torch.testing.assert_close(again, first, atol=1e-5, rtol=1e-5)
    spread = torch.exp(0.5 * vae.moments(pixels)[1]) * deviation[:, None, None]
    torch.testing.assert_close(spread, torch.exp(0.5 * log_variance), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("matrix_rate", [0.02, 0.0])  # Muon; AdamW for everything
def test_a_resumed_training_equals_one_never_stopped(tmp_path: Path, matrix_rate: float) -> None:
    config = CONFIG.model_copy(update={"optimizer": OptimizerConfig(warmup_steps=1, matrix_rate=matrix_rate)})
    check_resumes(lambda run: _trainer(run, config), tmp_path, lambda trainer: trainer.vae)


@pytest.mark.parametrize(("keep", "left"), [(1, [6]), (3, [2, 4, 6])])
def test_so_many_states_stay(tmp_path: Path, keep: int, left: list[int]) -> None:
    _trainer(tmp_path, CONFIG.model_copy(update={"keep_states": keep})).train()
    assert states(tmp_path) == [tmp_path / f"state-{step:08d}" for step in left]


@pytest.mark.parametrize(("factor", "found"), [(1e4, "more than 10 times its lowest running mean"), (float("nan"), "got nan")])
def test_a_loss_that_explodes_stops_and_keeps_the_batch(tmp_path: Path, factor: float, found: str) -> None:
    trainer = _trainer(tmp_path, CONFIG.model_copy(update={"steps": 40, "validate_every": 1000, "normalize_at": ()}))

    def break_it(step: int, steps: int, losses: dict[str, float]) -> None:
        del steps, losses
        if step == 3:
            with torch.no_grad():
                trainer.vae.decoder.conv_out.weight.mul_(factor)

    trainer._progress = break_it
    with pytest.raises(TrainingError, match=found):
        trainer.train()
    kept = load_file(tmp_path / f"diverged-{trainer.step:08d}.safetensors")
    assert torch.equal(kept["1/pixels"], trainer._batch()[1].pixels)


def test_latents_are_normalized_on_the_way(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, CONFIG.model_copy(update={"normalize_at": (1.0,)}))
    trainer.train()
    with torch.no_grad():
        latents = trainer.vae.encode(as_pixels(make_walks().frames))
    assert latents.mean((0, 2, 3)).abs().max() < 0.2
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.2


def test_the_decoder_goes_on_alone_from_the_averaged_encoder(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"decoder_only_from": 0.5, "normalize_at": ()})
    trainer = _trainer(tmp_path, config)
    seen = {}

    def watch(step: int, steps: int, losses: dict[str, float]) -> None:
        del steps, losses
        seen[step] = {name: average.clone() for name, average in trainer.ema.averages.items()}

    trainer._progress = watch
    trainer.train()
    final = dict(trainer.vae.named_parameters())
    for name, average in seen[3].items():
        assert torch.equal(final[name], average) == name.startswith("encoder."), name


def test_scaled_latents_are_refused(tmp_path: Path) -> None:
    walks = make_walks()
    with pytest.raises(TrainingError, match="scale_factor 1"):
        AutoencoderTrainer(Vae(preset("tiny").vae_config), CONFIG, train=walks, validation=walks, run=tmp_path)

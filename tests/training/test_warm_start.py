from __future__ import annotations

import pytest
import torch

from bagel_world.errors import ConfigError
from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.model.config import BagelConfig, preset
from bagel_world.model.layers import position_table
from bagel_world.training.data.words import train_tokenizer
from bagel_world.training.warm_start import warm_up
from tests.training.walks import make_config, make_tokenizer, make_vae

WORDS = ("Move forward", "Look left", "Look right", "Stay", "Which object is ahead?")


def make_model(config: BagelConfig, seed: int) -> Bagel:
    bagel = Bagel(config)
    bagel.initialize(torch.Generator().manual_seed(seed))
    return bagel


def make_source() -> Checkpoint:
    config = make_config()
    return Checkpoint(config=config, bagel=make_model(config, 1), vae=make_vae(), tokenizer=make_tokenizer())


def larger() -> BagelConfig:
    """Twice as many latent tokens on a side, and a larger ViT grid."""
    shape = make_config()
    vit = shape.vit_config.model_copy(update={"image_size": 2 * shape.vit_config.image_size})
    changes = {"max_latent_size": 2 * shape.max_latent_size, "vit_config": vit, "vit_max_num_patch_per_side": vit.side}
    return shape.model_copy(update=changes)


def known(name: str, parameter: torch.Tensor) -> torch.Tensor:
    """Without the rows for which there is no token."""
    return parameter[: len(make_tokenizer())] if name in ("embed_tokens.weight", "lm_head.weight") else parameter


def test_what_fits_is_taken_and_the_rest_is_named() -> None:
    source, bagel = make_source(), make_model(larger(), 2)
    fresh = warm_up(bagel, make_tokenizer(), source)
    assert set(fresh) == {"vit_positions", "vit.position_embedding.weight"}
    old = dict(source.bagel.named_parameters())
    for name, parameter in bagel.named_parameters():
        if name not in (*fresh, "latent_positions"):
            assert torch.equal(known(name, parameter), known(name, old[name])), name


def test_the_same_shape_and_words_give_the_same_model() -> None:
    source = make_source()
    bagel = make_model(make_config(), 2)
    assert warm_up(bagel, make_tokenizer(), source) == []
    for (name, one), (_, other) in zip(bagel.named_parameters(), source.bagel.named_parameters(), strict=True):
        assert torch.allclose(known(name, one), known(name, other), atol=1e-6), name


def test_corners_stay_where_they_are_on_a_finer_grid() -> None:
    config = larger()
    bagel = make_model(config, 2)
    warm_up(bagel, make_tokenizer(), make_source())
    side, width = config.max_latent_size, config.llm_config.hidden_size
    # A cell twice as fine has its center a quarter beside the old one: 0 -> -0.25 and 0.25.
    places = torch.arange(side) / 2 - 0.25
    assert torch.allclose(bagel.latent_positions, position_table(side, width, places), atol=1e-6)
    mean = places.view(-1, 2).mean(dim=1)
    assert torch.allclose(mean, torch.arange(side / 2), atol=1e-6)


def test_rows_of_known_words_move_to_their_new_ids() -> None:
    source, config = make_source(), make_config()
    tokenizer = train_tokenizer(WORDS, config.llm_config.vocab_size)
    bagel = make_model(config, 2)
    warm_up(bagel, tokenizer, source)
    new, old = tokenizer.base.get_vocab(), source.tokenizer.base.get_vocab()
    shared = set(new) & set(old)
    assert any(new[token] != old[token] for token in shared)
    for token in shared:
        assert torch.equal(bagel.embed_tokens.weight[new[token]], source.bagel.embed_tokens.weight[old[token]]), token


def test_another_width_is_refused() -> None:
    with pytest.raises(ConfigError, match="width 192 to start warm from, got 48"):
        warm_up(Bagel(preset("nano")), make_tokenizer(), make_source())

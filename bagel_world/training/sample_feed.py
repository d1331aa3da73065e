"""From samples to what a trainer learns from: read, cut into segments, packed."""

from __future__ import annotations

from collections.abc import Sequence

from bagel_world.episodes.damage import Damage
from bagel_world.model.checkpoint import packing_rules
from bagel_world.model.config import BagelConfig
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.model.vae import Vae
from bagel_world.training.data.budget import Packer, fits
from bagel_world.training.data.encoder import ImageEncoder, RememberingEncoder
from bagel_world.training.data.feeds import SampleFeed, segmenting
from bagel_world.training.data.segments import Segmenter
from bagel_world.training.data.sources import Source
from bagel_world.training.data.stream import SampleStream
from bagel_world.training.trainer import MotConfig


def sample_feed(
    sources: Sequence[Source],
    config: MotConfig,
    *,
    shape: BagelConfig,
    vae: Vae,
    tokenizer: Tokenizer,
    packs: int | None = None,
    held_out: bool = False,
    seed: int = 0,
    workers: int = 0,
    ahead: bool = False,
    damage: Damage | None = None,
) -> SampleFeed:
    """Packs of samples, as a recipe with these settings learns from them.

    Args:
        sources: where the samples come from; `Source.of` takes any sequence of them.
        config: how they are cut and packed.
        shape: the model's.
        vae: encodes the images.
        tokenizer: encodes the texts.
        packs: per step; None takes `config.batch`, or `config.validation_packs` where held out.
        held_out: to be measured on: no condition is left out.
        seed: decides order, mixture and noise.
        workers: threads that read ahead.
        ahead: draw the packs of the next step while this one is learned from.
        damage: counts damaged samples, which are skipped up to its limit; by default the first one raises.

    Raises:
        ConfigError: sources of the same name.
    """
    undropped = {"text_dropout": 0.0, "vit_dropout": 0.0, "vae_dropout": 0.0}
    cut = config.segments.model_copy(update=undropped) if held_out else config.segments
    rules = packing_rules(shape, tokenizer)
    segmenter = Segmenter(tokenizer, RememberingEncoder(ImageEncoder(vae, shape)), rules, cut)
    stream = SampleStream(
        sources,
        fits(segmenting(segmenter, writing=config.text_weight > 0), config.pack, lambda drawn: drawn.sample.sample_id),
        seed=seed,
        workers=workers,
        damage=damage,
    )
    usual = config.validation_packs if held_out else config.batch
    return SampleFeed(Packer(stream, config.pack), rules, batch=packs or usual, balanced=config.balance_texts, ahead=ahead)

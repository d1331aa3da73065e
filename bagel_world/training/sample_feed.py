"""From samples to what a trainer learns from: read, cut into segments, packed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.samples import Sample
from bagel_world.errors import RecordingError
from bagel_world.model.checkpoint import packing_rules
from bagel_world.model.config import BagelConfig
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.model.vae import Vae
from bagel_world.training.data.budget import Packer, fits
from bagel_world.training.data.encoder import BlankEncoder, Encoder, ImageEncoder, RememberingEncoder
from bagel_world.training.data.feeds import SampleFeed, segmenting
from bagel_world.training.data.material import MOST_SAMPLES, spread_samples
from bagel_world.training.data.segments import SegmentedSample, Segmenter
from bagel_world.training.data.sources import Source, note_lost
from bagel_world.training.data.stream import Drawn, SampleStream
from bagel_world.training.trainer import MotConfig

_SHOWN = 3
"""Complaints about samples in one message."""


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
    encoder = RememberingEncoder(ImageEncoder(vae, shape))
    prepare = _preparing(config, shape, tokenizer, encoder, held_out=held_out)
    for source in sources:
        note_lost(source, damage or Damage(0))
    stream = SampleStream(sources, prepare, seed=seed, workers=workers, damage=damage)
    rules = packing_rules(shape, tokenizer)
    usual = config.validation_packs if held_out else config.batch
    return SampleFeed(Packer(stream, config.pack), rules, batch=packs or usual, balanced=config.balance_texts, ahead=ahead)


def check_sources(
    sources: Sequence[Source], config: MotConfig, *, shape: BagelConfig, tokenizer: Tokenizer, skip: int, most: int = MOST_SAMPLES
) -> None:
    """Cut every sample as training will, but for the latents: what does not fit shows now and not hours later.

    Args:
        sources: where the samples come from.
        config: how they are cut and packed.
        shape: the model's.
        tokenizer: encodes the texts.
        skip: how many samples may be damaged.
        most: samples that are looked at, from all over the sources.

    Raises:
        RecordingError: more samples are damaged, or do not fit; the message says how many, and what is wrong with the first.
    """
    prepare = _preparing(config, shape, tokenizer, BlankEncoder(shape), held_out=True)

    def look(sample: Sample) -> None:
        prepare(Drawn(number=0, seed=0, source=sample.source, epoch=0, place=0, sample=sample))

    damage = Damage(None)
    looked = sum(1 for _ in spread_samples(sources, most, look, damage)) + damage.total
    if damage.total > skip:
        raise RecordingError(
            f"{damage.total} samples are damaged, {skip} may be skipped (skip_damaged); {looked} were looked at. "
            f"The first: {' '.join(damage.messages[:_SHOWN])}"
        )


def _preparing(
    config: MotConfig, shape: BagelConfig, tokenizer: Tokenizer, encoder: Encoder, *, held_out: bool
) -> Callable[[Drawn], SegmentedSample]:
    """What becomes of a draw; whatever cannot be learned from raises."""
    undropped = {"text_dropout": 0.0, "vit_dropout": 0.0, "vae_dropout": 0.0}
    cut = config.segments.model_copy(update=undropped) if held_out else config.segments
    segmenter = Segmenter(tokenizer, encoder, packing_rules(shape, tokenizer), cut)
    return fits(segmenting(segmenter, writing=config.text_weight > 0), config.pack, lambda drawn: drawn.sample.sample_id)

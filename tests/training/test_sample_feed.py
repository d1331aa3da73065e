"""Learning from packs of samples: the loss of a step is that of all its tokens, and a stop leaves no trace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.samples import ImagePart, Sample, TextPart
from bagel_world.errors import RecordingError, TrainingError
from bagel_world.images import ResizeRule
from bagel_world.model.attention import Backend
from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import packing_rules
from bagel_world.model.packing import LatentSegment, pack
from bagel_world.training.checkpoint import load_facts
from bagel_world.training.data.budget import PackConfig, Packer, fits
from bagel_world.training.data.encoder import ImageEncoder
from bagel_world.training.data.feeds import SampleFeed, WalkFeed, segmenting
from bagel_world.training.data.segments import SegmentConfig, SegmentedSample, Segmenter
from bagel_world.training.data.sources import Source
from bagel_world.training.data.stream import SampleStream
from bagel_world.training.losses import text_loss, velocity_loss
from bagel_world.training.metrics import RunLog
from bagel_world.training.optim import OptimizerConfig
from bagel_world.training.parts import PARTS, part_of
from bagel_world.training.trainer import MotConfig, Trainer, pack_losses
from tests.episodes.drawn import picture, walk_sample
from tests.training.walks import make_config, make_tokenizer, make_vae

SHAPE, TOKENIZER = make_config(), make_tokenizer()
RULES = packing_rules(SHAPE, TOKENIZER)
CONFIG = MotConfig(
    steps=11,
    batch=3,
    text_weight=0.25,
    pack=PackConfig(tokens=100, look_ahead=3),
    optimizer=OptimizerConfig(warmup_steps=1),
    validation_packs=2,
    validate_every=4,
    save_every=3,
    preview_every=100,
)
PACE = {"seconds", "tokens_per_second", "data_wait", "mfu"}


def question(number: int) -> Sample:
    parts = (
        ImagePart(image=picture(number, (20, 20)), vit=True),
        TextPart(text="What is ahead?", role="question"),
        TextPart(text="A wall."[: 2 + number % 6], role="answer", loss=True),
    )
    return Sample(sample_id=f"question-{number}", source="tests", license="CC0-1.0", parts=parts)


def make_sources() -> list[Source]:
    walks, questions = [walk_sample(number) for number in range(5)], [question(number) for number in range(7)]
    return [Source.of(walks, name="walks"), Source.of(questions, name="questions", weight=2.0)]


def make_feed(
    config: MotConfig = CONFIG, *, batch: int | None = None, seed: int = 0, workers: int = 0, skip: int = 0
) -> SampleFeed:
    segmenter = Segmenter(TOKENIZER, ImageEncoder(make_vae(), SHAPE), RULES, config.segments)
    prepare = fits(segmenting(segmenter, writing=config.text_weight > 0), config.pack, lambda drawn: drawn.sample.sample_id)
    stream = SampleStream(make_sources(), prepare, seed=seed, workers=workers, damage=Damage(skip))
    packer = Packer(stream, config.pack)
    return SampleFeed(packer, RULES, batch=batch or config.batch, balanced=config.balance_texts, ahead=workers > 0)


def make_model() -> Bagel:
    bagel = Bagel(SHAPE)
    bagel.initialize(torch.Generator().manual_seed(0))
    with torch.no_grad():
        bagel.latent_out.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    return bagel


def make_trainer(run: Path, config: MotConfig = CONFIG, *, workers: int = 2) -> Trainer:
    validation = make_feed(config, batch=config.validation_packs, seed=1)
    return Trainer(make_model(), config, train=make_feed(config, workers=workers), validation=validation, run=run)


def samples_of(feed: SampleFeed) -> list[list[SegmentedSample]]:
    return [list(each.args[0]) for each in feed.slices(0)]  # type: ignore[attr-defined]


def singles(bagel: Bagel, samples: Sequence[SegmentedSample], *, balanced: bool) -> tuple[float, float]:
    """Velocity and text loss over all samples, one at a time, from their sums."""
    squares = values = entropies = weights = 0.0
    for sample in samples:
        packed = pack([sample.segments], RULES)
        hidden = bagel.hidden(packed)
        if count := sample.targets.numel():
            error = velocity_loss(bagel.latent_out(hidden.generate)[packed.noised], sample.targets)
            squares, values = squares + error.item() * count, values + count
        for start in range(len(packed.labels)):
            logits = bagel.logits(hidden.understand[packed.label_places[start : start + 1]])
            weight = packed.label_weights[start].item() if balanced else 1.0
            entropies += weight * text_loss(logits, packed.labels[start : start + 1]).item()
            weights += weight
    return squares / values, entropies / weights


@pytest.mark.parametrize("balanced", [False, True])
@torch.no_grad()
def test_the_loss_of_a_step_is_that_of_its_samples_one_by_one(tmp_path: Path, balanced: bool) -> None:
    config = CONFIG.model_copy(update={"balance_texts": balanced})
    trainer = make_trainer(tmp_path, config)
    packs = samples_of(make_feed(config))
    velocity, text = singles(trainer.bagel, [sample for each in packs for sample in each], balanced=balanced)
    parts = [trainer._losses(each) for each in make_feed(config).slices(0)]
    for name, wanted in (("velocity", velocity), ("text", text), ("loss", velocity + 0.25 * text)):
        assert sum(float(each.get(name, 0)) for each in parts) / len(parts) == pytest.approx(wanted, rel=1e-5), name
    assert len(packs) == 3
    assert len({sum(len(sample.targets) for sample in each) for each in packs}) > 1, "equal packs would prove nothing"


@torch.no_grad()
def test_one_large_pack_has_the_loss_of_its_samples() -> None:
    bagel = make_model()
    samples = [sample for each in samples_of(make_feed()) for sample in each]
    packed, targets = pack([each.segments for each in samples], RULES), torch.cat([each.targets for each in samples])
    found = pack_losses(bagel, packed, targets, CONFIG)
    velocity, text = singles(bagel, samples, balanced=False)
    assert found["velocity"].item() == pytest.approx(velocity, rel=1e-5)
    assert found["text"].item() == pytest.approx(text, rel=1e-5)


@pytest.mark.parametrize("backend", ["sdpa", "padded", "visible"])
@torch.no_grad()
def test_pictures_keep_their_own_sizes_and_a_pack_of_them_has_the_loss_of_each_alone(backend: Backend) -> None:
    transforms = SHAPE.world.transforms.model_copy(update={"vae": ResizeRule(max_side=32, min_side=16, stride=16)})
    segmenter = Segmenter(TOKENIZER, ImageEncoder(make_vae(), SHAPE, transforms=transforms), RULES, SegmentConfig(vae_dropout=0))
    sizes = {(32, 32): (2, 2), (16, 16): (1, 1), (32, 16): (1, 2), (16, 32): (2, 1)}  # (width, height): (rows, columns)
    samples = []
    for number, size in enumerate(sizes):
        shown, painted = (ImagePart(image=picture(2 * number + each, size), vae=True, target=True) for each in range(2))
        says = (TextPart(text="Stay", role="action"), TextPart(text="Done." * (number + 1), role="answer", loss=True))
        sample = Sample(sample_id=f"{size}", source="tests", license="CC0-1.0", parts=(shown, says[0], painted, says[1]))
        samples.append(segmenter(sample, np.random.default_rng(number)))
    bagel = make_model()
    packed, targets = pack([each.segments for each in samples], RULES), torch.cat([each.targets for each in samples])
    found = pack_losses(bagel, packed, targets, CONFIG, bagel.plan(packed, backend=backend))
    velocity, text = singles(bagel, samples, balanced=False)
    assert found["velocity"].item() == pytest.approx(velocity, rel=1e-5)
    assert found["text"].item() == pytest.approx(text, rel=1e-5)
    latents = [[each for each in sample.segments if isinstance(each, LatentSegment)] for sample in samples]
    assert [{each.grid for each in sample} for sample in latents] == [{grid} for grid in sizes.values()]
    alone = [pack([each.segments], RULES).latents for each in samples]
    assert torch.equal(packed.latents, torch.cat(alone)), "nothing is padded, nothing depends on the neighbors"


@pytest.mark.parametrize("stopped_at", [5, 10])
def test_a_resumed_training_equals_one_never_stopped(tmp_path: Path, stopped_at: int) -> None:
    whole = make_trainer(tmp_path / "whole")
    figures = whole.train()
    stopped = make_trainer(tmp_path / "parted", workers=0)

    def stop(step: int, steps: int, losses: dict[str, float]) -> None:
        del steps, losses
        if step == stopped_at:
            raise KeyboardInterrupt

    stopped.progress = stop
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    assert load_facts(tmp_path / "parted")["feed"]["drawn"] > 0, "something waits where the run was stopped"
    resumed = make_trainer(tmp_path / "parted")
    assert resumed.resume()
    assert resumed.step == 3 * (stopped_at // 3)
    assert resumed.train() == figures
    for (name, one), (_, other) in zip(whole.bagel.named_parameters(), resumed.bagel.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    logs = [RunLog(tmp_path / name / "log.jsonl").rows() for name in ("whole", "parted")]
    one, other = ([{key: value for key, value in row.items() if key not in PACE} for row in log] for log in logs)
    assert one == other


def test_training_lowers_both_validation_losses(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, CONFIG.model_copy(update={"steps": 40, "save_every": 1000, "validate_every": 1000}))
    before, after = trainer.validate(), trainer.train()
    assert after["validation_velocity"] < 0.9 * before["validation_velocity"]
    assert after["validation_text"] < 0.7 * before["validation_text"]


@pytest.mark.parametrize("trains", [("connector",), ("generate",), ("understand", "vit", "embeddings"), tuple(PARTS)])
def test_only_the_parts_that_are_named_move(tmp_path: Path, trains: tuple[str, ...]) -> None:
    trainer = make_trainer(tmp_path, CONFIG.model_copy(update={"trains": trains, "steps": 2}))
    before = {name: parameter.detach().clone() for name, parameter in trainer.bagel.named_parameters()}
    trainer.train()
    moved = {part_of(name) for name, parameter in trainer.bagel.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == set(trains)


def test_the_log_tells_pace_and_fill(tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    trainer = make_trainer(tmp_path)
    trainer.progress = lambda step, steps, figures: seen.append(figures)
    trainer.train()
    feed = make_feed()
    tokens = [sum(sample.tokens for each in samples_of(feed) for sample in each) for _ in range(11)]
    assert [each["fill"] for each in seen] == [pytest.approx(each / 300, abs=1e-4) for each in tokens]
    row = next(row for row in RunLog(tmp_path / "log.jsonl").rows() if row["step"] == 10 and "loss" in row)
    assert row["tokens_per_second"] > 0
    assert 0 <= row["data_wait"] <= 1
    assert {"velocity", "text", "fill", "gradient"} < set(row)


def test_samples_without_anything_to_paint_need_a_text_weight() -> None:
    config = CONFIG.model_copy(update={"text_weight": 0.0})
    with pytest.raises(RecordingError, match=r"Sample 'question-\d' teaches only texts, and mot\.text_weight is 0"):
        make_feed(config).slices(0)
    packs = samples_of(make_feed(config, skip=1000))
    assert all(len(sample.targets) for each in packs for sample in each)


def test_validation_is_the_same_every_time(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    assert trainer.validate() == trainer.validate()


def test_walks_and_samples_do_not_go_on_from_each_other() -> None:
    with pytest.raises(TrainingError, match="learned from walks"):
        make_feed().restore({})
    with pytest.raises(TrainingError, match="learned from samples"):
        WalkFeed(batches=None).restore(make_feed().position())  # type: ignore[arg-type]


def test_conditions_are_dropped_as_the_recipe_says() -> None:
    never = CONFIG.model_copy(update={"segments": SegmentConfig(text_dropout=0, vit_dropout=0, vae_dropout=0)})
    always = CONFIG.model_copy(update={"segments": SegmentConfig(text_dropout=1, vit_dropout=1, vae_dropout=1)})
    tokens = [
        max(sample.tokens for each in samples_of(make_feed(config, batch=20)) for sample in each) for config in (never, always)
    ]
    assert tokens[0] > tokens[1]


def test_a_feed_that_draws_ahead_tells_the_position_of_what_it_gave() -> None:
    plain, ahead = make_feed(), make_feed(workers=1)
    for _ in range(3):
        assert [[each.tokens for each in one] for one in samples_of(plain)] == [
            [each.tokens for each in one] for one in samples_of(ahead)
        ]
        assert plain.position() == ahead.position()
    position = ahead.position()
    wanted = samples_of(ahead)
    ahead.restore(position)
    for one, other in zip(samples_of(ahead), wanted, strict=True):
        for sample, same in zip(one, other, strict=True):
            assert torch.equal(sample.targets, same.targets)

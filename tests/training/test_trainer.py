from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bagel_world.errors import TrainingError
from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import packing_rules
from bagel_world.training.checkpoint import states
from bagel_world.training.data.batches import WalkBatches
from bagel_world.training.data.feeds import WalkFeed
from bagel_world.training.data.interleave import WalkConfig, WalkSampler
from bagel_world.training.lora import LoraConfig
from bagel_world.training.metrics import RunLog
from bagel_world.training.optim import OptimizerConfig
from bagel_world.training.parts import part_of
from bagel_world.training.trainer import MotConfig, Trainer
from tests.training.walks import make_config, make_latents, make_tokenizer

CONFIG = MotConfig(
    steps=8,
    batch=4,
    walk=WalkConfig(frames=3, copies=1),
    optimizer=OptimizerConfig(warmup_steps=1),
    validation_windows=4,
    validate_every=4,
    save_every=3,
    preview_every=100,
)


def _trainer(folder: Path, config: MotConfig = CONFIG) -> Trainer:
    shape, tokenizer = make_config(), make_tokenizer()
    bagel = Bagel(shape)
    bagel.initialize(torch.Generator().manual_seed(0))
    latents = make_latents(folder / "cache")
    samplers = [WalkSampler(latents, tokenizer, config.walk, seed=seed) for seed in (0, 1)]
    rules = packing_rules(shape, tokenizer)
    train = WalkBatches(samplers[0], rules, batch=config.batch, slices=2)
    validation = WalkBatches(samplers[1], rules, batch=config.validation_windows, slices=1)
    return Trainer(bagel, config, train=WalkFeed(train), validation=WalkFeed(validation), run=folder / "run")


def test_a_resumed_training_equals_one_never_stopped(tmp_path: Path) -> None:
    whole = _trainer(tmp_path / "whole")
    figures = whole.train()
    stopped = _trainer(tmp_path / "parted")

    def stop(step: int, steps: int, losses: dict[str, float]) -> None:
        del steps, losses
        if step == 5:
            raise KeyboardInterrupt

    stopped.progress = stop
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    resumed = _trainer(tmp_path / "parted")
    assert resumed.resume()
    assert resumed.step == 3
    assert resumed.train() == figures
    for (name, one), (_, other) in zip(whole.bagel.named_parameters(), resumed.bagel.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    whole_log, parted_log = (RunLog(tmp_path / name / "run" / "log.jsonl").rows() for name in ("whole", "parted"))
    assert whole_log == parted_log


@pytest.mark.parametrize(("keep", "left"), [(1, [8]), (3, [4, 6, 8])])
def test_so_many_states_stay(tmp_path: Path, keep: int, left: list[int]) -> None:
    trainer = _trainer(tmp_path, CONFIG.model_copy(update={"save_every": 2, "keep_states": keep}))
    trainer.train()
    assert states(trainer.run) == [trainer.run / f"state-{step:08d}" for step in left]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"text_weight": 1.0}, r"expected lm_head.weight of shape \(512, 48\), got none; 1 tensors differ"),
        ({"trains": ("generate",)}, "expected embed_tokens.weight of shape none, got"),
        ({"optimizer": OptimizerConfig(matrix_rate=0)}, "Expected an optimizer's state of what learns here"),
    ],
)
def test_a_state_of_another_training_is_refused(tmp_path: Path, changes: dict[str, object], what: str) -> None:
    trainer = _trainer(tmp_path)
    trainer.progress = lambda step, steps, losses: trainer.save() if step == 1 else None
    trainer.train()
    with pytest.raises(TrainingError, match=what):
        _trainer(tmp_path, CONFIG.model_copy(update=changes)).resume()


def test_training_lowers_the_validation_loss_on_walks_it_knows(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, CONFIG.model_copy(update={"steps": 60, "save_every": 1000, "validate_every": 1000}))
    before = trainer.validate()["validation_loss"]
    assert trainer.train()["validation_loss"] < 0.8 * before


def test_an_untrained_velocity_head_is_zero_so_that_the_first_loss_is_known(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path)
    (held_out,) = trainer._validation.slices(0)
    expected = held_out().targets.square().mean()
    assert trainer.validate()["validation_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_a_loss_that_is_no_number_stops_and_keeps_the_batch(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path)
    with torch.no_grad():
        trainer.bagel.latent_out.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"got nan in step 0.*diverged-00000000"):
        trainer.train()
    kept = load_file(tmp_path / "run" / "diverged-00000000.safetensors")
    assert torch.equal(kept["1/targets"], trainer._feed.slices(0)[1]().targets)


def test_a_gradient_that_is_no_number_moves_nothing_and_the_last_state_stays_good(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, CONFIG.model_copy(update={"save_every": 1}))
    backward, steps = trainer._workers.backward, 0

    def overflows(parameters, compute, slices):
        nonlocal steps
        steps += 1
        losses = backward(parameters, compute, slices)
        if steps == 4:
            parameters[0].grad = torch.full_like(parameters[0], float("inf"))
        return losses

    trainer._workers.backward = overflows  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"finite gradient, got one of norm .* in step 3"):
        trainer.train()
    resumed = _trainer(tmp_path, CONFIG)
    assert resumed.resume()
    assert resumed.step == 3
    for each in resumed.bagel.parameters():
        assert torch.isfinite(each).all()
    assert math.isfinite(resumed.train()["validation_loss"])


def test_an_absurd_learning_rate_stops_with_a_finite_loss_and_the_batch(tmp_path: Path) -> None:
    optimizer = OptimizerConfig(warmup_steps=10, schedule="constant", rate=3.0, matrix_rate=3.0)
    config = CONFIG.model_copy(update={"steps": 200, "save_every": 1000, "validate_every": 1000, "optimizer": optimizer})
    trainer = _trainer(tmp_path, config)
    with pytest.raises(TrainingError, match=r"more than 10 times its lowest running mean.*lower learning rate"):
        trainer.train()
    kept = load_file(tmp_path / "run" / f"diverged-{trainer.step:08d}.safetensors")
    assert torch.equal(kept["0/targets"], trainer._feed.slices(trainer.step)[0]().targets)
    allowed = _trainer(tmp_path / "allowed", config.model_copy(update={"explosion": None, "steps": trainer.step + 1}))
    allowed.train()
    assert allowed.step == trainer.step + 1


def test_what_dynamics_do_not_need_stays_as_it_was(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path)
    before = {name: parameter.detach().clone() for name, parameter in trainer.bagel.named_parameters()}
    trainer.train()
    changed = {name for name, parameter in trainer.bagel.named_parameters() if not torch.equal(parameter, before[name])}
    still = ("vit.", "connector.", "lm_head.", "latent_positions", "vit_positions")
    assert not {name for name in changed if name.startswith(still)}
    assert {"latent_in.weight", "embed_tokens.weight", "timestep_embedding.fc1.weight"} < changed


def test_frozen_understanding_stays_but_for_the_head(tmp_path: Path) -> None:
    walk = CONFIG.walk.model_copy(update={"predict_actions": True})
    changes = {"walk": walk, "text_weight": 1.0, "freeze_understanding": True}
    trainer = _trainer(tmp_path, CONFIG.model_copy(update=changes))
    before = {name: parameter.detach().clone() for name, parameter in trainer.bagel.named_parameters()}
    trainer.train()
    changed = {name for name, parameter in trainer.bagel.named_parameters() if not torch.equal(parameter, before[name])}
    assert {part_of(name) for name in changed} == {"generate", "head"}


def test_writing_is_learned_when_it_has_a_weight(tmp_path: Path) -> None:
    walk = CONFIG.walk.model_copy(update={"predict_actions": True})
    trainer = _trainer(tmp_path, CONFIG.model_copy(update={"walk": walk, "text_weight": 1.0, "steps": 60, "save_every": 1000}))
    before = trainer.validate()
    after = trainer.train()
    assert before["validation_text"] == pytest.approx(math.log(512), rel=0.05)
    assert after["validation_text"] < 0.3 * before["validation_text"]


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_velocities_and_texts_count_as_much_as_the_recipe_says(tmp_path: Path, weight: float) -> None:
    walk = CONFIG.walk.model_copy(update={"predict_actions": True})
    config = CONFIG.model_copy(update={"walk": walk, "text_weight": 0.25, "velocity_weight": weight})
    trainer = _trainer(tmp_path, config)
    losses = trainer._loss_of(trainer._feed.slices(0)[0]())
    velocity, text, loss = (losses[name].item() for name in ("velocity", "text", "loss"))
    assert velocity > 0
    assert loss == pytest.approx(weight * velocity + 0.25 * text, rel=1e-6)
    losses["loss"].backward()
    painted = trainer.bagel.latent_out.weight.grad
    assert painted is not None
    assert bool(painted.any()) == (weight > 0)


@pytest.mark.parametrize("lora", [None, LoraConfig(rank=2, alpha=2)])
@pytest.mark.parametrize("matrix_rate", [0.02, 0.0])
def test_where_nothing_is_learned_matrices_decay_and_all_else_stays(
    tmp_path: Path, matrix_rate: float, lora: LoraConfig | None
) -> None:
    optimizer = OptimizerConfig(matrix_rate=matrix_rate, weight_decay=0.5, warmup_steps=1)
    config = CONFIG.model_copy(update={"steps": 1, "velocity_weight": 0.0, "optimizer": optimizer, "lora": lora})
    trainer = _trainer(tmp_path, config)
    before = {name: each.detach().clone() for name, each in trainer._named.items()}
    trainer.train()
    trainer.ema.swap()  # back to the live weights
    changed = {name for name, each in trainer._named.items() if not torch.equal(each, before[name])}
    matrices = {name for name, each in before.items() if each.ndim == 2 and each.any() and name != "embed_tokens.weight"}
    assert changed <= matrices
    assert all("layers.1.understand." in name for name in matrices - changed)  # what comes last there paints nothing


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("slices", [2, 3, 5])
def test_losses_of_unequal_slices_average_to_the_loss_of_all(tmp_path: Path, slices: int, balanced: bool) -> None:
    walk = CONFIG.walk.model_copy(update={"predict_actions": True, "text_dropout": 0.3})
    trainer = _trainer(tmp_path, CONFIG.model_copy(update={"text_weight": 1.0, "balance_texts": balanced, "walk": walk}))
    sampler = WalkSampler(make_latents(tmp_path / "cache"), make_tokenizer(), walk, seed=0)
    rules = packing_rules(make_config(), make_tokenizer())
    whole, parted = (
        WalkFeed(WalkBatches(sampler, rules, batch=5, slices=count, balanced=balanced)).slices(3) for count in (1, slices)
    )
    found = [trainer._loss_of(make()) for make in parted]
    for name, value in trainer._loss_of(whole[0]()).items():
        mean = sum(losses[name].item() for losses in found if name in losses) / slices
        assert mean == pytest.approx(value.item(), rel=1e-5), name

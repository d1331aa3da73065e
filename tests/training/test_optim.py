from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from bagel_world.model.bagel import Bagel
from bagel_world.training.lora import LoraConfig, add_lora
from bagel_world.training.optim import Optimizer, OptimizerConfig, orthogonalize, rate_factor
from bagel_world.training.trainer import matrix_names, table_names
from tests.training.walks import make_config, make_vae


@pytest.mark.parametrize("shape", [(24, 24), (16, 60), (60, 16), (48, 24)])
def test_orthogonalize_brings_singular_values_near_one_and_keeps_directions(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(3, *shape)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    moved = left.mT @ orthogonalize(matrix, steps=8) @ right.mT
    values = moved.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(moved, torch.diag_embed(values), atol=1e-3, rtol=0)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_orthogonalize_on_the_gram_matrix_equals_the_plain_iteration() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(1, 10, 40, dtype=torch.float64)
    wide = orthogonalize(matrix, steps=5)
    x = matrix / torch.linalg.matrix_norm(matrix)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    torch.testing.assert_close(wide, x, atol=1e-6, rtol=1e-6)


def test_rate_factor_warms_up_stays_and_falls_to_zero() -> None:
    config = OptimizerConfig(warmup_steps=3, decay_share=0.4)
    factors = [rate_factor(step, 10, config) for step in range(10)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    assert rate_factor(10, 10, config) == 0


def test_rate_factor_of_a_constant_schedule_stays() -> None:
    config = OptimizerConfig(warmup_steps=0, schedule="constant")
    assert [rate_factor(step, 4, config) for step in range(4)] == [1, 1, 1, 1]


def test_rate_factors_of_a_cosine_warm_up_then_halve_in_the_middle_and_end_at_zero() -> None:
    config = OptimizerConfig(warmup_steps=2, schedule="cosine")
    factors = [rate_factor(step, 10, config) for step in range(11)]
    cosine = [0.5 * (1 + math.cos(math.pi * place / 8)) for place in range(9)]
    assert factors == pytest.approx([1 / 3, 2 / 3, *cosine])
    assert factors[6] == pytest.approx(0.5)
    assert factors[10] == 0
    assert [rate_factor(step, 2, config) for step in range(2)] == pytest.approx([1 / 3, 2 / 3])


def _regression() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    inputs = torch.randn(64, 8)
    return model, inputs, inputs @ torch.randn(8, 4)


@pytest.mark.parametrize("matrix_rate", [0.05, 0.0])  # Muon; AdamW for everything
@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
def test_optimizer_learns_and_its_state_goes_on_bit_for_bit(matrix_rate: float, weight_decay: float) -> None:
    config = OptimizerConfig(matrix_rate=matrix_rate, rate=0.02, weight_decay=weight_decay, warmup_steps=0)

    def run(steps: int, resume_after: int | None) -> tuple[list[torch.Tensor], float]:
        model, inputs, targets = _regression()
        named = dict(model.named_parameters())
        optimizer = Optimizer(named, {"0.weight", "2.weight"}, config)
        loss = torch.tensor(0.0)
        for step in range(steps):
            if step == resume_after:
                kept = {name: value.clone() for name, value in optimizer.state_tensors().items()}
                optimizer = Optimizer(named, {"0.weight", "2.weight"}, config)
                optimizer.load_state_tensors(kept)
            loss = (model(inputs) - targets).square().mean()
            loss.backward()
            optimizer.step(rate_factor(step, steps, config))
        return [parameter.detach() for parameter in model.parameters()], float(loss.detach())

    whole, loss = run(60, None)
    parted, _ = run(60, 23)
    assert loss < 1.0
    assert all(torch.equal(one, other) for one, other in zip(whole, parted, strict=True))


def test_gradients_are_clipped_to_the_global_norm() -> None:
    parameter = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = Optimizer({"x": parameter}, set(), OptimizerConfig(clip=1.0))
    (parameter * torch.tensor([30.0, 40.0])).sum().backward()
    assert optimizer.clip() == pytest.approx(50.0)
    optimizer.step(1.0)
    assert parameter.grad is None


Weights = tuple[dict[str, nn.Parameter], set[str], list[str]]
"""Parameters by name; the names of Muon's matrices and of embeddings among them."""


def _worlds() -> Weights:
    bagel = Bagel(make_config())
    bagel.initialize(torch.Generator().manual_seed(0))
    named = {name: each for name, each in bagel.named_parameters() if each.requires_grad}
    return named, set(matrix_names(named)), table_names(bagel)


def _autoencoders() -> Weights:
    named = dict(make_vae().named_parameters())
    return named, {name for name, each in named.items() if each.ndim == 4}, []


def _low_rank() -> Weights:
    lora = add_lora(Bagel(make_config()), LoraConfig(rank=2, alpha=2), torch.Generator().manual_seed(0))
    return dict(lora.named_parameters()), set(), []


@pytest.mark.parametrize("matrix_rate", [0.04, 0.0])
@pytest.mark.parametrize(
    ("make", "tables"),
    [(_worlds, ["embed_tokens.weight", "vit.position_embedding.weight"]), (_autoencoders, []), (_low_rank, [])],
)
def test_matrices_decay_whoever_moves_them_and_nothing_else_does(
    make: Callable[[], Weights], tables: list[str], matrix_rate: float
) -> None:
    named, matrices, found = make()
    assert found == tables
    with torch.no_grad():
        for each in named.values():
            each.fill_(3.0)
    config = OptimizerConfig(matrix_rate=matrix_rate, rate=0.01, weight_decay=0.5)
    optimizer = Optimizer(named, matrices, config, tables=tables)
    for each in named.values():
        each.grad = torch.zeros_like(each)  # which moves nothing
    optimizer.step(0.5)
    for name, each in named.items():
        rate = matrix_rate if matrix_rate and name in matrices else 0.01
        left = 3.0 if name in tables or each.ndim == 1 else 3.0 * (1 - 0.5 * rate * 0.5)
        torch.testing.assert_close(each.detach(), torch.full_like(each, left), rtol=1e-6, atol=0, msg=name)


def test_what_gets_no_gradient_does_not_decay() -> None:
    named = {name: nn.Parameter(torch.ones(2, 2)) for name in ("reached", "left")}
    optimizer = Optimizer(named, set(), OptimizerConfig(matrix_rate=0.0, weight_decay=0.5))
    named["reached"].grad = torch.zeros(2, 2)
    optimizer.step(1.0)
    assert named["reached"].max() < 1
    assert torch.equal(named["left"].detach(), torch.ones(2, 2))


def _learn(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, step: Callable[[], object]) -> None:
    for _ in range(10):
        (model(inputs) - targets).square().mean().backward()
        step()
        model.zero_grad()


def test_without_decay_it_is_plain_adamw_and_goes_on_from_its_state_bit_for_bit() -> None:
    model, inputs, targets = _regression()
    config = OptimizerConfig(matrix_rate=0.0, rate=0.02)
    named = dict(model.named_parameters())
    plain = torch.optim.AdamW(named.values(), lr=0.5 * 0.02, betas=config.betas, eps=config.eps, weight_decay=0.0, fused=True)
    _learn(model, inputs, targets, plain.step)
    resumed, _, _ = _regression()
    resumed.load_state_dict(model.state_dict())
    optimizer = Optimizer(dict(resumed.named_parameters()), set(), config)
    state = {f"{name}/{what}": value for name, each in named.items() for what, value in plain.state[each].items()}
    optimizer.load_state_tensors(state)
    _learn(model, inputs, targets, plain.step)
    _learn(resumed, inputs, targets, lambda: optimizer.step(0.5))
    for name, parameter in resumed.named_parameters():
        assert torch.equal(parameter, named[name]), name


@pytest.mark.parametrize("matrices", [set(), {"0.weight", "2.weight"}])
def test_a_state_of_before_there_was_decay_goes_on_with_it(matrices: set[str]) -> None:
    model, inputs, targets = _regression()
    named = dict(model.named_parameters())
    before = Optimizer(named, matrices, OptimizerConfig())
    _learn(model, inputs, targets, lambda: before.step(1.0))
    optimizer = Optimizer(named, matrices, OptimizerConfig(weight_decay=0.1))
    optimizer.load_state_tensors(before.state_tensors())
    found = optimizer.state_tensors()
    assert set(found) == set(before.state_tensors())
    assert all(torch.equal(found[name], value) for name, value in before.state_tensors().items())


def test_rows_of_several_processes_decay_as_the_whole_does() -> None:
    model, inputs, targets = _regression()
    model.double()
    config = OptimizerConfig(matrix_rate=0.0, rate=0.02, weight_decay=0.5)
    named = dict(model.named_parameters())
    rows = {name: [1, len(each) - 1, 0] for name, each in named.items()}  # none is left for the last process
    cut = {name: each.detach().clone().split(rows[name]) for name, each in named.items()}
    shards = [{name: nn.Parameter(parts[rank]) for name, parts in cut.items()} for rank in range(3)]
    optimizers = [Optimizer(each, set(), config) for each in (named, *shards)]

    def step() -> None:
        for name, parameter in named.items():
            assert parameter.grad is not None
            for shard, gradient in zip(shards, parameter.grad.split(rows[name]), strict=True):
                shard[name].grad = gradient.clone()
        for optimizer in optimizers:
            optimizer.step(1.0)

    _learn(model, inputs.double(), targets.double(), step)
    for name, parameter in named.items():
        torch.testing.assert_close(torch.cat([shard[name] for shard in shards]), parameter, rtol=1e-12, atol=0, msg=name)

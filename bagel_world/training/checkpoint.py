"""The state of a training run on disk: safetensors and JSON, whole or not at all.

A state is a folder `state-<step>` that appears by a rename. The last `keep` states stay; a full disk costs the newest one only.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bagel_world.errors import TrainingError

_PREFIX = "state-"


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


def part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

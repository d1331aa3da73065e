"""The state of a training run on disk: safetensors and JSON, whole or not at all.

A state is a folder `state-<step>` that appears by a rename. The last `keep` states stay; a full disk costs the newest one only.
Several processes write a file of rows each, and `facts.json` says how many there are; any number of processes reads them back.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bagel_world.errors import TrainingError
from bagel_world.training.ema import Ema
from bagel_world.training.optim import Optimizer
from bagel_world.training.ranks import Ranks

KEEP_RULE = "Newest states that stay; older ones are deleted. One more is on the disk while it is saved."

_PREFIX = "state-"
_UNFINISHED = ".unfinished-state-"


def save_run(
    run: Path,
    step: int,
    named: dict[str, nn.Parameter],
    ema: Ema,
    optimizer: Optimizer,
    facts: dict[str, Any] | None = None,
    ranks: Ranks | None = None,
    *,
    keep: int,
) -> Path:
    """Write what a training goes on from: weights, their averages, the optimizer; see `save_state`."""
    tensors: dict[str, Tensor] = {f"weights/{name}": parameter.detach() for name, parameter in named.items()}
    tensors |= {f"average/{name}": average for name, average in ema.averages.items()}
    tensors |= {f"optimizer/{name}": value for name, value in optimizer.state_tensors().items()}
    return save_state(run, step, tensors, {"updates": ema.updates, **(facts or {})}, keep=keep, ranks=ranks)


@torch.no_grad()
def load_run(run: Path, named: dict[str, nn.Parameter], ema: Ema, optimizer: Optimizer, ranks: Ranks | None = None) -> int | None:
    """Take back what `save_run` wrote last, by any number of processes; its step, or None where there is nothing.

    Raises:
        TrainingError: the newest state cannot be read, or is of another training: other weights, or moved in another way.
    """
    found = load_state(run, ranks)
    if found is None:
        return None
    step, tensors, facts = found
    _compare(run, step, part_of(tensors, "weights/"), named)
    _compare(run, step, part_of(tensors, "average/"), ema.averages)
    for name, parameter in named.items():
        parameter.copy_(tensors[f"weights/{name}"])
    ema.load(part_of(tensors, "average/"), int(facts["updates"]))
    optimizer.load_state_tensors(part_of(tensors, "optimizer/"))
    return step


@torch.no_grad()
def load_averages(run: Path, module: nn.Module) -> None:
    """Put the averages of the newest state into a module, to be used as it is.

    Raises:
        TrainingError: there is no state, it cannot be read, or it is of another training.
    """
    found = load_state(run)
    if found is None:
        raise TrainingError(f"There is no state in {run} yet. Train first.")
    averages, named = part_of(found[1], "average/"), dict(module.named_parameters())
    _compare(run, found[0], averages, named)
    for name, parameter in named.items():
        parameter.copy_(averages[name])


def check_base(run: Path, base: str) -> None:
    """Check that updates of weights go on from the weights that they were learned on.

    Args:
        run: where states are.
        base: fingerprint of the weights there are now.

    Raises:
        TrainingError: the newest state belongs to others.
    """
    learned_on = load_facts(run).get("base", base)
    if learned_on != base:
        raise TrainingError(
            f"The updates in {run} were learned on other weights (fingerprint {learned_on}) than these ({base}). "
            "Name the checkpoint that the run began with as start_from, or train in another run folder."
        )


def _compare(run: Path, step: int, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    shapes, own = ({name: tuple(each.shape) for name, each in tensors.items()} for tensors in (found, wanted))
    differing = sorted(name for name in shapes | own if shapes.get(name) != own.get(name))
    if differing:
        name = differing[0]
        raise TrainingError(
            f"The state of step {step} in {run} is of another training: expected {name} of shape {own.get(name, 'none')}, "
            f"got {shapes.get(name, 'none')}; {len(differing)} tensors differ. Resume with the model and the parts that learn as "
            "they were, or train in another run folder."
        )


def save_state(
    run: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, Any], *, keep: int = 2, ranks: Ranks | None = None
) -> Path:
    """Write the state after `step` steps and drop states older than the last `keep`; the new state's folder.

    Args:
        run: where states are.
        step: how many steps were done.
        tensors: what to keep, by name; of several processes each gives its rows.
        facts: JSON values to keep.
        keep: how many states stay.
        ranks: the processes that save together.

    Raises:
        TrainingError: it could not be written; earlier states are untouched.
    """
    final = run / _state_name(step)
    unfinished = run / f"{_UNFINISHED}{step:08d}"
    files = 1 if ranks is None else ranks.count
    leads = ranks is None or ranks.leads
    with _together(run, step, unfinished, ranks):
        if leads:
            for left in run.glob(f"{_UNFINISHED}*"):  # by a process that was killed while it saved
                shutil.rmtree(left, ignore_errors=True)
            unfinished.mkdir(parents=True)
    with _together(run, step, unfinished, ranks):
        own = {name: tensor.contiguous() for name, tensor in tensors.items() if leads or tensor.ndim}
        save_file(own, unfinished / _file_name(0 if ranks is None else ranks.rank, files))
    with _together(run, step, unfinished, ranks):
        if leads:
            (unfinished / "facts.json").write_text(json.dumps({"step": step, "files": files, **facts}), encoding="utf-8")
            shutil.rmtree(final, ignore_errors=True)
            os.replace(unfinished, final)
    for old in states(run)[:-keep] if leads else ():
        shutil.rmtree(old, ignore_errors=True)
    return final


@contextmanager
def _together(run: Path, step: int, unfinished: Path, ranks: Ranks | None) -> Iterator[None]:
    """One part of a save: it fails for all processes where it fails for one."""
    failure: Exception | None = None
    try:
        yield
    except (OSError, SafetensorError) as error:
        failure = error
    failed = failure is not None
    if failed if ranks is None else ranks.any(failed):
        if ranks is None or ranks.leads:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise TrainingError(
            f"Could not save the state of step {step} in {run}: {failure or 'another process failed'}. "
            f"Free some space and resume: "
            f"{'the last good state is ' + states(run)[-1].name if states(run) else 'there is no earlier state'}."
        ) from failure


def _file_name(rank: int, files: int) -> str:
    return "tensors.safetensors" if files == 1 else f"tensors-{rank + 1:05d}-of-{files:05d}.safetensors"


def _state_name(step: int) -> str:
    return f"{_PREFIX}{step:08d}"


def states(run: Path, last: int | None = None) -> list[Path]:
    """The finished states of a run, oldest first; with `last`, those after so many steps or fewer."""
    found = sorted(path for path in run.glob(f"{_PREFIX}*") if path.is_dir())
    return found if last is None else [path for path in found if path.name <= _state_name(last)]


def load_state(run: Path, ranks: Ranks | None = None) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
    """Step, tensors and facts of the newest state, of several processes each its rows; None where there is none.

    Raises:
        TrainingError: the newest state cannot be read.
    """
    found = states(run)
    if not found:
        return None
    try:
        facts = json.loads((found[-1] / "facts.json").read_text(encoding="utf-8"))
        files = int(facts.get("files", 1))
        paths = [found[-1] / _file_name(rank, files) for rank in range(files)]
        tensors = load_file(paths[0]) if files == 1 and ranks is None else _read_rows(paths, ranks)
        return int(facts["step"]), tensors, facts
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise TrainingError(f"{found[-1]} is no state: {error}. Delete that folder to go on from an earlier one.") from error


def _read_rows(paths: Sequence[Path], ranks: Ranks | None) -> dict[str, Tensor]:
    """Tensors that are spread over files by rows; only the rows of this process are read."""
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(path, framework="pt")) for path in paths]
        tensors = {}
        for name in files[0].keys():  # noqa: SIM118 - a safetensors file is no mapping
            parts = [file.get_slice(name) for file in files if name in file.keys()]  # noqa: SIM118
            if not parts[0].get_shape():
                tensors[name] = files[0].get_tensor(name)
                continue
            lengths = [part.get_shape()[0] for part in parts]
            wanted = slice(0, sum(lengths)) if ranks is None else ranks.rows(sum(lengths))
            starts = [sum(lengths[:place]) for place in range(len(parts))]
            spans = [
                (max(0, wanted.start - start), min(length, wanted.stop - start))
                for start, length in zip(starts, lengths, strict=True)
            ]
            tensors[name] = torch.cat([part[first : max(first, last)] for part, (first, last) in zip(parts, spans, strict=True)])
    return tensors


def load_facts(run: Path) -> dict[str, Any]:
    """The facts of the newest state; none where there is no state."""
    found = states(run)
    return json.loads((found[-1] / "facts.json").read_text(encoding="utf-8")) if found else {}


def part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

"""`bagel-world bench`: how fast is a world on this machine, and where does the time go?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from bagel_world.cli.measuring import (
    CheckpointOption,
    DeviceOption,
    JsonOption,
    SamplingOption,
    command_line,
    finish,
    progress_bar,
)
from bagel_world.evaluation.report import Report, by_metric
from bagel_world.evaluation.speed import QUICK, Bench, SpeedConfig
from bagel_world.evaluation.subject import Subject


def bench(
    context: typer.Context,
    checkpoint: CheckpointOption = "nano",
    quick: Annotated[bool, typer.Option("--quick", help="A few steps of everything: shows that it runs, not how fast.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch; its own choice where left out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the JSON.")] = Path("runs/bench"),
    json_path: JsonOption = None,
    sampling: SamplingOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure speed in one process: medians after a warm-up, resets excluded. Let nothing else run beside it.

    Environment steps per second, alone and in batches; milliseconds of a step by part of the model and by length of the history;
    the share outside of torch's operators; floating-point operations per second against the best matrix product of this machine;
    and what a batch gains.

    Example: bagel-world bench --checkpoint nano --threads 2
    """
    if threads is not None:
        torch.set_num_threads(threads)
    subject = Subject.load(checkpoint, device=device, sampling=sampling)
    config = QUICK if quick else SpeedConfig()
    with progress_bar() as track:
        rows = by_metric(Bench(subject, config, sampling=sampling, device=device).rows(track))
    notes = ["Quick: too few steps for figures to be quoted."] if quick else []
    if not any(row.metric == "gflop_per_second" for row in rows):
        notes.append(f"Checkpoint {checkpoint!r} has no model: there are rows of the environment only.")
    report = Report(
        command=command_line(context),
        checkpoint=checkpoint,
        checkpoint_hash=subject.weights,
        seed=0,
        setting={**config.model_dump(mode="json"), **subject.setting},
        rows=rows,
        notes=tuple(notes),
    )
    finish(report, out, json_path, "bench")

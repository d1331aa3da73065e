"""`bagel-world bench`: how fast is a world on this machine, and where does the time go?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from bagel_world.cli.command_line import command_line
from bagel_world.cli.measuring import (
    CheckpointOption,
    DeviceOption,
    JsonOption,
    SamplingOption,
    check_places,
    finish,
    progress_bar,
)
from bagel_world.evaluation.metrics import median_interval
from bagel_world.evaluation.report import Report, by_metric, make_row
from bagel_world.evaluation.speed import QUICK, Bench, SpeedConfig
from bagel_world.evaluation.subject import Subject
from bagel_world.training.config import read_recipe
from bagel_world.training.speed import TrainingSpeedConfig, training_speed


def bench(
    context: typer.Context,
    checkpoint: CheckpointOption = "nano",
    quick: Annotated[bool, typer.Option("--quick", help="A few steps of everything: shows that it runs, not how fast.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch; its own choice where left out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the JSON.")] = Path("runs/bench"),
    json_path: JsonOption = None,
    training: Annotated[
        Path | None, typer.Option(help="A recipe: measure how fast it trains instead, on its own footage.")
    ] = None,
    sampling: SamplingOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure speed in one process: medians after a warm-up, resets excluded. Let nothing else run beside it.

    Environment steps per second, alone and in batches; milliseconds of a step by part of the model and by length of the history;
    the share outside of torch's operators; floating-point operations per second against the best matrix product of this machine;
    and what a batch gains.

    Example: bagel-world bench --checkpoint nano --threads 2

    With --training RECIPE: the share of the best matrix products that forward and backward reach, and what part of a training
    step goes to them, to the optimizer and to waiting for data; how full packs are.
    """
    check_places(out, json_path)
    if threads is not None:
        torch.set_num_threads(threads)
    if training is not None:
        finish(_training_report(context, training, out, quick=quick), out, json_path, "bench_training")
        return
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


def _training_report(context: typer.Context, recipe: Path, out: Path, *, quick: bool) -> Report:
    config = TrainingSpeedConfig(warm_up=1, steps=3, packs=3) if quick else TrainingSpeedConfig()
    shape = read_recipe(recipe)
    figures = training_speed(shape, config, out / "training")
    rows = [make_row("training", name, len(each), median_interval(np.array(each))) for name, each in figures.items()]
    return Report(
        command=command_line(context),
        checkpoint=str(recipe),
        checkpoint_hash="fresh",
        seed=shape.seed,
        setting={
            **config.model_dump(mode="json"),
            "workers": shape.workers,
            "threads": torch.get_num_threads(),
            "precision": shape.mot.precision,
        },
        rows=tuple(rows),
        notes=("Quick: too few steps for figures to be quoted.",) if quick else (),
    )

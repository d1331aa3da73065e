"""`bagel-world eval calibration`: how often is a scorer right about success?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bagel_world.cli.command_line import command_line
from bagel_world.cli.measuring import (
    CheckpointOption,
    DataOption,
    DeviceOption,
    JsonOption,
    SamplingOption,
    SeedOption,
    check_places,
    describe_footage,
    finish,
    footage_notes,
    kind_of_footage,
    progress_bar,
)
from bagel_world.episodes import EpisodeFolder
from bagel_world.evaluation.calibration import CalibrationConfig, measure_calibration
from bagel_world.evaluation.report import Report
from bagel_world.evaluation.self_check import SelfCheckConfig, measure_self_check
from bagel_world.evaluation.subject import Subject


def calibration(
    context: typer.Context,
    checkpoint: CheckpointOption = "nano",
    data: DataOption = Path("data/house/test"),
    n: Annotated[int, typer.Option(min=4, help="Cases per kind of goal, half of them true.")] = 256,
    frames: Annotated[int, typer.Option(min=1, help="Real frames that are given.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Steps that are imagined behind them.")] = 3,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for the JSON.")] = Path("runs/calibration"),
    json_path: JsonOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Cases at a time.")] = 16,
    sampling: SamplingOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Ask every scorer whether goals are reached, and compare with what the simulator knows.

    Goal pictures, never the frame itself: is it the same view, within 0.25 m and 15 degrees? (Of houses the simulator draws such
    pictures, with the extra sims.) Goals in words, on footage of houses: does one stand in front of the object? On recorded and
    on imagined frames; half of the cases are true. The table tells the area under the curve, how often a scorer is right at its
    own threshold and at the best one, and what that is. The scorer "random" is the control. Last, the self-check: how often the
    world reads the true action from two frames, as in consistency=True.

    Example: bagel-world eval calibration --checkpoint nano --data data/house/test --n 512
    """
    check_places(out, json_path)
    episodes = EpisodeFolder(data)
    subject = Subject.load(checkpoint, task=kind_of_footage(data, episodes).task, device=device, sampling=sampling)
    config = CalibrationConfig(n=n, context=frames, steps=steps, seed=seed, batch=batch)
    with progress_bar() as track:
        findings = measure_calibration(subject, episodes, config, track=track)
        read = measure_self_check(subject, episodes, SelfCheckConfig(n=n, context=frames, seed=seed, batch=batch), track=track)
    report = Report(
        command=command_line(context),
        checkpoint=checkpoint,
        checkpoint_hash=subject.weights,
        data=describe_footage(data, episodes),
        seed=seed,
        setting={**config.model_dump(mode="json"), **subject.setting},
        compute=subject.compute,
        rows=(*findings.rows, *read),
        notes=(*footage_notes(data), *findings.notes),
    )
    finish(report, out, json_path, "calibration")

"""`bagel-world eval long`: does a walk of 500 steps stay cheap, and what does its picture come to?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bagel_world.cli.command_line import command_line
from bagel_world.cli.measuring import (
    CheckpointOption,
    DeviceOption,
    JsonOption,
    SamplingOption,
    SeedOption,
    check_places,
    finish,
    progress_bar,
)
from bagel_world.evaluation.figures import check_figures, save_figure
from bagel_world.evaluation.long_run import LongRunConfig, measure_long_run
from bagel_world.evaluation.report import Report
from bagel_world.evaluation.subject import Subject


def long_run(
    context: typer.Context,
    checkpoint: CheckpointOption = "nano",
    steps: Annotated[int, typer.Option(min=70, help="Steps of every walk.")] = 500,
    walks: Annotated[int, typer.Option(min=1, help="Walks in a batch whose pictures are looked at.")] = 4,
    sinks: Annotated[int | None, typer.Option(min=0, help="First frames that never leave the context.")] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Frames in a context; one more, and old ones leave.")] = None,
    keep_frames: Annotated[int | None, typer.Option(min=1, help="Frames that stay when frames leave.")] = None,
    reuse_latents: Annotated[
        bool | None, typer.Option(help="Go on from the latents an imagined frame was decoded from, or encode it again.")
    ] = None,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for the curves and the filmstrip.")] = Path("runs/long"),
    json_path: JsonOption = None,
    sampling: SamplingOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Walk at random for hundreds of steps on the world's own frames.

    Milliseconds per step (medians of 20) and resident memory of one walk; sharpness, contrast, saturation and the channels of
    several walks beside those of real frames and, in houses, of the same walks in the simulator (extra sims). Writes a table,
    curves and a filmstrip.

    Example: bagel-world eval long --checkpoint nano --steps 500 --sinks 1
    """
    check_places(out, json_path)
    check_figures()
    given = {"sinks": sinks, "max_frames": max_frames, "keep_frames": keep_frames, "reuse_latents": reuse_latents}
    policy: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    subject = Subject.load(checkpoint, device=device, sampling=sampling, context=policy)
    config = LongRunConfig(steps=steps, walks=walks, seed=seed)
    with progress_bar() as track:
        found = measure_long_run(subject, config, track=track)
    report = Report(
        command=command_line(context),
        checkpoint=checkpoint,
        checkpoint_hash=subject.weights,
        seed=seed,
        setting={**config.model_dump(mode="json"), **subject.setting},
        rows=found.rows(),
        notes=found.verdicts(),
    )
    finish(report, out, json_path, "long", {"filmstrip": found.strips()})
    figure = save_figure(found.panels(), out / "long.png", title=f"{checkpoint}: {steps} steps")
    Console(soft_wrap=True).print(str(figure), markup=False, highlight=False)

"""`bagel-world eval solvers`: what more model calls per frame buy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bagel_world.cli.command_line import command_line
from bagel_world.cli.measuring import (
    CheckpointOption,
    DataOption,
    DeviceOption,
    JsonOption,
    SeedOption,
    check_places,
    describe_footage,
    finish,
    footage_notes,
    progress_bar,
)
from bagel_world.episodes import EpisodeFolder
from bagel_world.evaluation.features import load_feature_distance
from bagel_world.evaluation.figures import check_figures, save_figure
from bagel_world.evaluation.report import Report
from bagel_world.evaluation.solvers import SolversConfig, measure_solvers
from bagel_world.evaluation.subject import Subject


def solvers(
    context: typer.Context,
    checkpoint: CheckpointOption = "nano",
    data: DataOption = Path("data/house/test"),
    n: Annotated[int, typer.Option(min=1, help="Next frames to imagine with every setting.")] = 256,
    evaluations: Annotated[list[int] | None, typer.Option(min=1, help="Model calls per frame; again for more.")] = None,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for the figure.")] = Path("runs/solvers"),
    json_path: JsonOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Frames imagined at a time.")] = 32,
    device: DeviceOption = "auto",
) -> None:
    """Paint the same held-out next frames with 1, 2, 3, 4, 8 and 16 model calls and every solver.

    PSNR, EffNet-Lite feature distance and sharpness of each beside the preset "exact", whose shift and guidance all of them have;
    and which setting the rule for the preset "fast" picks: the fewest model calls with the feature distance and sharpness of
    "exact". Writes a table and a figure.

    Example: bagel-world eval solvers --checkpoint nano --data data/house/test --n 512
    """
    check_places(out, json_path)
    check_figures()
    episodes = EpisodeFolder(data)
    perceive = load_feature_distance()
    subject = Subject.load(checkpoint, device=device, sampling="exact")
    config = SolversConfig(n=n, seed=seed, batch=batch)
    if evaluations is not None:
        config = SolversConfig(n=n, seed=seed, batch=batch, evaluations=tuple(evaluations))
    with progress_bar() as track:
        found = measure_solvers(subject, episodes, config, perceive=perceive, track=track)
    report = Report(
        command=command_line(context),
        checkpoint=checkpoint,
        checkpoint_hash=subject.weights,
        data=describe_footage(data, episodes),
        seed=seed,
        setting={**config.model_dump(mode="json"), **subject.setting},
        rows=found.rows(),
        notes=(*footage_notes(data), found.verdict()),
    )
    finish(report, out, json_path, "solvers")
    figure = save_figure(found.panels(), out / "solvers.png", title=f"{checkpoint}: {n} held-out next frames")
    Console(soft_wrap=True).print(str(figure), markup=False, highlight=False)

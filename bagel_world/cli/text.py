"""`bagel-world eval text`: are answers, thoughts and judgments right?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bagel_world.cli.command_line import command_line
from bagel_world.cli.measuring import (
    CheckpointOption,
    DeviceOption,
    JsonOption,
    SeedOption,
    check_places,
    finish,
    progress_bar,
    split_notes,
)
from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.evaluation.report import Report
from bagel_world.evaluation.subject import Subject
from bagel_world.evaluation.text import TextConfig, measure_text


def text(
    context: typer.Context,
    checkpoint: CheckpointOption = "nano-worlds",
    data: Annotated[Path, typer.Option(help="Samples about footage it never saw, from `bagel-world data from-footage`.")] = Path(
        "data/words/test"
    ),
    n: Annotated[int, typer.Option(min=1, help="Exercises of each kind, at most.")] = 2000,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("runs/text"),
    json_path: JsonOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Texts written at a time.")] = 32,
    device: DeviceOption = "auto",
) -> None:
    """Ask about recorded frames what the simulator knows.

    Questions: exact matches, by kind. Thoughts on the way to a goal: how many are well formed, name the side on which the goal
    is, and act as the simple policy that taught them. Judgments whether a goal is reached: accuracy, and the area under the curve
    of P(yes). Every figure has its n and a 95 % bootstrap interval over scenes; beside shares of right answers stands what the
    most frequent answer reaches.

    Example: bagel-world eval text --data data/words/test
    """
    check_places(out, json_path)
    samples = SampleFolder(data)
    splits = sorted({shard.split for shard in samples.shards})
    subject = Subject.load(checkpoint, device=device)
    config = TextConfig(most=n, seed=seed, batch=batch)
    with progress_bar() as track:
        findings = measure_text(subject, samples, config, track=track)
    report = Report(
        command=command_line(context),
        checkpoint=checkpoint,
        checkpoint_hash=subject.weights,
        data=f"{data} ({' and '.join(splits)} split, {len(samples)} samples)",
        seed=seed,
        setting={**config.model_dump(mode="json"), **subject.setting},
        compute=subject.compute,
        rows=findings.rows,
        notes=(*split_notes(splits), *findings.notes),
    )
    finish(report, out, json_path, "text")

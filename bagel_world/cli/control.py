"""`bagel-world eval control`: do the imagined frames obey the actions?"""

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
    training_footage,
)
from bagel_world.episodes import EpisodeFolder
from bagel_world.evaluation.control import ControlConfig, check_control, measure_control
from bagel_world.evaluation.probe import ProbeConfig, load_or_train_probe
from bagel_world.evaluation.report import Report
from bagel_world.evaluation.subject import Subject


def control(
    context: typer.Context,
    checkpoint: CheckpointOption = "nano",
    data: DataOption = Path("data/house/test"),
    probe_data: Annotated[
        Path | None,
        typer.Option(help="Footage of the train split, on which the action probe is trained; by default `train` beside --data."),
    ] = None,
    probe: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps the trained probe; training takes minutes, once. By default runs/action_probe."),
    ] = None,
    n: Annotated[int, typer.Option(min=1, help="Places from which every action is imagined.")] = 256,
    loops: Annotated[int, typer.Option(min=1, help="Places from which walks that return are imagined.")] = 64,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for contact sheets.")] = Path("runs/control"),
    json_path: JsonOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Places imagined at a time.")] = 16,
    sampling: SamplingOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Impose actions and look whether the imagined frames obey.

    The gap between futures of different actions and of different seeds (obeying means above 1); "Stay" against the last frame;
    left and right, a full turn, and forward and back, which must end where they began; and how often a small network, trained on
    real frames only, reads the imposed action from the imagined frames, beside how often it does from real ones.

    The footage says which simulator it is from. Turntables have their own turns that must return, and the yaw of every imagined
    view is told by the real view nearest to it; drops have the gap between waits alone, and need no probe.

    Example: bagel-world eval control --checkpoint nano --data data/house/test --probe-data data/house/train
    """
    check_places(out, json_path)
    probe_data = data.parent / "train" if probe_data is None else probe_data
    episodes = EpisodeFolder(data)
    kind = kind_of_footage(data, episodes)
    subject = Subject.load(checkpoint, task=kind.task, device=device, sampling=sampling)
    config = ControlConfig(n=n, loops=loops, seed=seed, batch=batch)
    training = None if kind.name == "drops" else training_footage(probe_data, data, kind, subject, "--probe-data")
    check_control(subject, episodes, kind, config)
    with progress_bar() as track:
        reader, trained = None, None
        if training is not None:
            footage = describe_footage(probe_data, training)
            folder = probe or Path("runs") / ("action_probe" if kind.name == "house" else f"action_probe_{kind.name}")
            check_places(folder)
            reader, trained = load_or_train_probe(folder, training, subject.words, ProbeConfig(), footage=footage, track=track)
        findings = measure_control(subject, episodes, reader, config, kind=kind, track=track)
    probed = {} if trained is None else {"probe": trained.model_dump(mode="json")}
    report = Report(
        command=command_line(context),
        checkpoint=checkpoint,
        checkpoint_hash=subject.weights,
        data=describe_footage(data, episodes),
        seed=seed,
        setting={**config.model_dump(mode="json"), **subject.setting, **probed},
        compute=subject.compute,
        rows=findings.rows,
        notes=(*footage_notes(data), *findings.notes),
    )
    finish(report, out, json_path, "control", findings.sheets)

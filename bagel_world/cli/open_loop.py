"""`bagel-world eval open-loop`: are the imagined frames right?"""

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
from bagel_world.errors import MissingExtraError
from bagel_world.evaluation.features import FeatureDistance, load_features
from bagel_world.evaluation.frechet import FeatureVectors
from bagel_world.evaluation.kinds import FootageKind
from bagel_world.evaluation.open_loop import OpenLoopConfig, measure_open_loop
from bagel_world.evaluation.recognizer import RecognizerConfig, load_or_train_recognizer
from bagel_world.evaluation.report import Report
from bagel_world.evaluation.subject import Subject


def open_loop(
    context: typer.Context,
    checkpoint: CheckpointOption = "nano",
    data: DataOption = Path("data/house/test"),
    n: Annotated[int, typer.Option(min=1, help="Next frames to imagine, each after 4 real ones.")] = 512,
    rollouts: Annotated[int, typer.Option(min=1, help="Rollouts to imagine, each after 2 real frames.")] = 128,
    horizon: Annotated[int, typer.Option(min=1, help="Steps of a rollout; fewer where the episodes are shorter.")] = 16,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for contact sheets.")] = Path("runs/open_loop"),
    json_path: JsonOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Frames imagined at a time.")] = 16,
    sampling: SamplingOption = None,
    recognizer: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps a recognizer of objects; it is trained where there is none, which takes minutes."),
    ] = None,
    train_data: Annotated[
        Path | None,
        typer.Option(help="Footage of the train split, on which it is trained; by default `train` beside --data."),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Replay recorded actions and compare the imagined frames with the recorded ones.

    One step after four real frames: PSNR, SSIM, EffNet-Lite feature distance and sharpness, over all actions, per action and
    for turns into views that the context does not show, beside the copied last frame, the last frame warped as a turn of a house
    warps it, and the autoencoder's own reconstruction; and the Fréchet distance of all of them from the real frames as a set.
    Rollouts after two real frames: the same by step. Every figure has its n and a 95 % bootstrap interval over houses.

    The footage says which simulator it is from, and so what is measured. Turntables: by degrees, for yaws that the context does
    not show, and inside the object's own pixels. Drops: by wait, where anything moves, against linear motion of the bodies, and
    how many pixels from their places the bodies appear.

    With --recognizer: how many of the objects and bodies of rollouts are still taken for what they are, by a small network that
    knows real frames only.

    Example: bagel-world eval open-loop --checkpoint nano --data data/house/test --n 1440
    """
    check_places(out, json_path)
    episodes = EpisodeFolder(data)
    kind = kind_of_footage(data, episodes)
    subject = Subject.load(checkpoint, task=kind.task, device=device, sampling=sampling)
    config = OpenLoopConfig(n=n, rollouts=rollouts, horizon=horizon, seed=seed, batch=batch)
    train_data = data.parent / "train" if train_data is None else train_data
    learning = None if recognizer is None else _learning_footage(recognizer, train_data, data, kind, subject)
    with progress_bar() as track:
        reader, learned = None, None
        if recognizer is not None and learning is not None:
            footage = describe_footage(train_data, learning)
            reader, learned = load_or_train_recognizer(
                recognizer, kind, learning, RecognizerConfig(), footage=footage, track=track
            )
        perceive, describe = _features()
        findings = measure_open_loop(
            subject, episodes, config, kind=kind, perceive=perceive, describe=describe, recognizer=reader, track=track
        )
    read_by = {} if learned is None else {"recognizer": learned.model_dump(mode="json")}
    report = Report(
        command=command_line(context),
        checkpoint=checkpoint,
        checkpoint_hash=subject.weights,
        data=describe_footage(data, episodes),
        seed=seed,
        setting={**config.model_dump(mode="json"), **subject.setting, **read_by},
        compute=subject.compute,
        rows=findings.rows,
        notes=(*footage_notes(data), *findings.notes),
    )
    finish(report, out, json_path, "open_loop", findings.sheets)


def _learning_footage(recognizer: Path, train_data: Path, data: Path, kind: FootageKind, subject: Subject) -> EpisodeFolder:
    """What the recognizer learns from, once it is known that it can learn and be kept.

    Raises:
        ConfigError: nobody knows which pixels show the objects of this footage, or the footage to learn from is of no use.
        RecordingError: the recognizer cannot be kept there.
    """
    check_places(recognizer)
    height, width = subject.world.frame_size
    kind.open_scenes((height, width)).close()
    return training_footage(train_data, data, kind, subject, "--train-data")


def _features() -> tuple[FeatureDistance, FeatureVectors] | tuple[None, None]:
    try:
        return load_features()
    except MissingExtraError:
        return None, None

"""`bagel-world eval divergence`: a real and an imagined house under the same actions, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
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
)
from bagel_world.episodes import EpisodeFolder
from bagel_world.errors import ConfigError, MissingExtraError
from bagel_world.evaluation.divergence import Divergence, drive, measure_divergence
from bagel_world.evaluation.features import FeatureDistance, load_feature_distance
from bagel_world.evaluation.report import Report
from bagel_world.evaluation.side_by_side import side_by_side
from bagel_world.evaluation.subject import Subject
from bagel_world.types import Episode
from bagel_world.world.record import save_movie

ONE_WALK = "These are the figures of one walk: there are no intervals."
NO_FEATURES = "Without the extra `eval` there are no rows of EffNet-Lite feature distance."


def divergence(
    context: typer.Context,
    actions: Annotated[
        list[str] | None, typer.Argument(help="What to do in the house; an explorer chooses where left out.")
    ] = None,
    checkpoint: CheckpointOption = "nano",
    data: Annotated[Path | None, typer.Option(help="Recorded episodes in place of the house: no OpenGL is needed.")] = None,
    episode: Annotated[int, typer.Option(min=0, help="Which episode of --data.")] = 0,
    house: Annotated[int, typer.Option(min=0, help="Which house of the split.")] = 0,
    split: Annotated[str, typer.Option(help="train, validation, test or unseen.")] = "test",
    steps: Annotated[int, typer.Option(min=1, help="Imagined steps, where the explorer or --data choose the actions.")] = 24,
    given: Annotated[int, typer.Option(min=1, help="Real frames that the imagined world begins with.")] = 2,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for the movies and the sheet.")] = Path("runs/divergence"),
    json_path: JsonOption = None,
    fps: Annotated[float, typer.Option(min=0.1, help="Steps per second of the movies.")] = 3.0,
    sampling: SamplingOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Drive a real house and the imagined one with the same actions and watch them drift apart.

    Writes divergence.mp4, divergence.gif and a sheet, real beside imagined, and per step PSNR and EffNet-Lite feature distance,
    with those of the last given frame beside. The figures are those of one walk: see `eval open-loop` for many.

    Example: bagel-world eval divergence "Look left" "Look left" "Move forward" "Look right" --house 7
    """
    check_places(out, json_path)
    subject = Subject.load(checkpoint, device=device, sampling=sampling)
    real, described = (
        _recorded(data, episode, steps, given, actions) if data else _driven(subject, actions, house, split, steps, given, seed)
    )
    perceive = _feature_distance()
    found = measure_divergence(subject, real, context=given, seed=seed, perceive=perceive)
    report = Report(
        command=command_line(context),
        checkpoint=checkpoint,
        checkpoint_hash=subject.weights,
        data=described,
        seed=seed,
        setting={"actions": [action.text for action in real.actions], "given": given, **subject.setting},
        compute=subject.compute,
        rows=found.rows(),
        notes=(ONE_WALK,) if perceive is not None else (ONE_WALK, NO_FEATURES),
    )
    finish(report, out, json_path, "divergence", {"sheet": found.strips()})
    for path in _movies(found, out, fps):
        Console(soft_wrap=True).print(str(path), markup=False, highlight=False)


def _driven(
    subject: Subject, actions: list[str] | None, house: int, split: str, steps: int, given: int, seed: int
) -> tuple[Episode, str]:
    """A walk in the real house, and words for it."""
    from bagel_world.sims.footage import record_walk
    from bagel_world.sims.house import House

    height, width = subject.world.frame_size
    simulator = House(split=split, size=(height, width))
    try:
        if actions:
            walk = drive(simulator, actions, seed=house)
        else:
            rng = np.random.default_rng((seed, house))
            walk = record_walk(simulator, steps=steps + given - 1, seed=house, episode_id=f"divergence-{house}", rng=rng)
    finally:
        simulator.close()
    return walk, f"house {house} of the {split} split, {'given actions' if actions else 'an explorer'}"


def _recorded(data: Path, episode: int, steps: int, given: int, actions: list[str] | None) -> tuple[Episode, str]:
    """A recorded walk, and words for it."""
    if actions:
        raise ConfigError("Recorded episodes bring their actions. Leave out either --data or the actions.")
    episodes = EpisodeFolder(data)
    if episode >= len(episodes):
        raise ConfigError(f"Expected --episode 0..{len(episodes) - 1} of {data}, got {episode}.")
    whole = episodes[episode]
    count = min(len(whole), steps + given - 1)
    cut = Episode(frames=whole.frames[: count + 1], actions=whole.actions[:count], metadata=whole.metadata)
    return cut, f"{data}, episode {episode}"


def _movies(found: Divergence, out: Path, fps: float) -> list[Path]:
    pictures = side_by_side({"real": found.real, "imagined": found.imagined}, found.captions())
    return [save_movie(out / f"divergence.{kind}", pictures, fps=fps) for kind in ("mp4", "gif")]


def _feature_distance() -> FeatureDistance | None:
    try:
        return load_feature_distance()
    except MissingExtraError:
        return None

"""`bagel-world record`: walks through real houses become a folder of episodes."""

from __future__ import annotations

import multiprocessing
import shlex
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bagel_world.episodes.manifest import read_manifest, require_same_recording, write_manifest
from bagel_world.sims.house import House
from bagel_world.sims.palettes import palette_of
from bagel_world.sims.recording import HouseRecording, record_shard


def record(
    out: Annotated[Path, typer.Argument(help="Folder for the shards; an unfinished recording in it is continued.")],
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes.")] = 64,
    steps: Annotated[int, typer.Option(min=1, help="Actions per episode.")] = 32,
    split: Annotated[str, typer.Option(help="train, validation, test or unseen.")] = "train",
    size: Annotated[int, typer.Option(min=16, help="Height and width of the frames in pixels.")] = 64,
    seed: Annotated[int, typer.Option(min=0, max=2**20 - 1, help="Another seed, other houses.")] = 0,
    per_house: Annotated[int, typer.Option(min=1, help="Episodes in the same house.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 1,
) -> None:
    """Record walks through MiniWorld houses; shards that are already there are kept."""
    palette_of(split)
    recording = HouseRecording(
        split=split, episodes=episodes, steps=steps, size=(size, size), seed=seed, episodes_per_house=per_house
    )
    command = shlex.join(["bagel-world", "record", str(out), *_options(recording)])
    found = read_manifest(out)
    if found is not None:
        require_same_recording(found, recording.manifest(command=command), out)
    console = Console(stderr=True)
    # Opened before anything is written, so that a machine without OpenGL hears about it first.
    house = House(split=split, size=recording.size)
    try:
        _write_progress(recording, out, command, house)
        columns = (TextColumn("recording"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("episodes", total=recording.episodes, completed=recording.finished_in(out))
            for shard in _record_missing(recording, out, workers, house):
                progress.advance(task, len(recording.episodes_of(shard)))
        _write_progress(recording, out, command, house)
    finally:
        house.close()
    console.print(f"{recording.episodes} episodes, {recording.episodes * (steps + 1)} frames in {out}")


def _options(recording: HouseRecording) -> list[str]:
    values = {
        "--episodes": recording.episodes,
        "--steps": recording.steps,
        "--split": recording.split,
        "--size": recording.size[0],
        "--seed": recording.seed,
        "--per-house": recording.episodes_per_house,
    }
    return [str(part) for pair in values.items() for part in pair]


def _write_progress(recording: HouseRecording, out: Path, command: str, house: House) -> None:
    finished = recording.finished_in(out)
    write_manifest(out, recording.manifest(command=command, finished_episodes=finished, renderer=house.renderer))


def _record_missing(recording: HouseRecording, out: Path, workers: int, house: House) -> Iterator[int]:
    """Record what is missing; yields the number of each shard when it is on disk."""
    missing = recording.missing_from(out)
    if workers == 1 or len(missing) < 2:
        for shard in missing:
            record_shard(recording, shard, out, house)
            yield shard
        return
    # A forked OpenGL context is unusable, so workers start fresh.
    with ProcessPoolExecutor(min(workers, len(missing)), mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {pool.submit(record_shard, recording, shard, out): shard for shard in missing}
        for job in as_completed(jobs):
            job.result()
            yield jobs[job]

"""`bagel-world record`: what happens in real simulators becomes a folder of episodes."""

from __future__ import annotations

import multiprocessing
import shlex
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bagel_world.cli.claim import claim
from bagel_world.episodes.manifest import read_manifest, require_same_recording, write_manifest
from bagel_world.errors import RecordingError
from bagel_world.sims.palettes import palette_of
from bagel_world.sims.recordables import recordable_of
from bagel_world.sims.recording import Recording, record_shard


def record(
    context: typer.Context,
    out: Annotated[
        Path, typer.Argument(help="Folder for the shards; a recording in it goes on, with more episodes if more are asked for.")
    ],
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes.")] = 64,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Actions per episode; 32 in a house, 24 of visits or at a turntable, 12 of drops.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation, test or unseen.")] = "train",
    size: Annotated[int, typer.Option(min=16, help="Height and width of the frames in pixels.")] = 64,
    seed: Annotated[int, typer.Option(min=0, max=2**20 - 1, help="Another seed, other houses.")] = 0,
    per_house: Annotated[
        int | None,
        typer.Option(min=1, help="Episodes in the same house (turntable, drop); 3 in a house, 2 of visits, 1 of the others."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 1,
    sim: Annotated[str, typer.Option(help="house, visits (a house, going up to its objects), turntable or drops.")] = "house",
) -> None:
    """Record what a policy sees in a real simulator; shards that are already there are kept."""
    palette_of(split)
    recordable = recordable_of(sim)
    recording = Recording(
        sim=sim,
        split=split,
        episodes=episodes,
        steps=recordable.steps if steps is None else steps,
        size=(size, size),
        seed=seed,
        episodes_per_house=recordable.episodes_per_scene if per_house is None else per_house,
    )
    command = shlex.join(["bagel-world", "record", str(out), *_options(recording)])
    claim(context, out)
    found = read_manifest(out)
    if found is not None:
        require_same_recording(found, recording.manifest(command=command), out)
    console = Console(stderr=True)
    # Opened before anything is written, so that a machine without OpenGL hears about it first.
    simulator = recordable.open(split=split, size=recording.size)
    try:
        _write_progress(recording, out, command, simulator)
        columns = (TextColumn("recording"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("episodes", total=recording.episodes, completed=recording.finished_in(out))
            for shard in _record_missing(recording, out, workers, simulator):
                progress.advance(task, len(recording.episodes_of(shard)))
        _write_progress(recording, out, command, simulator)
    finally:
        simulator.close()
    console.print(f"{recording.episodes} episodes, {recording.episodes * (recording.steps + 1)} frames in {out}")


def _options(recording: Recording) -> list[str]:
    values = {
        "--episodes": recording.episodes,
        "--steps": recording.steps,
        "--split": recording.split,
        "--size": recording.size[0],
        "--seed": recording.seed,
        "--per-house": recording.episodes_per_house,
    }
    words = [str(part) for pair in values.items() for part in pair]
    return words if recording.sim == "house" else ["--sim", recording.sim, *words]


def _write_progress(recording: Recording, out: Path, command: str, simulator: Any) -> None:
    finished = recording.finished_in(out)
    write_manifest(out, recording.manifest(command=command, finished_episodes=finished, renderer=simulator.renderer))


def _record_missing(recording: Recording, out: Path, workers: int, simulator: Any) -> Iterator[int]:
    """Record what is missing; yields the number of each shard when it is on disk."""
    missing = recording.missing_from(out)
    if workers == 1 or len(missing) < 2:
        for shard in missing:
            record_shard(recording, shard, out, simulator)
            yield shard
        return
    # A forked OpenGL context is unusable, so workers start fresh.
    with ProcessPoolExecutor(min(workers, len(missing)), mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {pool.submit(record_shard, recording, shard, out): shard for shard in missing}
        try:
            for job in as_completed(jobs):
                job.result()
                yield jobs[job]
        except BrokenProcessPool as error:
            raise RecordingError(
                "A process that renders was killed, perhaps for want of memory. What is finished is kept: the same command goes "
                "on, with fewer --workers."
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # what went wrong is told before the rest is rendered

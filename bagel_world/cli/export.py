"""`bagel-world export`: a trained checkpoint becomes a folder to ship, with held-out walks to start from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bagel_world.episodes.manifest import read_manifest, write_manifest
from bagel_world.episodes.shards import EpisodeFolder, write_shard
from bagel_world.errors import CheckpointError, ConfigError
from bagel_world.model.checkpoint import load
from bagel_world.types import Episode
from bagel_world.world.simulator import STARTS_FOLDER


def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint folder, for example runs/nano/checkpoint.")],
    to: Annotated[Path, typer.Argument(help="The folder to write; what it holds besides stays.")],
    starts: Annotated[Path | None, typer.Option(help="Footage that was held out from training, to start walks from.")] = None,
    episode: Annotated[list[int] | None, typer.Option(help="Which of its episodes, in this order; may be repeated.")] = None,
) -> None:
    """Check a checkpoint, copy it, and put held-out walks beside it."""
    load(checkpoint)
    chosen = _chosen(starts, episode or [])
    try:
        to.mkdir(parents=True, exist_ok=True)
        for path in sorted(checkpoint.iterdir()):
            if path.is_file():
                shutil.copyfile(path, to / path.name)
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint could not be written to {to}: {error}. Free some space and export again."
        ) from error
    if starts is not None:
        write_shard(to / STARTS_FOLDER, 0, chosen)
        if (manifest := read_manifest(starts)) is not None:
            frames = sum(len(each.frames) for each in chosen)
            counts = {"finished_episodes": len(chosen), "finished_frames": frames}
            write_manifest(to / STARTS_FOLDER, manifest.model_copy(update=counts))
    size = sum(path.stat().st_size for path in to.rglob("*") if path.is_file()) / 1e6
    Console(stderr=True).print(f"{to}: {size:.1f} MB, {len(chosen)} walks to start from")


def _chosen(starts: Path | None, places: list[int]) -> list[Episode]:
    if starts is None:
        return []
    footage = EpisodeFolder(starts)
    wrong = [place for place in places if not 0 <= place < len(footage)]
    if wrong or not places:
        got = wrong or "none"
        raise ConfigError(f"Expected --episode 0..{len(footage) - 1}, once or more, for the walks in {starts}, got {got}.")
    return [footage[place] for place in places]

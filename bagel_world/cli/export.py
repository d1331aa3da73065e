"""`bagel-world export`: a trained checkpoint becomes a folder to ship, with held-out walks to start from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bagel_world.episodes.manifest import read_manifest, write_manifest
from bagel_world.episodes.shards import EpisodeFolder, write_shard
from bagel_world.errors import BagelWorldError, CheckpointError, ConfigError
from bagel_world.files import copy_whole
from bagel_world.model.checkpoint import check_finite, load
from bagel_world.model.config import WorldDefaults
from bagel_world.types import Episode
from bagel_world.world.config import check_defaults
from bagel_world.world.simulator import STARTS_FOLDER, start_folders
from bagel_world.world.weights import find_folder, shipped


def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="A checkpoint folder, for example runs/nano/checkpoint, or the name of a shipped one.")
    ],
    to: Annotated[Path, typer.Argument(help="The folder to write; what it holds besides stays.")],
    starts: Annotated[
        list[str] | None,
        typer.Option(help="FOLDER:4,0,7 - footage held out from training and which of its episodes to start from; repeatable."),
    ] = None,
) -> None:
    """Check a checkpoint, copy it, and put held-out episodes beside it; without --starts those that it has come along.

    Example: bagel-world export runs/nano/checkpoint my_world --starts data/house/test:28,15 --starts data/turntable/test:3
    """
    if str(checkpoint) in shipped():
        checkpoint = find_folder(str(checkpoint))
    loaded = load(checkpoint)
    check_finite(loaded)
    check_defaults(loaded.config.world)
    if to.exists() and to.samefile(checkpoint):
        raise ConfigError(f"Expected another folder to export to than the checkpoint's own, got {to} for both.")
    chosen = {source: _chosen(source) for source in starts or []}
    for source, episodes in chosen.items():
        _check_starts(source, episodes, loaded.config.world)
    for folder in () if chosen else start_folders(checkpoint):
        _check_starts(str(folder), list(EpisodeFolder(folder)), loaded.config.world)
    try:
        to.mkdir(parents=True, exist_ok=True)
        for path in sorted(checkpoint.iterdir()):
            if path.is_file():
                copy_whole(path, to / path.name)
        if chosen or (checkpoint / STARTS_FOLDER).is_dir():
            _replace_starts(checkpoint, to, chosen)
    except BagelWorldError:
        raise
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint could not be written to {to}: {error}. Free some space, or export to another folder."
        ) from error
    size = sum(path.stat().st_size for path in to.rglob("*") if path.is_file()) / 1e6
    count = sum(len(EpisodeFolder(each)) for each in start_folders(to))
    Console(stderr=True).print(f"{to}: {size:.1f} MB, {count} episodes to start from")


def _check_starts(source: str, episodes: list[Episode], world: WorldDefaults) -> None:
    """Check that the world can start from episodes.

    Raises:
        ConfigError: they have another size, were trained on, or show none of its actions.
    """
    words = {word for task in world.tasks.values() for word in task}
    height, width = world.frame_size
    for episode in episodes:
        size, said = episode.frames.shape[1:3], {action.text for action in episode.actions}
        if size != (height, width):
            raise ConfigError(
                f"Expected episodes of {height} x {width} pixels to start from, as the checkpoint imagines them, got "
                f"{size[0]} x {size[1]} in {source}."
            )
        if episode.metadata.get("split") == "train":
            raise ConfigError(
                f"Expected episodes held out from training to start from, got some of the split 'train' in {source}."
            )
        if said and not said & words:
            raise ConfigError(
                f"Expected episodes with actions of the checkpoint to start from ({', '.join(sorted(words))}), got "
                f"{min(said)!r:.60} in {source}."
            )


def _replace_starts(checkpoint: Path, to: Path, chosen: dict[str, list[Episode]]) -> None:
    """The chosen episodes, or else those of the checkpoint; what was there stays until they are written."""
    unfinished = to / f".unfinished-{STARTS_FOLDER}"
    shutil.rmtree(unfinished, ignore_errors=True)  # of an export that was killed
    for number, (source, episodes) in enumerate(chosen.items()):
        _write_starts(unfinished / str(number), _footage(source)[0], episodes)
    if not chosen:
        shutil.copytree(checkpoint / STARTS_FOLDER, unfinished)
    shutil.rmtree(to / STARTS_FOLDER, ignore_errors=True)
    unfinished.rename(to / STARTS_FOLDER)


def _write_starts(folder: Path, footage: Path, episodes: list[Episode]) -> None:
    write_shard(folder, 0, episodes)
    if (manifest := read_manifest(footage)) is not None:
        frames = sum(len(each.frames) for each in episodes)
        write_manifest(folder, manifest.model_copy(update={"finished_episodes": len(episodes), "finished_frames": frames}))


def _chosen(source: str) -> list[Episode]:
    folder, numbers = _footage(source)
    footage = EpisodeFolder(folder)
    places = [int(each) if each.strip().isdecimal() else -1 for each in numbers.split(",")]
    if not all(0 <= place < len(footage) for place in places):
        raise ConfigError(
            f"Expected --starts {folder}:NUMBER,NUMBER,... with numbers of episodes in 0..{len(footage) - 1}, "
            f"got {numbers or 'none'}."
        )
    return [footage[place] for place in places]


def _footage(source: str) -> tuple[Path, str]:
    folder, _, numbers = source.rpartition(":")
    return (Path(folder), numbers) if folder else (Path(numbers), "")

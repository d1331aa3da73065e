"""`bagel-world data check`: is every sample or episode of a folder fit to train on, and what is in it?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bagel_world.episodes.episode_check import EpisodeCheck, check_episodes
from bagel_world.episodes.folder_check import FolderCheck
from bagel_world.episodes.sample_check import SampleCheck, check_samples
from bagel_world.episodes.sample_shards import sample_shard_paths
from bagel_world.episodes.shards import shard_paths
from bagel_world.training.data.sources import open_samples

FOUND_DAMAGE = 1
_SHOWN = 8


def check(
    folder: Annotated[
        Path, typer.Argument(help="Folder of samples, of episodes, or of the published program's parquet and JSON lines.")
    ],
    split: Annotated[str | None, typer.Option(help="Only samples or episodes of this split.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images that JSON lines name.")] = None,
) -> None:
    """Read every sample or episode, decode every image, and count; exits with 1 where something is damaged or lost.

    Example: bagel-world data check data/walks
    """
    if shard_paths(folder) and not sample_shard_paths(folder):
        episodes = check_episodes(folder, split=split)
        _tell(_episode_table(folder, episodes), episodes)
    else:
        samples = check_samples(open_samples(folder, split=split, images=images))
        _tell(_sample_table(folder, samples), samples)


def _tell(table: Table, found: FolderCheck) -> None:
    """Print what there is and what is wrong; exits with 1 where something is."""
    console = Console()
    console.print(table)
    for finding in found.findings:
        console.print(finding, style="red", markup=False, highlight=False, soft_wrap=True)
    if found.fine:
        console.print("Nothing is wrong.")
        return
    if problems := found.damaged + found.twice:
        hidden = max(0, problems - len(found.findings))
        console.print(f"{found.damaged} damaged, {found.twice} twice" + (f"; {hidden} more like these" if hidden else ""))
    raise typer.Exit(FOUND_DAMAGE)


def _sample_table(folder: Path, found: SampleCheck) -> Table:
    table = Table("what", "count", title=f"Samples in {folder}", title_justify="left")
    table.add_row("samples", str(found.samples))
    sources = Counter({f"{source} ({license})": count for (source, license), count in found.sources.items()})
    for name, counts in (("split", found.splits), ("source", sources), ("part", found.parts)):
        _add_counts(table, name, counts)
    _add_counts(table, "image size", _named(found.sizes), most=_SHOWN)
    table.add_row("texts with loss", str(found.losses))
    table.add_row("longest text, characters", str(found.longest_text))
    table.add_row("images, MB", f"{found.image_bytes / 1e6:.1f}")
    return table


def _episode_table(folder: Path, found: EpisodeCheck) -> Table:
    table = Table("what", "count", title=f"Episodes in {folder}", title_justify="left")
    for name, count in (("shards", found.shards), ("episodes", found.episodes), ("frames", found.frames)):
        table.add_row(name, str(count))
    _add_counts(table, "split", found.splits)
    _add_counts(table, "frame size", _named(found.sizes), most=_SHOWN)
    _add_counts(table, "frames in an episode", Counter({str(length): count for length, count in found.lengths.items()}), _SHOWN)
    _add_counts(table, "action", found.actions, most=_SHOWN)
    return table


def _named(sizes: Counter[tuple[int, int]]) -> Counter[str]:
    return Counter({f"{width} x {height}": count for (width, height), count in sizes.items()})


def _add_counts(table: Table, name: str, counts: Counter[str], most: int | None = None) -> None:
    """A row for each of the most frequent, and one for all others."""
    shown = counts.most_common(most)
    for label, count in shown:
        table.add_row(escape(f"{name}: {label}"), str(count))
    if len(shown) < len(counts):
        table.add_row(f"{name}: others", str(counts.total() - sum(count for _, count in shown)))

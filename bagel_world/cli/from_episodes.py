"""`bagel-world data from-episodes`: windows of recorded episodes become interleaved samples."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from bagel_world.cli.claim import claim
from bagel_world.cli.command_line import command_line
from bagel_world.episodes.cuts import draw_cuts, find_cuts
from bagel_world.episodes.damage import Damage
from bagel_world.episodes.manifest import license_of, package_versions, read_manifest
from bagel_world.episodes.sample_writer import SampleWriter
from bagel_world.episodes.samples import sample_from_episode
from bagel_world.episodes.shards import EpisodeFolder
from bagel_world.errors import ConfigError, RecordingError

_PACKAGES = ("bagel-world", "numpy", "pyarrow")


def from_episodes(
    context: typer.Context,
    episodes: Annotated[list[Path], typer.Argument(help="Folders that `record`, `data from-env` or a Recorder made.")],
    out: Annotated[Path, typer.Argument(help="Folder for the samples; new or empty.")],
    frames: Annotated[int, typer.Option(min=2, help="Frames in a sample; all but the first are painted.")] = 4,
    every: Annotated[
        int | None, typer.Option(min=1, help="Steps from one window to the next; by default they meet in one frame.")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", min=1, help="Windows to take, at random; all if not given.")] = None,
    vit: Annotated[bool, typer.Option(help="Show frames through the ViT as well.")] = True,
    decisions: Annotated[bool, typer.Option(help="Learn to say every action before it is done, as an agent has to.")] = False,
    goal: Annotated[str | None, typer.Option(help="Said before the first frame of every sample.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds between two frames; gives every frame its time.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides which windows are taken, and their order.")] = 0,
    skip_damaged: Annotated[int, typer.Option(min=0, help="Damaged episodes that are left out; one more ends it.")] = 0,
) -> None:
    """Cut recorded episodes into samples: a frame, an action word, the frame it led to, and so on; thoughts come along.

    `train:` in a recipe reads episodes as they are. As samples they can be mixed with others by weight, shown to the ViT, checked
    and previewed, and exported to BAGEL's own layout.
    """
    if seconds is not None and not 0 < seconds < float("inf"):
        raise ConfigError(f"Expected --seconds to be more than 0, got {seconds!r}.")
    console = Console(stderr=True)
    claim(context, out)
    found, short = find_cuts(episodes, frames=frames, every=every or frames - 1)
    cuts = draw_cuts(found, n, np.random.default_rng(seed))
    stores = [EpisodeFolder(each) for each in episodes]
    origins = [_origin(each) for each in episodes]
    damage, used, written = Damage(skip_damaged, kind="episode"), 0, 0
    with SampleWriter(out, command=command_line(context), packages=package_versions(_PACKAGES)) as writer:
        shown = track(cuts, description="cutting", console=console)
        for (folder, row), together in groupby(shown, key=lambda cut: (cut.folder, cut.row)):
            try:
                episode = stores[folder][row]
            except RecordingError as error:
                damage.note(str(episodes[folder]), row, error)
                continue
            simulator, license_ = origins[folder]
            used += 1
            for cut in together:
                written += 1
                writer.add(
                    sample_from_episode(
                        episode,
                        source=str(episode.metadata.get("source") or simulator),
                        license=license_,
                        start=cut.start,
                        frames=frames,
                        vit=vit,
                        question=goal,
                        decisions=decisions,
                        seconds_per_step=seconds,
                    )
                )
    console.print(f"{written} samples of {frames} frames from {used} episodes in {out}")
    if damage.total:
        console.print(f"{damage.total} damaged episodes were left out.", style="yellow")
    if short:
        console.print(f"{short} episodes have fewer than {frames} frames and gave none.", style="yellow")
    if n is not None and len(cuts) < n:
        console.print(f"Only {len(cuts)} of {n}: the episodes hold no more. Take a smaller --every.", style="yellow")


def _origin(folder: Path) -> tuple[str, str]:
    """What made the frames of a folder, and under which terms they may be passed on."""
    manifest = read_manifest(folder)
    return "unknown" if manifest is None else manifest.simulator, license_of(folder)

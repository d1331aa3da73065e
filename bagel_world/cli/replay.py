"""`bagel-world replay`: imagine a recorded episode again and say what is different."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from bagel_world.errors import ConfigError
from bagel_world.evaluation.metrics import psnr
from bagel_world.evaluation.subject import FAKE_CHECKPOINT
from bagel_world.types import Episode, Frame
from bagel_world.world.fake import FakeWorld
from bagel_world.world.provenance import Provenance, provenance_of
from bagel_world.world.record import load_episode, save_episode
from bagel_world.world.replay import Difference, differences
from bagel_world.world.replay import replay as replay_in

if TYPE_CHECKING:
    from bagel_world.world.protocol import World

GUESSED = "nano"
"""The checkpoint that is tried where an episode names none."""

DIFFERENT = 1
"""Exit code where a frame, or a thought, came out differently."""

UNCHANGED = (
    "Weights, settings and versions are as recorded: another machine or number of threads rounds differently, "
    "or a file was changed."
)


def replay(
    episode: Annotated[Path, typer.Argument(help="Folder of an imagined episode, as `bagel-world rollout` writes it.")],
    checkpoint: Annotated[str | None, typer.Option(help="Weights to replay with; the recorded ones where left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the episode as it was imagined now.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
) -> None:
    """Imagine an episode again from its provenance: the same context, actions, noise and settings.

    Exit code 0: every frame is equal, bit for bit. Exit code 1: some differ; the table says which and by how much, and what about
    the weights, settings and versions is not as it was.

    Example: bagel-world replay out/rollout
    """
    recorded = load_episode(episode)
    provenance = provenance_of(recorded)
    world = _load_world(checkpoint, provenance, device)
    if checkpoint is None and provenance.checkpoint is None and world.provenance["weights"] != provenance.world.get("weights"):
        raise ConfigError(
            f"The episode does not say by which name its weights were loaded, and {GUESSED!r} has others. "
            "Name them with --checkpoint."
        )
    replayed = replay_in(world, recorded)
    found = list(differences(recorded.frames, replayed.frames))
    thoughts_differ = replayed.thoughts is not None and replayed.thoughts != recorded.thoughts
    console = Console(soft_wrap=True)
    changes = list(provenance.changes(world))
    for name, then, now in changes:
        console.print(f"Not as recorded: {name} was {then!r}, is {now!r}", markup=False, highlight=False)
    if out is not None:
        console.print(f"Imagined now: {save_episode(out, replayed)}", markup=False, highlight=False)
    if found:
        console.print(_table(recorded, replayed.frames, found))
        console.print(f"{len(found)} of {len(recorded.frames)} frames differ. {'' if changes else UNCHANGED}", markup=False)
    if thoughts_differ:
        console.print("The thoughts differ.")
    if found or thoughts_differ:
        raise typer.Exit(DIFFERENT)
    console.print(f"All {len(recorded.frames)} frames are equal, bit for bit.", highlight=False)


def _load_world(checkpoint: str | None, provenance: Provenance, device: str) -> World:
    """The world with the recorded sampler, context policy and precision."""
    recorded: dict[str, Any] = dict(provenance.world)
    name = checkpoint or provenance.checkpoint or (FAKE_CHECKPOINT if recorded.get("world") == "fake" else GUESSED)
    if name == FAKE_CHECKPOINT:
        settings: dict[str, Any] = {key: recorded[key] for key in ("seed", "max_frames", "frame_size") if key in recorded}
        return FakeWorld(**settings)
    from bagel_world.world.simulator import BagelWorld

    # World cannot say that a world takes the contexts it gave itself, so the checker is told so.
    return cast(
        "World",
        BagelWorld.from_pretrained(
            name,
            device=device,
            dtype=recorded.get("dtype", "auto"),
            sampling=recorded.get("sampling"),
            context=recorded.get("context"),
        ),
    )


def _table(episode: Episode, replayed: Frame, found: Sequence[Difference]) -> Table:
    table = Table(title="Frames that differ", title_justify="left")
    for heading in ("frame", "after", "values that differ", "largest", "mean", "PSNR (dB)"):
        table.add_column(heading, justify="left" if heading == "after" else "right", no_wrap=True)
    for each in found:
        place = each.place
        signal = psnr(episode.frames[place : place + 1], replayed[place : place + 1])[0]
        after = episode.actions[place - 1].text if place else "(the beginning)"
        cells = (f"{100 * each.share:.2f} %", str(each.largest), f"{each.mean:.3f}", f"{signal:.1f}")
        table.add_row(str(place), "".join(letter for letter in after if letter.isprintable())[:40].replace("[", "\\["), *cells)
    return table

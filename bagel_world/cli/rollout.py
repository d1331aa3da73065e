"""`bagel-world rollout`: imagine an episode from your own picture or a held-out one, and save it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console

from bagel_world.actions import action_from_text
from bagel_world.errors import ConfigError
from bagel_world.images import center_crop, read_image
from bagel_world.world.provenance import named
from bagel_world.world.record import save_episode, save_movie
from bagel_world.world.rollout import rollout as imagine_rollout
from bagel_world.world.simulator import BagelWorld

if TYPE_CHECKING:
    from bagel_world.world.protocol import World

DEFAULT_WALK = ["Look left"] * 2 + ["Move forward"] * 2 + ["Look right"] * 2 + ["Move forward"] * 2


def rollout(
    actions: Annotated[list[str] | None, typer.Argument(help='What to do, step by step: "Move forward" "Look left" ...')] = None,
    image: Annotated[Path | None, typer.Option(help="Picture to begin with; a held-out frame where it is left out.")] = None,
    episode: Annotated[int, typer.Option(min=0, help="Which held-out walk to begin at, without --image.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the episode.")] = Path("out/rollout"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another imagination.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="nano, a checkpoint folder, or a hub id.")] = "nano",
) -> None:
    """Imagine an episode and save its frames, its provenance and walk.gif; `bagel-world replay` imagines it again."""
    world = BagelWorld.from_pretrained(checkpoint)
    chosen = [action_from_text(text, world.action_words) for text in actions or DEFAULT_WALK]
    if image is not None:
        first = center_crop(read_image(image), world.frame_size)
    elif episode < len(world.starts):
        first = world.starts[episode].frames[0]
    else:
        count = len(world.starts)
        raise ConfigError(f"This checkpoint carries {count} held-out walks, so there is no --episode {episode}. Pass --image.")
    imagined = imagine_rollout(cast("World", world), world.observe(first), chosen, seed=seed)
    save_episode(out, named(imagined, checkpoint))
    save_movie(out / "walk.gif", imagined.frames)
    said = f"{len(imagined)} imagined steps in {out}, to look at: {out / 'walk.gif'}"
    Console(soft_wrap=True).print(said, markup=False, highlight=False)

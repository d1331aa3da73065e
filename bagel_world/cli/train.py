"""`bagel-world train`: a recipe becomes a checkpoint folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bagel_world.cli.claim import claim
from bagel_world.cli.recipe_settings import print_settings
from bagel_world.errors import TrainingError
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.training.config import TrainingConfig, read_recipe
from bagel_world.training.data.walks import Walks
from bagel_world.training.ranks import join_ranks
from bagel_world.training.stages import Preview, Stages
from bagel_world.types import Frame
from bagel_world.world.config import check_defaults
from bagel_world.world.imagining import imagine_on
from bagel_world.world.simulator import BagelWorld

_LOG = logging.getLogger(__name__)

PREVIEW_WALKS = 6
PREVIEW_STEPS = 6


def train(
    context: typer.Context,
    recipe: Annotated[Path, typer.Argument(help="Recipe in YAML, for example recipes/nano.yaml.")],
    change: Annotated[list[str] | None, typer.Option("--set", help="Change a setting: mot.steps=2000. May be repeated.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the recipe's folder.")] = False,
    export_only: Annotated[bool, typer.Option("--export-only", help="Export the newest averaged weights as they are.")] = False,
    settings: Annotated[
        bool,
        typer.Option(
            "--settings", callback=print_settings, is_eager=True, help="Show every setting of a recipe; needs no RECIPE."
        ),
    ] = False,
) -> None:
    """Train autoencoder, tokenizer, world model and decoder, then export a checkpoint folder. Stop at any time; --resume goes on.

    Several processes or GPUs: torchrun --nproc-per-node 2 -m bagel_world train RECIPE, with mot.optimizer.matrix_rate at 0.
    """
    config = read_recipe(recipe, change or ())
    ranks = join_ranks(config.torch_device())
    stages = Stages(config, resume=resume or export_only, ranks=ranks)
    check_defaults(stages.shape.world)
    console = Console(stderr=True)
    if export_only:
        found = stages.averaged()
        console.print(f"Checkpoint: {stages.export(found.bagel, found.vae, found.tokenizer)}", highlight=False)
        return
    leads = ranks is None or ranks.leads
    if leads:
        claim(context, config.run)
    with progress_bar(console, shown=leads) as bar:
        vae = stages.autoencoder(follow_on(bar, "autoencoder"))
        tokenizer = stages.tokenizer()
        preview = _preview(config, stages) if ranks is None else None
        bagel = stages.mot(vae, tokenizer, follow_on(bar, "world model"), preview)
        if leads:
            vae = stages.decoder(bagel, vae, tokenizer, imagine_on, partial(follow_on, bar))
    if leads:
        console.print(f"Checkpoint: {stages.export(bagel, vae, tokenizer)}", highlight=False)
    if ranks is not None:
        ranks.wait()  # whoever leaves first would take the process group along


def progress_bar(console: Console, *, shown: bool = True) -> Progress:
    """A bar for every training that `follow_on` adds, with its losses and pace."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not shown,
    )


def follow_on(bar: Progress, what: str) -> Callable[[int, int, dict[str, float]], None]:
    """What moves the bar of this training, to be called after every step."""
    tasks: list[TaskID] = []

    def follow(step: int, steps: int, losses: dict[str, float]) -> None:
        if not tasks:
            tasks.append(bar.add_task(what, total=steps, loss=""))
        bar.update(tasks[0], completed=step, loss=describe(losses))

    return follow


def describe(figures: dict[str, float]) -> str:
    """Losses and pace of a step in a few words."""
    if "loss" not in figures:
        return ""
    parts = [f"{name} {figures[name]:.4f}" for name in ("velocity", "text") if name in figures]
    words = [f"loss {figures['loss']:.4f}" + (f" ({', '.join(parts)})" if len(parts) > 1 else "")]
    if "tokens_per_second" in figures:
        words += [f"{figures['tokens_per_second']:,.0f} tokens/s", f"{figures['data_wait']:.0%} waiting for data"]
    if "mfu" in figures:
        words.append(f"{figures['mfu']:.0%} of peak")
    if "fill" in figures:
        words.append(f"packs {figures['fill']:.1%} full")
    return ", ".join(words)


def _preview(config: TrainingConfig, stages: Stages) -> Preview | None:
    """Pictures of imagined walks below the real ones, `RUN/previews/step-....png`, and their PSNR; None without any."""
    if not stages.shape.world.capabilities.imagine:
        return None
    try:
        walks = stages.walks("validation")
    except TrainingError as error:
        _LOG.warning("no previews of imagined walks: %s", error)
        return None
    lengths, starts = _followed(walks)
    if not starts:
        _LOG.warning("no previews: no held-out sample is a walk, with an action between any two pictures")
        return None
    steps = min(PREVIEW_STEPS, min(lengths) - 1)

    def preview(step: int, checkpoint: Checkpoint) -> dict[str, float]:
        world = BagelWorld(checkpoint)
        real = [[np.array(frame) for frame in walks.frames[start : start + steps + 1]] for start in starts]
        imagined = [[frames[0]] for frames in real]
        contexts = [world.observe(frames[0]) for frames in real]
        for place in range(1, steps + 1):
            contexts = [each.say(walks.actions[start + place]) for each, start in zip(contexts, starts, strict=True)]
            contexts = world.advance(contexts, seeds=range(len(starts)))
            for walk, context in zip(imagined, contexts, strict=True):
                walk.append(context.frames[-1])
        rows = [np.concatenate(walk, axis=1) for pair in zip(real, imagined, strict=True) for walk in pair]
        path = config.run / "previews" / f"step-{step:08d}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.concatenate(rows)).save(path)
        except OSError as error:  # a picture is not worth a training
            _LOG.warning("could not write %s: %s", path, error)
        return {f"preview_psnr_{place}": _psnr(real, imagined, place) for place in (1, steps)}

    return preview


def _followed(walks: Walks) -> tuple[list[int], list[int]]:
    """Length and start of walks that can be followed, of every folder in turn: two frames or more, words between any two."""
    spans = list(zip(walks.starts[:-1].tolist(), walks.starts[1:].tolist(), strict=True))
    origins = [0] * len(spans) if walks.folders is None else walks.folders.tolist()
    kept: dict[int, list[tuple[int, int]]] = {}
    for origin, (start, end) in zip(origins, spans, strict=True):
        if end - start > 1 and all(walks.actions[start + 1 : end]):
            kept.setdefault(origin, []).append((end - start, start))
    found = [span for turn in zip_longest(*kept.values()) for span in turn if span is not None][:PREVIEW_WALKS]
    return [length for length, _ in found], [start for _, start in found]


def _psnr(real: list[list[Frame]], imagined: list[list[Frame]], place: int) -> float:
    pairs = [(one[place] / 255, other[place] / 255) for one, other in zip(real, imagined, strict=True)]
    return float(np.mean([-10 * np.log10(max(np.square(one - other).mean(), 1e-10)) for one, other in pairs]))

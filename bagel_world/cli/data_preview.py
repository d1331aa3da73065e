"""`bagel-world data preview`: samples as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from bagel_world.episodes.sample_check import decode_images
from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.episodes.samples import Sample
from bagel_world.errors import ConfigError, RecordingError
from bagel_world.model.checkpoint import packing_rules
from bagel_world.model.config import BagelConfig
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.training.config import TrainingConfig, read_recipe
from bagel_world.training.data.preview import Previewer
from bagel_world.training.data.published import PublishedFolder
from bagel_world.training.data.sources import open_samples
from bagel_world.training.stages import Stages
from bagel_world.world.weights import find_folder


def preview(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder of samples, or of the published program's parquet and JSON lines; else those of --recipe."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", help="Cut and show samples as this recipe does: its shape, tokenizer, segments and packs."),
    ] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="Change a setting of the recipe, as in train.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture to write, as PNG.")] = Path("preview.png"),
    samples: Annotated[int, typer.Option("--samples", "-n", min=1, max=64, help="How many, from all over the folders.")] = 4,
    first: Annotated[int | None, typer.Option(min=0, help="Instead, so many in a row from this place on.")] = None,
    split: Annotated[str | None, typer.Option(help="Only samples of this split.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images that JSON lines in FOLDER name.")] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="Without a recipe, whose sizes and tokenizer are used: a name (nano), a folder, a hub id.")
    ] = None,
) -> None:
    """Draw samples: what is shown and how, what is painted, which texts are learned, and who sees whom.

    Without a recipe all of a sample is shown; with one, conditions are left out now and then as the recipe says.

    Examples: bagel-world data preview data/walks -o preview.png; bagel-world data preview --recipe recipes/films.yaml
    """
    config = _read(recipe, change, checkpoint)
    folders = _open(folder, config, split, images)
    names, total = ", ".join(each.folder.name for each in folders), sum(map(len, folders))
    if first is not None and first >= total:
        raise RecordingError(f"Expected --first below {total}, the number of samples in {names}, got {first}.")
    count = min(samples, total)
    if first is None:
        places = [(2 * place + 1) * total // (2 * count) for place in range(count)]
    else:
        places = list(range(first, min(first + count, total)))
    console = Console(stderr=True)
    if config is None:
        previewer, trained = _of_checkpoint(checkpoint or "nano"), f"as {checkpoint or 'nano'} is trained on them"
    else:
        with console.status("making the tokenizer"):
            previewer, trained = _of_recipe(config), f"as {recipe} trains on them"
    drawn = _whole_samples(folders, places, console)
    picture = previewer.draw(drawn, title=f"{len(drawn)} of {total} samples in {names}, {trained}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        picture.save(out, format="PNG")
    except OSError as error:
        raise RecordingError(f"Could not write {out}: {error}. Choose another place with --out.") from error
    console.print(f"{out}: {len(drawn)} of {total} samples", highlight=False)


def _read(recipe: Path | None, change: list[str] | None, checkpoint: str | None) -> TrainingConfig | None:
    if recipe is None:
        if change:
            raise ConfigError("--set changes a setting of a recipe, and there is none. Name one with --recipe.")
        return None
    if checkpoint is not None:
        raise ConfigError("A recipe brings sizes and a tokenizer of its own. Leave out --checkpoint, or --recipe.")
    return read_recipe(recipe, change or ())


def _open(
    folder: Path | None, config: TrainingConfig | None, split: str | None, images: Path | None
) -> list[SampleFolder | PublishedFolder]:
    """The folder that is named, or else all folders of samples of the recipe."""
    if folder is not None:
        return [open_samples(folder, split=split, images=images)]
    if config is None:
        raise ConfigError("Expected a folder of samples or a recipe that names some (--recipe), got neither.")
    if images is not None:
        raise ConfigError("--images belongs to a folder, and none is named. A recipe says images: for each of its samples.")
    if not config.samples:
        raise ConfigError(
            "Expected a recipe with samples, this one learns from walks alone. Name a folder of samples to see them cut its way."
        )
    return [
        open_samples(each.folder, split=split or each.split, images=each.images, license=each.license) for each in config.samples
    ]


def _whole_samples(folders: Sequence[SampleFolder | PublishedFolder], places: Sequence[int], console: Console) -> list[Sample]:
    """The samples at these places; damaged ones are told and left out.

    Raises:
        RecordingError: all are damaged.
    """
    whole, damaged = [], []
    for place in places:
        try:
            sample = _sample_at(folders, place)
            decode_images(sample)
        except RecordingError as error:
            damaged.append(error)
        else:
            whole.append(sample)
    if not whole:
        raise damaged[0]
    for error in damaged:
        console.print(f"left out: {error}", style="yellow", markup=False, highlight=False)
    return whole


def _sample_at(folders: Sequence[SampleFolder | PublishedFolder], place: int) -> Sample:
    """The sample at this place, counted through all folders."""
    for found in folders:
        if place < len(found):
            return found[place]
        place -= len(found)
    raise IndexError(place)


def _of_checkpoint(name: str) -> Previewer:
    shape = find_folder(name)
    config, tokenizer = BagelConfig.from_folder(shape), Tokenizer.from_folder(shape)
    return Previewer(config, tokenizer, packing_rules(config, tokenizer))


def _of_recipe(config: TrainingConfig) -> Previewer:
    """Shows samples as a training of this recipe has them; with the tokenizer of its run, or the one that it would learn."""
    with TemporaryDirectory() as elsewhere:  # a preview leaves nothing in the run's folder
        run = config.run if (config.run / "tokenizer").is_dir() else Path(elsewhere)
        stages = Stages(config.model_copy(update={"run": run, "device": "cpu"}), resume=True)
        shape, tokenizer, mot = stages.shape, stages.tokenizer(), config.mot
    rules = packing_rules(shape, tokenizer)
    writing = mot.text_weight > 0
    return Previewer(shape, tokenizer, rules, segments=mot.segments, pack=mot.pack, writing=writing, seed=config.seed)

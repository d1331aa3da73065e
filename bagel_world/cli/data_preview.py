"""`bagel-world data preview`: samples as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bagel_world.errors import RecordingError
from bagel_world.model.checkpoint import packing_rules
from bagel_world.model.config import BagelConfig
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.training.data.preview import Previewer
from bagel_world.training.data.sources import open_samples
from bagel_world.world.weights import find_folder


def preview(
    folder: Annotated[Path, typer.Argument(help="Folder of samples, or of the published program's parquet and JSON lines.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture to write, as PNG.")] = Path("preview.png"),
    samples: Annotated[int, typer.Option("--samples", "-n", min=1, max=64, help="How many, from all over the folder.")] = 4,
    first: Annotated[int | None, typer.Option(min=0, help="Instead, so many in a row from this place on.")] = None,
    split: Annotated[str | None, typer.Option(help="Only samples of this split.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images that JSON lines name.")] = None,
    checkpoint: Annotated[str, typer.Option(help="Whose sizes and tokenizer are used: a name, a folder or a hub id.")] = "nano",
) -> None:
    """Draw samples: what is shown and how, what is painted, which texts are learned, and who sees whom.

    Example: bagel-world data preview data/walks -o preview.png
    """
    found = open_samples(folder, split=split, images=images)
    if first is not None and first >= len(found):
        raise RecordingError(f"Expected --first below {len(found)}, the number of samples in {folder}, got {first}.")
    count = min(samples, len(found))
    if first is None:
        places = [(2 * place + 1) * len(found) // (2 * count) for place in range(count)]
    else:
        places = list(range(first, min(first + count, len(found))))
    shape = find_folder(checkpoint)
    config, tokenizer = BagelConfig.from_folder(shape), Tokenizer.from_folder(shape)
    previewer = Previewer(config, tokenizer, packing_rules(config, tokenizer))
    title = f"{len(places)} of {len(found)} samples in {folder.name}, as {checkpoint} is trained on them"
    picture = previewer.draw([found[place] for place in places], title=title)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        picture.save(out, format="PNG")
    except OSError as error:
        raise RecordingError(f"Could not write {out}: {error}. Choose another place with --out.") from error
    Console(stderr=True).print(f"{out}: {len(places)} of {len(found)} samples", highlight=False)

"""`bagel-world data check`: is every sample of a folder fit to train on, and what is in it?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bagel_world.episodes.sample_check import SampleCheck, check_samples
from bagel_world.training.data.sources import open_samples

FOUND_DAMAGE = 1
_SIZES = 6


def check(
    folder: Annotated[Path, typer.Argument(help="Folder of samples, or of the published program's parquet and JSON lines.")],
    split: Annotated[str | None, typer.Option(help="Only samples of this split.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images that JSON lines name.")] = None,
) -> None:
    """Read every sample, decode every image, and count; exits with 1 where something is damaged.

    Example: bagel-world data check data/walks
    """
    found = check_samples(open_samples(folder, split=split, images=images))
    console = Console()
    console.print(_table(folder, found))
    for finding in found.findings:
        console.print(finding, style="red", markup=False, highlight=False, soft_wrap=True)
    problems = found.damaged + found.twice
    if not found.fine:
        hidden = max(0, problems - len(found.findings))
        console.print(f"{found.damaged} damaged, {found.twice} twice" + (f"; {hidden} more like these" if hidden else ""))
        raise typer.Exit(FOUND_DAMAGE)
    console.print("Nothing is wrong.")


def _table(folder: Path, found: SampleCheck) -> Table:
    table = Table("what", "count", title=f"Samples in {folder}", title_justify="left")
    table.add_row("samples", str(found.samples))
    groups: Iterable[tuple[str, Iterable[tuple[str, int]]]] = (
        ("split", found.splits.most_common()),
        ("source", ((f"{source} ({license})", count) for (source, license), count in found.sources.most_common())),
        ("part", found.parts.most_common()),
        ("image size", ((f"{width} x {height}", count) for (width, height), count in found.sizes.most_common(_SIZES))),
    )
    for name, rows in groups:
        for label, count in rows:
            table.add_row(f"{name}: {label}", str(count))
    if len(found.sizes) > _SIZES:
        table.add_row("image size: others", str(sum(found.sizes.values()) - sum(n for _, n in found.sizes.most_common(_SIZES))))
    table.add_row("texts with loss", str(found.losses))
    table.add_row("longest text, characters", str(found.longest_text))
    table.add_row("images, MB", f"{found.image_bytes / 1e6:.1f}")
    return table

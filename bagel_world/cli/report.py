"""`bagel-world report`: everything that was measured, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bagel_world.evaluation.closed.page import write_page


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of reports: the --out of one `bagel-world eval`, or of several.")],
) -> None:
    """Put reports, curves, contact sheets and movies into one HTML file that can be passed on: report.html in the folder.

    The page needs no other file and holds no script.

    Example: bagel-world report runs/closed_loop
    """
    Console(soft_wrap=True).print(str(write_page(folder)), markup=False, highlight=False)

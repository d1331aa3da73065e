"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a text under a name beside the file's, then rename it: whoever reads finds the old file or the new one.

    Folders on the way are made.

    Raises:
        OSError: it could not be written; what was there still is.
    """
    unfinished = path.with_name(f".unfinished-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)

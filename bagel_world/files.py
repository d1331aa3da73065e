"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def replace_text(path: Path, text: str) -> None:
    """Write a text under a name beside the file's, then rename it: whoever reads finds the old file or the new one.

    Folders on the way are made.

    Raises:
        OSError: it could not be written; what was there still is.
    """
    unfinished = _beside(path)
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """The same for bytes: a file to write to, which takes the name when the block ends, and is gone when the block fails.

    Raises:
        OSError: it could not be written; what was there still is.
    """
    unfinished = _beside(path)
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):  # what went wrong before is what matters
            unfinished.unlink()
        raise


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file in the same way.

    Raises:
        OSError: one of them could not be read or written; what was there still is.
    """
    with source.open("rb") as original, replacing(target) as copy:
        shutil.copyfileobj(original, copy)


def _beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".unfinished-{path.name}")

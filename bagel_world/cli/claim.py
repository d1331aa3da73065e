"""One command at a time in a folder: two that write there at once would take each other's files for their own."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from filelock import FileLock, Timeout

from bagel_world.errors import ConfigError


def claim(context: typer.Context, folder: Path) -> None:
    """Keep other commands of this machine out of a folder until this one ends; one that was killed keeps nobody out.

    Nothing is written there, and the folder need not exist: a command may still refuse to begin.

    Raises:
        ConfigError: another command writes there.
    """
    context.with_resource(_alone_in(folder))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    lock = FileLock(_lock_file(folder), blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigError(f"Another command is writing to {folder}. Wait until it has ended, or name another folder.") from None
    except (OSError, NotImplementedError):  # a machine without room for locks is no reason to do nothing
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _lock_file(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return Path(tempfile.gettempdir()) / f"bagel-world-{name}.lock"

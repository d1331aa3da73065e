"""One command at a time in a folder: two that write there at once would take each other's files for their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from filelock import FileLock, Timeout

from bagel_world.errors import ConfigError

LOCK_FILE = ".lock"


def claim(context: typer.Context, folder: Path) -> None:
    """Keep other commands out of a folder until this one ends; one that was killed keeps nobody out.

    Raises:
        ConfigError: another command writes there, or nobody can.
    """
    context.with_resource(_alone_in(folder))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_FILE, blocking=False)
        lock.acquire()
    except Timeout:
        raise ConfigError(f"Another command is writing to {folder}. Wait until it has ended, or name another folder.") from None
    except NotImplementedError:  # a file system without locks
        yield
        return
    except OSError as error:
        raise ConfigError(f"Expected a folder that can be written to, {folder} cannot: {error}. Name another one.") from error
    try:
        yield
    finally:
        lock.release()

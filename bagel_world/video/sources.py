"""Sources: the films and folders of images that paths lead to, and how one is told from another."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bagel_world.errors import RecordingError

FILM_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv", ".h264", ".hevc"}
)
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm"})
SIDECAR_SUFFIXES = frozenset({".csv", ".json"})

_PROBE = 1 << 20  # bytes read from the beginning, the middle and the end of a film to know it again


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A film, or a folder of images that are its pictures in the order of their names (2 before 10).

    Attributes:
        name: the path as the user gave it, with forward slashes.
        images: the pictures of a folder; empty for a film.
    """

    name: str
    path: Path
    images: tuple[Path, ...] = ()

    @property
    def kind(self) -> Literal["film", "images"]:
        """What it is."""
        return "images" if self.images else "film"

    def key(self) -> str:
        """32 hexadecimal digits of its content, the same under any name.

        Raises:
            RecordingError: it cannot be read.
        """
        digest = hashlib.sha256()
        try:
            for path in self.images or (self.path,):
                if self.images:
                    digest.update(path.name.encode("utf-8", "surrogateescape"))
                _digest_ends(path, digest)
        except OSError as error:
            raise RecordingError(f"It cannot be read ({error.strerror}). Check its permissions, or leave it out.") from error
        return digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What paths led to.

    Attributes:
        sources: in a fixed order.
        empty: (name, sentence) of each folder without films or images.
        ignored: how many files of each other ending were passed over.
    """

    sources: tuple[Source, ...]
    empty: tuple[tuple[str, str], ...]
    ignored: dict[str, int]


def find_sources(paths: Iterable[str | Path]) -> Found:
    """All films and image folders under these paths; a file that is named itself counts whatever its ending is.

    Raises:
        RecordingError: a path that does not exist.
    """
    sources: dict[Path, Source] = {}
    empty = []
    ignored: Counter[str] = Counter()
    for path in map(Path, paths):
        if not path.exists():
            raise RecordingError(f"Expected a film, a folder of images or a folder of those, but {str(path)!r} does not exist.")
        if not path.is_dir():
            sources.setdefault(path.resolve(), Source(name=path.as_posix(), path=path))
            continue
        before = len(sources)
        for folder in (
            path,
            *sorted((each for each in path.rglob("*") if each.is_dir() and not _hidden(each, path)), key=natural),
        ):
            _look_into(folder, sources, ignored)
        if len(sources) == before:
            empty.append((path.as_posix(), "There is no film or image in this folder. Give one that holds some."))
    return Found(sources=tuple(sources.values()), empty=tuple(empty), ignored=dict(sorted(ignored.items())))


def natural(path: Path) -> list[tuple[int, str]]:
    """A key to sort paths by, numbers in them as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.as_posix())]


def _look_into(folder: Path, sources: dict[Path, Source], ignored: Counter[str]) -> None:
    files = sorted((each for each in folder.iterdir() if each.is_file() and not each.name.startswith(".")), key=natural)
    images = tuple(each for each in files if each.suffix.lower() in IMAGE_SUFFIXES)
    if images:
        sources.setdefault(folder.resolve(), Source(name=folder.as_posix(), path=folder, images=images))
    for file in files:
        if file.suffix.lower() in FILM_SUFFIXES:
            sources.setdefault(file.resolve(), Source(name=file.as_posix(), path=file))
        elif file.suffix.lower() not in IMAGE_SUFFIXES | SIDECAR_SUFFIXES:
            ignored[file.suffix.lower() or "no ending"] += 1


def _hidden(folder: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in folder.relative_to(root).parts)


def _digest_ends(path: Path, digest: hashlib._Hash) -> None:
    size = path.stat().st_size
    digest.update(size.to_bytes(8, "big"))
    with path.open("rb") as file:
        for start in sorted({0, max(0, size // 2 - _PROBE // 2), max(0, size - _PROBE)}):
            file.seek(start)
            digest.update(file.read(_PROBE))

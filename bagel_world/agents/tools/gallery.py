"""The pictures that a session may open: files under the folders it was given, and nothing else."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from bagel_world.errors import AccessError, ConfigError, ImageError, nearest
from bagel_world.images import image_size, read_image
from bagel_world.types import Frame

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Largest picture file that is read."""

MAX_LISTED = 16
"""Most file names that a hint chooses from or lists."""

_ADDRESS = re.compile(r"^\s*([a-z][a-z0-9+.-]+://|data:|www\.)", re.IGNORECASE)
# What a file was exchanged for in the meantime is neither followed nor waited for.
_SAFELY = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Gallery:
    """Opens pictures by name.

    A name is a path relative to one of the folders, or a whole path inside of one. Links are followed first and judged by where
    they lead, so none leads out. What lies outside is refused in the same words whether it exists or not.

    Args:
        folders: what may be read, one or several, subfolders included; none means no file at all.
        max_pixels: largest picture, checked before it is decoded.

    Raises:
        ConfigError: a folder that does not exist, or none at all.
    """

    def __init__(self, folders: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (), *, max_pixels: int) -> None:
        several = [folders] if isinstance(folders, (str, os.PathLike)) else folders
        if not isinstance(several, Iterable):
            raise ConfigError(f"Expected a folder of pictures, or a list of them, got {folders!r:.80}.")
        self._roots = tuple(_folder(each) for each in several)
        self._max_pixels = max_pixels

    def open(self, name: str) -> Frame:
        """The frame in a picture file.

        Raises:
            AccessError: an address, or no regular file of this name in the folders.
            ImageError: too large, or not a picture.
        """
        if _ADDRESS.match(name):
            raise AccessError(f"Addresses are not fetched, got {name!r:.120}. Name a picture file instead. {self._hint(name)}")
        data = self._read(self._find(name), name)
        try:
            width, height = image_size(data)
            if width * height > self._max_pixels:
                raise ImageError(
                    f"Expected a picture of at most {self._max_pixels} pixels, got {width} x {height} = {width * height}. "
                    "Scale it down."
                )
            return read_image(data)
        except ImageError as error:
            raise ImageError(f"{name!r:.120} cannot be opened. {error}") from error

    def _find(self, name: str) -> Path:
        """The real place of a name, inside of a folder."""
        for root in self._roots:
            try:
                found = (root / name).resolve()  # a whole path takes the place of the root; links are followed
                inside = found.is_relative_to(root) and found.is_file()
            except (OSError, ValueError, RuntimeError):  # too long, a zero byte, not writable as text, links in a circle
                continue
            if inside:
                return found
        if not self._roots:
            raise AccessError("This session was given no folders, so it can open no picture files. Work with the view you have.")
        raise AccessError(f"There is no picture {name!r:.120} in the folders of this session. {self._hint(name)}")

    def _read(self, path: Path, name: str) -> bytes:
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | _SAFELY), "rb")
        except OSError as error:
            raise AccessError(f"The file {name!r:.120} cannot be read: {error.strerror}. {self._hint(name)}") from None
        with file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):  # exchanged since it was found
                raise AccessError(f"Expected a picture file, but {name!r:.120} is none. {self._hint(name)}")
            if status.st_size > MAX_FILE_BYTES:
                raise ImageError(
                    f"Expected a file of at most {MAX_FILE_BYTES} bytes, {name!r:.120} has {status.st_size}. Shrink it."
                )
            return file.read(MAX_FILE_BYTES)

    def _hint(self, name: str) -> str:
        """Names that would have worked."""
        names = sorted({each for root in self._roots for each in _pictures_in(root)})
        if not names:
            return "There is none at the top of its folders."
        return nearest(name, names[:MAX_LISTED])


def _pictures_in(root: Path) -> list[str]:
    """Names of the picture files at the top of a folder; none where it is gone."""
    try:
        files = [each for each in root.iterdir() if each.suffix.lower() in Image.registered_extensions()]
        return [each.name for each in files if each.is_file() and not each.is_symlink()]
    except OSError:
        return []


def _folder(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigError(f"Expected a folder of pictures, got {path!r:.80}.")
    folder = Path(path).resolve()
    if not folder.is_dir():
        raise ConfigError(f"Expected a folder of pictures, but {os.fspath(path)!r} is none. Make it, or give another.")
    return folder

"""Showing frames to people: a window where there is a display, colored cells in the terminal where there is none."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol, TextIO

import numpy as np
from PIL import Image

from bagel_world.types import Frame

_logger = logging.getLogger(__name__)

_WINDOW_SIDE = 512
_MAX_COLUMNS = 64
_UNSEEN = ("offscreen", "dummy")


class Viewer(Protocol):
    """Something that shows one frame after another."""

    def show(self, frame: Frame, caption: str) -> None:
        """Show this frame in place of the last one."""
        ...

    def close(self) -> None:
        """Give the window back; allowed twice."""
        ...


def open_viewer() -> Viewer:
    """A pygame window, else a matplotlib window, else the terminal: the first that this machine can open."""
    if has_display():
        for package, viewer in _WINDOWS:
            try:
                importlib.import_module(package)
                return viewer()
            except (ImportError, RuntimeError) as error:  # pygame.error is a RuntimeError
                _logger.info("No %s window here (%s).", package, error)
    return TerminalViewer(sys.stdout)


def has_display() -> bool:
    """Whether a window could be seen here."""
    if sys.platform.startswith(("win", "darwin")):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def frame_to_ansi(frame: Frame, max_columns: int = _MAX_COLUMNS) -> str:
    """The frame as lines of colored half blocks: one character is one pixel wide and two high.

    Args:
        frame: uint8, shape (height, width, 3).
        max_columns: widest line, in characters; wider frames are scaled down.
    """
    height, width = frame.shape[:2]
    columns = min(width, max_columns)
    rows = max(2, round(height * columns / width / 2) * 2)
    if (rows, columns) != (height, width):
        frame = np.array(Image.fromarray(frame).resize((columns, rows), Image.Resampling.BOX))
    return "\n".join(_ansi_line(frame[row], frame[row + 1]) for row in range(0, rows, 2))


def tile_frames(frames: list[Frame]) -> Frame:
    """Equally large frames side by side in a nearly square grid; free places are black."""
    columns = int(np.ceil(np.sqrt(len(frames))))
    rows = -(-len(frames) // columns)
    height, width = frames[0].shape[:2]
    grid = np.zeros((rows * height, columns * width, 3), np.uint8)
    for place, frame in enumerate(frames):
        top, left = place // columns * height, place % columns * width
        grid[top : top + height, left : left + width] = frame
    return grid


class TerminalViewer:
    """Half blocks of color on a text stream, each frame over the last one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines = 0

    def show(self, frame: Frame, caption: str) -> None:
        """Write the frame and its caption over what was shown before."""
        text = frame_to_ansi(frame)
        back = f"\x1b[{self._lines}A" if self._lines else ""
        self._stream.write(f"{back}{text}\n\x1b[2K{_one_line(caption)}\n")
        self._stream.flush()
        self._lines = text.count("\n") + 2

    def close(self) -> None:
        """Leave the last frame where it stands."""
        self._lines = 0


def import_pygame() -> Any:
    """Pygame with its display open.

    Raises:
        ImportError: it is not installed.
        RuntimeError: no window can be opened here.
    """
    pygame: Any = importlib.import_module("pygame")
    pygame.display.init()
    driver = pygame.display.get_driver()
    # Where the display does not answer, pygame draws where nobody can see it. Who asks for that by name is given it.
    if driver in _UNSEEN and driver not in os.environ.get("SDL_VIDEODRIVER", "").split(","):
        pygame.display.quit()
        raise RuntimeError(f"the display {os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')} does not answer")
    return pygame


class PygameViewer:
    """A pygame window."""

    def __init__(self) -> None:
        self._pygame = import_pygame()
        self._window: Any = None

    def show(self, frame: Frame, caption: str) -> None:
        """Draw the frame, enlarged by a whole number, with the caption in the title."""
        large = _enlarge(frame)
        size = (large.shape[1], large.shape[0])
        if self._window is None or self._window.get_size() != size:
            self._window = self._pygame.display.set_mode(size)
        self._pygame.event.pump()
        picture = self._pygame.image.frombuffer(large.tobytes(), size, "RGB")
        self._window.blit(picture, (0, 0))
        self._pygame.display.set_caption(_one_line(caption))
        self._pygame.display.flip()

    def close(self) -> None:
        """Close the window."""
        if self._window is not None:
            self._window = None
            self._pygame.display.quit()


class MatplotlibViewer:
    """A matplotlib window."""

    def __init__(self) -> None:
        self._plots: Any = importlib.import_module("matplotlib.pyplot")
        self._figure: Any = None
        self._picture: Any = None

    def show(self, frame: Frame, caption: str) -> None:
        """Draw the frame with the caption as its title."""
        if self._figure is None:
            self._figure, axes = self._plots.subplots()
            axes.axis("off")
            self._picture = axes.imshow(frame)
        self._picture.set_data(frame)
        self._picture.axes.set_title(_one_line(caption))
        self._plots.pause(0.001)

    def close(self) -> None:
        """Close the window."""
        if self._figure is not None:
            self._plots.close(self._figure)
            self._figure = None


_WINDOWS: tuple[tuple[str, Callable[[], Viewer]], ...] = (("pygame", PygameViewer), ("matplotlib", MatplotlibViewer))


def _ansi_line(upper: Frame, lower: Frame) -> str:
    cells = (
        f"\x1b[38;2;{over[0]};{over[1]};{over[2]};48;2;{under[0]};{under[1]};{under[2]}m\u2580"
        for over, under in zip(upper.tolist(), lower.tolist(), strict=True)
    )
    return "".join(cells) + "\x1b[0m"


def _enlarge(frame: Frame) -> Frame:
    factor = max(1, _WINDOW_SIDE // max(frame.shape[:2]))
    return frame.repeat(factor, axis=0).repeat(factor, axis=1)


def _one_line(caption: str) -> str:
    """The caption without line breaks and control characters, so that no text can take over a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in caption)[:_MAX_COLUMNS]

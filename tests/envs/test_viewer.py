"""Frames on a screen: exact cells in the terminal, the first window that opens elsewhere."""

from __future__ import annotations

import importlib
import io
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bagel_world.envs import viewer
from bagel_world.envs.viewer import MatplotlibViewer, PygameViewer, TerminalViewer, frame_to_ansi, open_viewer, tile_frames


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Window packages that seem to be installed."""
    installed: dict[str, Any] = {}

    def import_module(name: str) -> Any:
        if name not in installed:
            raise ImportError(name)
        return installed[name]

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    return installed


def test_one_character_is_two_pixels() -> None:
    frame = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], np.uint8)
    cells = "\x1b[38;2;1;2;3;48;2;7;8;9m\u2580\x1b[38;2;4;5;6;48;2;10;11;12m\u2580\x1b[0m"
    assert frame_to_ansi(frame) == cells


@pytest.mark.parametrize(
    ("shape", "lines", "columns"), [((64, 64), 32, 64), ((128, 128), 32, 64), ((64, 256), 8, 64), ((5, 3), 2, 3)]
)
def test_large_frames_are_scaled_to_the_terminal(shape: tuple[int, int], lines: int, columns: int) -> None:
    text = frame_to_ansi(np.zeros((*shape, 3), np.uint8)).split("\n")
    assert len(text) == lines
    assert all(line.count("\u2580") == columns for line in text)


def test_tiles_fill_a_grid_row_by_row() -> None:
    frames = [np.full((1, 2, 3), value, np.uint8) for value in (1, 2, 3)]
    np.testing.assert_array_equal(tile_frames(frames)[..., 0], [[1, 1, 2, 2], [3, 3, 0, 0]])


def test_the_terminal_draws_over_its_last_frame() -> None:
    stream = io.StringIO()
    terminal = TerminalViewer(stream)
    frame = np.zeros((4, 2, 3), np.uint8)
    terminal.show(frame, "one")
    first = stream.getvalue()
    terminal.show(frame, "two")
    assert first == f"{frame_to_ansi(frame)}\n\x1b[2Kone\n"
    assert stream.getvalue() == first + "\x1b[3A" + first.replace("one", "two")


def test_words_cannot_take_over_the_terminal() -> None:
    stream = io.StringIO()
    TerminalViewer(stream).show(np.zeros((2, 1, 3), np.uint8), "go\x1b[2J\n" + "x" * 500)
    caption = stream.getvalue().split("\x1b[2K")[1]
    assert caption == "go [2J " + "x" * 57 + "\n"


def test_without_a_display_the_terminal_is_taken(packages: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    packages["pygame"] = SimpleNamespace()
    assert isinstance(open_viewer(), TerminalViewer)


def test_pygame_comes_before_matplotlib_before_the_terminal(packages: dict[str, Any]) -> None:
    assert isinstance(open_viewer(), TerminalViewer)
    packages.update({"matplotlib": SimpleNamespace(), "matplotlib.pyplot": SimpleNamespace()})
    assert isinstance(open_viewer(), MatplotlibViewer)
    packages["pygame"] = SimpleNamespace(display=SimpleNamespace(init=lambda: None, get_driver=lambda: "x11"))
    assert isinstance(open_viewer(), PygameViewer)


def test_a_window_that_cannot_open_gives_way(packages: dict[str, Any]) -> None:
    def refuse() -> None:
        raise RuntimeError("No available video device")

    packages["pygame"] = SimpleNamespace(display=SimpleNamespace(init=refuse))
    assert isinstance(open_viewer(), TerminalViewer)


@pytest.mark.parametrize("kind", [PygameViewer, MatplotlibViewer])
def test_real_windows_show_and_close(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame" if kind is PygameViewer else "matplotlib")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("MPLBACKEND", "agg")
    window = kind()
    for value in (0, 255):
        window.show(np.full((64, 64, 3), value, np.uint8), "Look left")
    window.close()
    window.close()


def test_frames_are_enlarged_by_whole_numbers() -> None:
    frame = np.array([[[1] * 3, [2] * 3]], np.uint8)
    large = viewer._enlarge(frame)
    assert large.shape == (256, 512, 3)
    assert (large[:, :256] == 1).all()
    assert (large[:, 256:] == 2).all()


@pytest.mark.parametrize(("driver", "asked", "opens"), [("offscreen", "", False), ("dummy", "dummy", True), ("x11", "", True)])
def test_a_display_that_does_not_answer_is_no_window(
    packages: dict[str, Any], monkeypatch: pytest.MonkeyPatch, driver: str, asked: str, opens: bool
) -> None:
    display = SimpleNamespace(init=lambda: None, quit=lambda: None, get_driver=lambda: driver)
    packages["pygame"] = SimpleNamespace(display=display)
    monkeypatch.setenv("SDL_VIDEODRIVER", asked)
    assert isinstance(open_viewer(), PygameViewer if opens else TerminalViewer)

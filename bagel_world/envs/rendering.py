"""What `render` gives in each mode, for one environment or many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bagel_world.envs.viewer import Viewer, frame_to_ansi, open_viewer, tile_frames
from bagel_world.errors import ConfigError, nearest
from bagel_world.types import Frame

RENDER_MODES = ("rgb_array", "human", "ansi")
RENDER_FPS = 8


class Renderer:
    """Renders frames in one mode and keeps the window of "human".

    Raises:
        ConfigError: an unknown mode.
    """

    def __init__(self, mode: str | None) -> None:
        if mode is not None and mode not in RENDER_MODES:
            raise ConfigError(f"There is no render mode {mode!r}. {nearest(str(mode), RENDER_MODES)}")
        self._mode = mode
        self._viewer: Viewer | None = None

    def announce(self, frames: Sequence[Frame], caption: str) -> None:
        """Show new frames at once where a person is watching; other modes wait for `render`."""
        if self._mode == "human":
            self._show(frames, caption)

    def render(self, frames: Sequence[Frame], *, single: bool) -> Any:
        """The frames in this mode: None for "human" and without a mode, else an array or a text per frame.

        Args:
            frames: one per environment.
            single: give the only frame itself instead of a tuple of one.
        """
        if self._mode is None:
            return None
        if self._mode == "human":
            self._show(frames, "")
            return None
        rendered = tuple(frame.copy() if self._mode == "rgb_array" else frame_to_ansi(frame) for frame in frames)
        return rendered[0] if single else rendered

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._viewer is not None:
            self._viewer.close()
            self._viewer = None

    def _show(self, frames: Sequence[Frame], caption: str) -> None:
        if self._viewer is None:
            self._viewer = open_viewer()
        self._viewer.show(frames[0] if len(frames) == 1 else tile_frames(list(frames)), caption)

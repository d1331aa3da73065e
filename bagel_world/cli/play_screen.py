"""The screen of `bagel-world play` in a terminal: frames as half blocks of color, drawn by rich.

rich is there already for tables, knows how many colors a terminal can show, and draws without flicker; a larger toolkit would
bring an event loop of its own for one picture and a dozen lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from rich.color import Color
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from bagel_world.cli.keyboard import Keyboard
from bagel_world.cli.play_facts import facts, one_line
from bagel_world.cli.play_keys import Controls
from bagel_world.envs.player import Player
from bagel_world.types import Frame

_PANEL = 38
"""Columns of the words beside the frame, at least."""
_THUMB_ROWS = 4
_ROOMY = 30
"""Lines from which a terminal has room for the context."""
_PATIENCE = 0.2
"""Seconds after which the screen looks whether the terminal has another size."""


class TerminalScreen:
    """The terminal, all of it, until it is closed; then it is as it was.

    Args:
        title: the first line.
        keyboard: an entered one.
        console: where to draw.
    """

    def __init__(self, title: str, keyboard: Keyboard, console: Console) -> None:
        self._title = title
        self._keyboard = keyboard
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._shown: object = None

    def show(self, controls: Controls) -> None:
        """Draw what there is to see."""
        if not self._live.is_started:  # not earlier: a world that cannot be loaded is told on the ordinary screen
            self._live.start()
        self._shown = size = self._live.console.size
        self._live.update(draw(controls, self._title, size.width, size.height), refresh=True)

    def read(self) -> str | None:
        """The next key; None where none was pressed for a while."""
        try:
            return self._keyboard.read(_PATIENCE)
        except KeyboardInterrupt:
            return "ctrl+c"

    def busy(self) -> bool:
        """Whether more keys wait to be read."""
        return self._keyboard.waits()

    def stale(self) -> bool:
        """Whether the terminal has another size than when it was drawn."""
        return self._shown != self._live.console.size

    def close(self) -> None:
        """Show what was there before."""
        self._live.stop()


@dataclass(frozen=True, slots=True, eq=False)
class HalfBlocks:
    """A frame in characters: one is one pixel wide and two high.

    Attributes:
        frame: uint8, shape (height, width, 3).
        rows: lines of text.
    """

    frame: Frame
    rows: int

    @property
    def columns(self) -> int:
        """Characters in a line."""
        height, width = self.frame.shape[:2]
        return max(1, round(2 * self.rows * width / height))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.columns, self.columns)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        size = (self.columns, 2 * self.rows)
        enlarged = size[1] >= self.frame.shape[0]
        way = Image.Resampling.NEAREST if enlarged else Image.Resampling.BOX
        pixels = np.array(Image.fromarray(self.frame).resize(size, way)).tolist()
        for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
            for over, under in zip(upper, lower, strict=True):
                style = Style(color=Color.from_rgb(*over), bgcolor=Color.from_rgb(*under))
                yield Segment("\u2580", style)
            yield Segment.line()


def draw(controls: Controls, title: str, width: int, height: int) -> RenderableType:
    """The whole screen.

    Args:
        controls: the player and what is being typed.
        title: the first line.
        width: of the terminal, in characters.
        height: of the terminal, in lines.
    """
    player = controls.player
    keys = _keys(controls.help, width)
    strip = _strip(player.now.context, width) if height >= _ROOMY else None
    taken = 2 + keys.count("\n") + 1 + (_THUMB_ROWS + 1 if strip else 0)
    rows = max(4, height - taken - 1)
    frame_height, frame_width = player.now.frame.shape[:2]
    rows = min(rows, max(4, round((width - _PANEL - 2) * frame_height / frame_width / 2)))
    split = Table.grid(padding=(0, 2))
    split.add_row(HalfBlocks(player.now.frame, rows), _panel(player, rows, width - 2 * rows * frame_width // frame_height - 3))
    parts: list[RenderableType] = [Text(title, style="bold", no_wrap=True, overflow="ellipsis"), split]
    if strip is not None:
        parts += [Text("context, oldest first", style="dim"), strip]
    return Group(*parts, Text(keys, style="cyan"), _last_line(controls, width))


def _panel(player: Player, rows: int, width: int) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in facts(player):
        table.add_row(label, Text(one_line(value)))
    if player.goal is None:
        return table
    thumb = max(3, min(rows - table.row_count - 2, width // 3))
    return Group(table, Text("goal", style="dim"), HalfBlocks(player.goal, thumb))


def _strip(context: Sequence[Frame], width: int) -> RenderableType:
    blocks = [HalfBlocks(frame, _THUMB_ROWS) for frame in context]
    room = max(1, (width + 1) // (blocks[-1].columns + 1))
    strip = Table.grid(padding=(0, 1))
    strip.add_row(*blocks[-room:])
    return strip


def _keys(table: Sequence[tuple[str, str]], width: int) -> str:
    """The keys in as few lines as they need."""
    lines = [""]
    for key, meaning in table:
        word = f"{key} {meaning}"
        joined = f"{lines[-1]}   {word}" if lines[-1] else word
        if len(joined) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = joined
    return "\n".join(lines)


def _last_line(controls: Controls, width: int) -> Text:
    if controls.typing is None:
        return Text(one_line(controls.player.message), style="yellow", no_wrap=True, overflow="ellipsis")
    shown = one_line(controls.typing)[-max(1, width - 30) :]
    return Text(f"do: {shown}\u2588  (Enter: go, Esc: leave)", style="bold", no_wrap=True)

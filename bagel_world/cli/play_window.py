"""The window of `bagel-world play`, where there is a display: the same split view, drawn as one picture and shown by pygame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bagel_world.cli.play_facts import facts, one_line
from bagel_world.cli.play_keys import CLOSED, Controls
from bagel_world.envs.viewer import import_pygame
from bagel_world.types import Frame

_SIDE = 512
_PANEL = 400
_THUMB = 80
_GAP = 12
_LINE = 20
_KEY_LINES = 2
_MOST_LINES = 5
"""Lines that one fact may take."""
_PAPER, _INK, _DIM, _LOUD = (18, 18, 20), (230, 230, 230), (140, 140, 150), (240, 200, 90)

_KEY_NAMES = {
    "return": "enter",
    "enter": "enter",
    "backspace": "backspace",
    "escape": "escape",
    "up": "up",
    "down": "down",
    "left": "left",
    "right": "right",
}


def draw_picture(controls: Controls, title: str) -> Frame:
    """The whole window: the frame, what is known about it, what it is imagined from, the keys."""
    player = controls.player
    frame = _fit(player.now.frame, _SIDE)
    height = max(frame.height, _SIDE // 2)
    width = frame.width + _PANEL + 3 * _GAP
    top, below = _GAP + _LINE, _THUMB + 2 * _LINE + (_KEY_LINES + 1) * _LINE
    picture = Image.new("RGB", (width, top + height + below + _GAP), _PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    pen.text((_GAP, _GAP // 2), title, fill=_INK, font=font)
    picture.paste(frame, (_GAP, top))
    left = frame.width + 2 * _GAP
    y = top
    for label, value in facts(player):
        pen.text((left, y), label, fill=_DIM, font=font)
        for line in _wrap(one_line(value), font, _PANEL - 100)[:_MOST_LINES]:
            pen.text((left + 100, y), line, fill=_INK, font=font)
            y += _LINE
    if player.goal is not None:
        picture.paste(_fit(player.goal, _PANEL // 2), (left, y + _GAP))
    y = top + height + _GAP
    pen.text((_GAP, y), "context, oldest first", fill=_DIM, font=font)
    y += _LINE
    room = max(1, (width - _GAP) // (_THUMB + _GAP))
    for place, seen in enumerate(player.now.context[-room:]):
        picture.paste(_fit(seen, _THUMB), (_GAP + place * (_THUMB + _GAP), y))
    y += _THUMB + _GAP
    keys = "   ".join(f"[{key}] {meaning}" for key, meaning in controls.plain_help)
    for line in _wrap(keys, font, width - 2 * _GAP)[:_KEY_LINES]:
        pen.text((_GAP, y), line, fill=_DIM, font=font)
        y += _LINE
    said = player.message if controls.typing is None else f"do: {controls.typing}_  (Enter: go, Esc: leave)"
    pen.text((_GAP, y), one_line(said), fill=_LOUD, font=font)
    return np.array(picture)


class WindowScreen:
    """A pygame window with the keys that are pressed in it.

    Raises:
        ImportError: pygame is not installed.
        RuntimeError: no window can be opened here.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._pygame: Any = import_pygame()
        self._pygame.key.set_repeat(400, 60)
        self._window: Any = None

    def show(self, controls: Controls) -> None:
        """Draw what there is to see."""
        picture = draw_picture(controls, self._title)
        size = (picture.shape[1], picture.shape[0])
        if self._window is None or self._window.get_size() != size:
            self._window = self._pygame.display.set_mode(size)
            self._pygame.display.set_caption(self._title)
        self._window.blit(self._pygame.image.frombuffer(picture.tobytes(), size, "RGB"), (0, 0))
        self._pygame.display.flip()

    def read(self) -> str | None:
        """The next key; `CLOSED` where the window is closed; None where nothing happened for a while."""
        event = self._pygame.event.wait(200)
        if event.type == self._pygame.QUIT:
            return CLOSED
        if event.type != self._pygame.KEYDOWN:
            return None
        name = _KEY_NAMES.get(self._pygame.key.name(event.key))
        return name or event.unicode or None

    def busy(self) -> bool:
        """Whether more keys wait to be read."""
        return bool(self._pygame.event.peek(self._pygame.KEYDOWN))

    def stale(self) -> bool:
        """Whether the window has to be drawn anew although nothing happened."""
        return False

    def close(self) -> None:
        """Close the window."""
        if self._window is not None:
            self._window = None
            self._pygame.display.quit()


def _fit(frame: Frame, side: int) -> Image.Image:
    """The frame with its longer side at this many pixels."""
    height, width = frame.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return Image.fromarray(frame).resize(size, Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX)


def _wrap(text: str, font: Any, width: int) -> Sequence[str]:
    """The text in lines of at most so many pixels; a word that is longer has a line of its own."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if font.getlength(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines

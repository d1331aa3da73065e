"""What the keys of `bagel-world play` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bagel_world.actions import MAX_TEXT_LENGTH
from bagel_world.envs.player import Player

ARROWS = {"up": "\u2191", "down": "\u2193", "left": "\u2190", "right": "\u2192"}
"""Arrow keys and how they are shown."""

CLOSED = "closed"
"""What a window reads when it is closed: no key, it always leaves."""

_ARROW_WORDS = {"up": ("forward", "one"), "down": ("stay", "back"), "left": ("left",), "right": ("right",)}


def bind_arrows(words: Sequence[str]) -> dict[str, str]:
    """The action of every arrow key that has one: the first whose words say the direction."""
    bound: dict[str, str] = {}
    for key, signs in _ARROW_WORDS.items():
        for action in words:
            if set(signs) & set(action.lower().split()) and action not in bound.values():
                bound[key] = action
                break
    return bound


def bind_numbers(words: Sequence[str]) -> dict[str, str]:
    """The actions of the number keys, from 1 on; the tenth is 0."""
    return {str((place + 1) % 10): word for place, word in enumerate(words[:10])}


class Controls:
    """Turns keys into steps.

    Args:
        player: what the keys move.
        next_movie: where the next movie goes.

    Attributes:
        typing: the text that is being typed; None where keys are commands.
    """

    def __init__(self, player: Player, next_movie: Callable[[], Path]) -> None:
        self.player = player
        self.typing: str | None = None
        self._next_movie = next_movie
        self._last_words = ""
        words = player.env.action_words
        self._arrows = bind_arrows(words)
        self._actions = {**bind_numbers(words), **self._arrows}
        self._commands: dict[str, Callable[[], object]] = {
            "t": self._begin_to_type,
            "u": player.undo,
            "backspace": player.undo,
            "y": player.redo,
            "n": player.redraw,
            "r": player.restart,
            "g": self._save,
            " ": lambda: player.act(self._last_words) if self._last_words else None,
        }

    @property
    def help(self) -> list[tuple[str, str]]:
        """Every key and what it does."""
        return [(ARROWS.get(key, key), meaning) for key, meaning in self.plain_help]

    @property
    def plain_help(self) -> list[tuple[str, str]]:
        """The same, with arrow keys by their names."""
        numbers = f"1-{min(len(self.player.env.action_words), 9)}"
        return [*self._arrows.items(), (numbers, "any action"), *_HELP]

    def press(self, key: str) -> bool:
        """Do what a key stands for; False where the person wants to leave."""
        self.player.message = ""
        if key == CLOSED:
            return False
        if self.typing is not None:
            self._type(key)
        elif key in ("q", "escape", "ctrl+c", "ctrl+d"):
            return False
        elif key in self._actions:
            self._act(self._actions[key])
        elif key in self._commands:
            self._commands[key]()
        else:
            self.player.message = f"The key {key!r} does nothing here." if key.isprintable() else "This key does nothing here."
        return True

    def _act(self, words: str) -> None:
        self._last_words = words
        self.player.act(words)

    def _begin_to_type(self) -> None:
        self.typing = ""

    def _type(self, key: str) -> None:
        assert self.typing is not None
        if key in ("escape", "ctrl+c", "ctrl+d"):
            self.typing = None
        elif key == "enter":
            words, self.typing = self.typing, None
            if words.strip():
                self._act(words)
        elif key == "backspace":
            self.typing = self.typing[:-1]
        elif len(key) == 1 and key.isprintable():
            self.typing = (self.typing + key)[:MAX_TEXT_LENGTH]

    def _save(self) -> None:
        self.player.save(self._next_movie())


_HELP = (
    ("t", "type words"),
    ("space", "again"),
    ("u", "undo"),
    ("y", "redo"),
    ("n", "other noise"),
    ("g", "save GIF"),
    ("r", "restart"),
    ("q", "quit"),
)

"""Single key presses from a terminal, by the standard library: nothing waits for Enter and nothing is echoed."""

from __future__ import annotations

import codecs
import os
import re
import sys
from types import TracebackType
from typing import Any, Self

from bagel_world.errors import ConfigError

_NAMES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x03": "ctrl+c",
    "\x04": "ctrl+d",
    "\x1b": "escape",
}
_WINDOWS_NAMES = {"H": "up", "P": "down", "M": "right", "K": "left"}
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z~]|\x1bO[A-Za-z]|.", re.DOTALL)
_BEGUN = re.compile(r"\x1b[\[O][0-9;?]*\Z")


def split_keys(text: str) -> tuple[list[str], str]:
    """What a terminal sent as names of keys, and the beginning of a sequence whose end is still to come.

    Keys are "up", "down", "left", "right", "enter", "backspace", "escape", "ctrl+c", "ctrl+d" or single characters; other
    function keys are left out.
    """
    begun = _BEGUN.search(text)
    rest = text[begun.start() :] if begun else ""
    keys = []
    for found in _SEQUENCE.findall(text[: len(text) - len(rest)]):
        plain = found.replace("\x1bO", "\x1b[")  # arrows of terminals in application mode
        if plain in _NAMES:
            keys.append(_NAMES[plain])
        elif len(found) == 1:
            keys.append(found)
    return keys, rest


class Keyboard:
    """The keys of a terminal, while it is entered as a context.

    Args:
        stream: a file descriptor of a terminal.

    Raises:
        ConfigError: on entering, it is no terminal.
    """

    def __init__(self, stream: int | None = None) -> None:
        self._stream = sys.stdin.fileno() if stream is None else stream
        self._before: Any = None
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
        self._rest = ""
        self._keys: list[str] = []

    def __enter__(self) -> Self:
        if not os.isatty(self._stream):
            raise ConfigError(
                "Playing needs a terminal to read keys from, got a pipe or a file. "
                "Run it in a terminal, or imagine a walk without keys: bagel-world rollout"
            )
        if sys.platform != "win32":
            import termios
            import tty

            self._before = termios.tcgetattr(self._stream)
            tty.setcbreak(self._stream)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None and sys.platform != "win32":
            import termios

            termios.tcsetattr(self._stream, termios.TCSADRAIN, self._before)
            self._before = None

    def read(self, timeout: float) -> str | None:
        """The next key; None where none came within so many seconds."""
        return self._keys.pop(0) if self.waits(timeout) else None

    def waits(self, timeout: float = 0.0) -> bool:
        """Whether there is a key to read, or comes within so many seconds."""
        if not self._keys:
            self._keys += self._read_windows(timeout) if sys.platform == "win32" else self._read_posix(timeout)
        return bool(self._keys)

    def _read_posix(self, timeout: float) -> list[str]:
        import select

        ready, _, _ = select.select([self._stream], [], [], timeout)
        if not ready:
            return []
        sent = os.read(self._stream, 4096)
        if not sent:  # the terminal is gone
            return ["ctrl+d"]
        keys, self._rest = split_keys(self._rest + self._decoder.decode(sent))
        return keys

    def _read_windows(self, timeout: float) -> list[str]:
        import msvcrt
        import time

        console: Any = msvcrt
        end = time.monotonic() + timeout
        while not console.kbhit():
            if time.monotonic() > end:
                return []
            time.sleep(0.01)
        key = console.getwch()
        if key in ("\x00", "\xe0"):
            name = _WINDOWS_NAMES.get(console.getwch())
            return [name] if name else []
        name = _NAMES.get(key, key)
        return [name] if name else []

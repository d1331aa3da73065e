"""Stopwatch: how long chosen methods of living objects take, without a line in their code."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any


class Stopwatch:
    """Adds up the wall time of methods while it is on.

    A watched method that another watched method calls counts as part of its caller.

    Args:
        clock: seconds.
        wait: called before every reading of the clock, so that what a GPU has only been told to do counts where it was told.

    Attributes:
        seconds: name -> seconds since the last reset; names that were not called are missing.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter, wait: Callable[[], None] = lambda: None) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._wait = wait
        self._inside = False
        self._last: dict[str, Callable[[], Any]] = {}

    def reset(self) -> None:
        """Start again from zero."""
        self.seconds = {}

    def replay(self, name: str) -> Any:
        """Call the method of this name again as it was called last, unwatched."""
        return self._last[name]()

    @contextmanager
    def on(self, methods: Mapping[str, tuple[object, str]]) -> Iterator[None]:
        """Watch while the block runs.

        Args:
            methods: name -> (object, name of its method). The objects are as before when the block ends.
        """
        for name, (owner, method) in methods.items():
            # On the instance alone: it shadows the method of the class until it is deleted.
            object.__setattr__(owner, method, self._watched(name, getattr(owner, method)))
        try:
            yield
        finally:
            for owner, method in methods.values():
                object.__delattr__(owner, method)

    def _watched(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def watched(*arguments: Any, **settings: Any) -> Any:
            if self._inside:
                return method(*arguments, **settings)
            self._last[name] = lambda: method(*arguments, **settings)
            self._inside = True
            self._wait()
            began = self._clock()
            try:
                return method(*arguments, **settings)
            finally:
                self._wait()
                self.seconds[name] = self.seconds.get(name, 0.0) + self._clock() - began
                self._inside = False

        return watched

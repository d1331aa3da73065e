"""A count of what could not be read: each is logged and skipped, and too many end the work with one clear error."""

from __future__ import annotations

import logging
from typing import Literal

from bagel_world.errors import ConfigError, RecordingError

_LOG = logging.getLogger(__name__)

_KEPT = 20


class Damage:
    """Damaged samples by source; one that comes again, in the next epoch, is none more.

    Attributes:
        limit: how many may be skipped; one more raises. None counts, and neither raises nor logs.
        kind: what they are called: samples, or episodes.
        places: where in their sources they are, by source.
        messages: what was wrong with the first of them.
    """

    def __init__(self, limit: int | None, *, kind: Literal["sample", "episode"] = "sample") -> None:
        if limit is not None and limit < 0:
            raise ConfigError(f"Expected a number of damaged {kind}s to skip of at least 0, got {limit!r}.")
        self.limit = limit
        self.kind = kind
        self.places: dict[str, set[int]] = {}
        self.messages: list[str] = []

    @property
    def total(self) -> int:
        """Damaged samples of all sources."""
        return sum(map(len, self.places.values()))

    def note(self, source: str, place: int, error: Exception) -> None:
        """Count the sample at this place of a source, if it has not been before.

        Raises:
            RecordingError: that is more than the limit.
        """
        known = self.places.setdefault(source, set())
        if place in known:
            return
        known.add(place)
        if len(self.messages) < _KEPT:
            self.messages.append(str(error))
        if self.limit is None:
            return
        _LOG.warning("skipped a damaged %s of %s (%d so far, %d allowed): %s", self.kind, source, self.total, self.limit, error)
        if self.total > self.limit:
            raise RecordingError(
                f"{self.total} {self.kind}s are damaged, {self.limit} may be skipped. Look at them with "
                f"`bagel-world data check`, or allow more (skip_damaged). The last one: {error}"
            ) from error

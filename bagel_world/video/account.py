"""The account of one film: what became of its pictures, clips and samples while it is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from bagel_world.episodes.samples import Sample
from bagel_world.video.clips import Survey
from bagel_world.video.journal import Outcome

MAX_PROBLEMS = 20
"""Sentences that are kept of one film; the rest is only counted."""


class Account:
    """Counts what becomes of a film, and goes on with what was counted before it was broken off.

    Args:
        film: its name.
        survey: what was found in it.
        kept: places of the clips that are no copies.
        license: terms that its sidecar file names.
        words: what tells its sidecar file from another.
        before: what was on disk when it was broken off.

    Attributes:
        samples: counts by what became of samples and texts.
        problems: sentences about what went wrong.
        done: stretches of frames that were turned into samples or dropped.
    """

    def __init__(
        self,
        film: str,
        survey: Survey,
        kept: Sequence[int],
        *,
        license: str | None = None,
        words: str | None = None,
        before: Outcome | None = None,
    ) -> None:
        self._film, self._survey, self._kept, self._license, self._words = film, survey, tuple(kept), license, words
        self.resumed = before is not None
        self.samples: Counter[str] = Counter(before.samples if before else {})
        self.problems: list[str] = list(before.problems if before else survey.problems)
        self.done = before.done if before else 0

    def problem(self, sentence: str) -> None:
        """Keep a sentence, if it is among the first."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(sentence)

    def wrote(self, samples: Iterable[Sample]) -> None:
        """Count samples."""
        for sample in samples:
            self.samples.update(written=1, images=len(sample.images), texts=len(sample.texts))

    def outcome(self, *, complete: bool) -> Outcome:
        """What became of the film so far."""
        pictures, clips = Counter(self._survey.pictures), Counter(self._survey.cut)
        kept = set(self._kept)
        for place, clip in enumerate(self._survey.clips):
            if place not in kept:
                pictures["clips"] -= clip.pictures
                pictures["duplicate"] += clip.pictures
                clips["kept"] -= 1
                clips["duplicate"] += 1
                clips["cropped"] -= clip.cropped
        return Outcome(
            film=self._film,
            complete=complete,
            done=self.done,
            kept=self._kept,
            seconds=self._survey.seconds,
            pictures=dict(pictures),
            clips=dict(clips),
            samples=dict(self.samples),
            problems=tuple(self.problems),
            license=self._license,
            words=self._words,
        )

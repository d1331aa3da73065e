"""Interleaving: frames and the texts between them become samples of the trainer's format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from bagel_world.episodes.samples import ImagePart, Sample, TextPart
from bagel_world.video.account import Account
from bagel_world.video.captions import Captioner, CaptionError, Change
from bagel_world.video.config import FootageConfig
from bagel_world.video.extraction import Shot
from bagel_world.video.sidecar import Word

_MARK = re.compile(r"<\|\w+\|>")  # how language models mark where their texts begin and end; the trainer refuses those

MAX_FAILURES = 20
"""Captions in a row that may fail before a conversion stops: then it is not the films."""


class Captions:
    """Asks a caption source for the text of every change, and counts what it says.

    Args:
        captioner: where texts come from.
        max_characters: longest text that is taken.
    """

    def __init__(self, captioner: Captioner, max_characters: int) -> None:
        self._captioner = captioner
        self._max = max_characters
        self._failures = 0

    def between(self, shots: Sequence[Shot], film: str, words: Sequence[Word], account: Account) -> list[str | None]:
        """The n - 1 texts between n frames; None where there is no usable one.

        Raises:
            CaptionError: the source failed `MAX_FAILURES` times in a row.
        """
        texts: list[str | None] = []
        for place, (before, after) in enumerate(pairwise(shots)):
            change = Change(
                before=before.frame,
                after=after.frame,
                start=before.time,
                end=after.time,
                place=place,
                film=film,
                words=words,
            )
            texts.append(self._text(change, account))
        return texts

    def _text(self, change: Change, account: Account) -> str | None:
        try:
            text = " ".join(self._captioner.caption(change).split())
            text.encode()
            if mark := _MARK.search(text):
                raise CaptionError(f"Expected words alone, got {text!r:.80} with the mark {mark.group()}.")
        except (CaptionError, UnicodeEncodeError) as error:
            self._failures += 1
            account.samples["failed captions"] += 1
            account.problem(f"No text at {change.start:.2f} s: {error}")
            if self._failures >= MAX_FAILURES:
                raise CaptionError(f"{MAX_FAILURES} captions in a row failed, so this stops. The last one: {error}") from error
            return None
        self._failures = 0
        if not text:
            account.samples["empty captions"] += 1
        elif len(text) > self._max:
            account.samples["long captions"] += 1
        else:
            return text
        return None


def interleave(
    shots: Sequence[Shot], texts: Sequence[str | None], *, film: str, key: str, license: str, config: FootageConfig
) -> list[Sample]:
    """Samples of frames and the texts between them: one, or several where a text is missing.

    Layout: frame, text, frame, text, ..., frame. Every frame but the first is a target; every frame but the last is also shown.
    """
    samples = []
    first = 0
    for place, text in enumerate([*texts, None]):
        if text is not None:
            continue
        if place > first:
            said = [each for each in texts[first:place] if each is not None]
            samples.append(_sample(shots[first : place + 1], said, film, key, license, config))
        first = place + 1
    return samples


def _sample(shots: Sequence[Shot], texts: Sequence[str], film: str, key: str, license: str, config: FootageConfig) -> Sample:
    parts: list[TextPart | ImagePart] = []
    start, last = shots[0].time, len(shots) - 1
    for place, shot in enumerate(shots):
        shown = place < last
        if place:
            parts.append(TextPart(text=texts[place - 1], role="action", loss=config.text_loss))
        parts.append(
            ImagePart(
                image=shot.png,
                vae=shown,
                vit=shown and config.vit,
                target=place > 0,
                time=round(shot.time - start, 6),
            )
        )
    return Sample(
        sample_id=f"{key[:16]}/{start:.3f}-{shots[-1].time:.3f}",
        parts=tuple(parts),
        source=config.source,
        license=license,
        split=config.split,
        metadata={"film": film, "start": round(start, 6), "end": round(shots[-1].time, 6), "captions": config.captions},
    )

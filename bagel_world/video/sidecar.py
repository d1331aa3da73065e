"""Sidecar files: what is done in a film and when, in a file beside it.

`walk.mp4` looks for `walk.csv` or `walk.json`; a folder of images `walk/` looks for `walk/actions.csv`, `walk/actions.json`,
then for `walk.csv` and `walk.json` beside it. Times are in seconds after the first picture.

CSV, with these column names; an empty end is the start of the next row, or the film's end:

    start,end,text
    0.0,0.5,Move forward
    0.5,1.0,Look left

JSON: a list of such rows, or an object that may name the terms too:

    {"actions": [{"start": 0.0, "end": 0.5, "text": "Move forward"}], "license": "CC-BY-4.0"}
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bagel_world.errors import RecordingError
from bagel_world.video.sources import Source

MAX_BYTES = 256 * 2**20
"""Largest sidecar file that is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What is done between two times, in seconds after the film's first picture."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What the file beside a film says, in the order of time."""

    words: tuple[Word, ...]
    license: str | None = None


def find_sidecar(source: Source) -> Path | None:
    """The sidecar file of a film or folder; None where there is none."""
    beside = [source.path.with_name(source.path.stem if source.kind == "film" else source.path.name)]
    stems = [source.path / "actions", *beside] if source.kind == "images" else beside
    candidates = [stem.with_name(stem.name + ending) for stem in stems for ending in (".csv", ".json")]
    return next((path for path in candidates if path.is_file()), None)


def sidecar_key(path: Path) -> str:
    """32 hexadecimal digits that another sidecar file does not have; "" for one that cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:32] if path.stat().st_size <= MAX_BYTES else ""
    except OSError:
        return ""


def read_sidecar(path: Path) -> Sidecar:
    """The words of a sidecar file; words of an unknown end last until the next begin, the last one without end.

    Raises:
        RecordingError: it is unreadable, or a row has no time, ends before it starts or overlaps the next.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordingError(f"Expected a sidecar file of at most {MAX_BYTES} bytes, {path.name} has {path.stat().st_size}.")
        text = path.read_text(encoding="utf-8-sig")
        rows, license = _csv_rows(text) if path.suffix.lower() == ".csv" else _json_rows(text)
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(
            f"The sidecar file {path.name} cannot be read: {error}. It has rows of start, end and text."
        ) from error
    begun = [_word(row, place, path) for place, row in enumerate(rows)]
    ordered = sorted(begun, key=lambda word: word.start)
    words = []
    for word, limit in zip(ordered, [*(each.start for each in ordered), math.inf][1:], strict=True):
        end = limit if math.isnan(word.end) else word.end
        if end > limit + 1e-6:
            raise RecordingError(
                f"In the sidecar file {path.name} {word.text!r:.40} lasts until {end:g} s, but the next begins at {limit:g} s. "
                "Let them follow each other."
            )
        words.append(Word(start=word.start, end=end, text=word.text))
    return Sidecar(words=tuple(words), license=license)


def words_between(words: Sequence[Word], start: float, end: float) -> str:
    """What is done between two times, in order: every word that has its middle there, or that lasts all the time."""
    said = [word.text for word in words if start <= _middle(word) < end or (word.start <= start and end <= word.end)]
    return ", then ".join(text.strip() for text in said if text.strip())


def _middle(word: Word) -> float:
    return word.start if math.isinf(word.end) else (word.start + word.end) / 2


def _csv_rows(text: str) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    rows = list(csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True))
    missing = {"start", "text"} - set(rows[0] if rows else {"start": "", "text": ""})
    if missing:
        raise ValueError(f"its first line must name the columns start, end, text; {', '.join(sorted(missing))} is missing")
    return rows, None


def _json_rows(text: str) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    content = json.loads(text)
    license = None
    if isinstance(content, dict):
        license, content = content.get("license"), content.get("actions")
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError('expected a list of objects, or {"actions": [...]}')
    if license is not None and not (isinstance(license, str) and license.strip()):
        raise ValueError(f"expected the license in words, got {license!r}")
    return content, license


def _word(row: Mapping[str, Any], place: int, path: Path) -> Word:
    """A row; its end is not a number where it is left open."""
    start, end = _seconds(row.get("start")), _seconds(row.get("end"))
    text = row.get("text")
    if start is None or end is None or math.isnan(start) or start < 0 or end <= start or not isinstance(text, str):
        raise RecordingError(
            f"Row {place + 1} of the sidecar file {path.name} needs a start, a later end (or none) and a text, "
            f"got {dict(row)!r:.120}."
        )
    return Word(start=start, end=end, text=text)


def _seconds(value: object) -> float | None:
    """The number; not-a-number where nothing is given; None where something else is."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None

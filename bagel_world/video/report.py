"""The report of a conversion: every film, picture, clip and text, by what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bagel_world.video.config import FootageConfig
from bagel_world.video.journal import Journal, write_whole
from bagel_world.video.sources import Found

REPORT_NAME = "report.json"


class FilmRow(BaseModel):
    """One film in a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    film: str
    """Its name."""
    seconds: float
    """How long it is."""
    clips: int
    """Clips that were used."""
    samples: int
    """Samples it gave."""


class Report(BaseModel):
    """What became of everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: FootageConfig
    """What decided it."""
    films: dict[str, int]
    """Films and folders: found, read, failed, and those passed over."""
    pictures: dict[str, int]
    """Decoded pictures: how many, and what became of them."""
    clips: dict[str, int]
    """Clips: found, kept, and those dropped by reason; "cropped" of those kept."""
    samples: dict[str, int]
    """Samples, their images and texts; and what was dropped, by reason."""
    problems: tuple[tuple[str, str], ...] = ()
    """(film, sentence) of everything that could not be read."""
    per_film: tuple[FilmRow, ...] = ()
    """Every film that was read."""
    format: Literal["bagel_world.footage_report/1"] = Field(default="bagel_world.footage_report/1")
    """Name and version of this layout."""

    def rows(self) -> list[tuple[str, str, int, str]]:
        """(group, name, count, share of the group) for a table; zeros are shown: they say that a filter was looked at."""
        rows = []
        for group, counts, whole in (
            ("films", self.films, "found"),
            ("pictures", self.pictures, "decoded"),
            ("clips", self.clips, "found"),
            ("samples", self.samples, ""),
        ):
            total = counts.get(whole, 0)
            for name, count in counts.items():
                share = f"{count / total:.1%}" if total and name not in (whole, "empty folders", "other files") else ""
                rows.append((group, name, count, share))
        return rows


def make_report(journal: Journal, found: Found, identical: Iterable[tuple[str, str]], failed: Mapping[str, str]) -> Report:
    """Add up the outcomes.

    Args:
        journal: what was done, now and before.
        found: what the paths led to.
        identical: (film, the film it is the same file as).
        failed: a sentence for each film that gave nothing at all.
    """
    identical = list(identical)
    pictures, clips, samples = Counter[str](), Counter[str](), Counter[str]()
    for outcome in journal.outcomes.values():
        pictures.update(outcome.pictures)
        clips.update(outcome.clips)
        samples.update(outcome.samples)
    problems = [(outcome.film, sentence) for outcome in journal.outcomes.values() for sentence in outcome.problems]
    problems += [*failed.items(), *found.empty]
    problems += [(film, f"This is the same file as {other}; it is read once.") for film, other in identical]
    return Report(
        config=journal.config,
        films={
            "found": len(journal.outcomes) + len(failed) + len(identical),
            "read": len(journal.outcomes),
            "failed": len(failed),
            "same file": len(identical),
            "empty folders": len(found.empty),
            "other files": sum(found.ignored.values()),
        },
        pictures={"decoded": sum(pictures.values()), **_ordered(pictures, PICTURE_FATES)},
        clips={"found": sum(clips.values()) - clips["cropped"], **_ordered(clips, CLIP_FATES)},
        samples=_ordered(samples, SAMPLE_FATES),
        problems=tuple(problems),
        per_film=tuple(
            FilmRow(
                film=outcome.film,
                seconds=outcome.seconds,
                clips=outcome.clips.get("kept", 0),
                samples=outcome.samples.get("written", 0),
            )
            for outcome in journal.outcomes.values()
        ),
    )


PICTURE_FATES = ("clips", "short", "small", "duplicate", "black", "fade", "cross-fade", "frozen", "blurred")
CLIP_FATES = ("kept", "short", "small", "duplicate", "cropped")
SAMPLE_FATES = (
    "written",
    "images",
    "texts",
    "clips without actions",
    "actions outside clips",
    "actions in duplicate clips",
    "too few frames",
    "empty captions",
    "long captions",
    "failed captions",
)


def write_report(folder: Path, report: Report) -> Path:
    """Write the report of a folder; returns its path.

    Raises:
        RecordingError: it could not be written.
    """
    path = folder / REPORT_NAME
    write_whole(path, report.model_dump_json(indent=2) + "\n")
    return path


def _ordered(counts: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    known = {name: counts.get(name, 0) for name in names}
    return {**known, **{name: count for name, count in counts.items() if name not in known}}

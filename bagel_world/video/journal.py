"""The journal: which films of a conversion are done and what became of them, so that it can be broken off and go on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bagel_world.errors import RecordingError
from bagel_world.files import replace_text
from bagel_world.video.clips import Survey
from bagel_world.video.config import FootageConfig

JOURNAL_NAME = "footage.json"
SURVEYS = "surveys"


class Outcome(BaseModel):
    """What became of one film."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    film: str
    """Its name."""
    complete: bool = False
    """Whether all its samples are on disk."""
    done: int = 0
    """How many of its stretches of frames were turned into samples or dropped."""
    kept: tuple[int, ...] = ()
    """Places of the clips that are no copies."""
    seconds: float = 0.0
    """How long it is."""
    pictures: dict[str, int] = Field(default_factory=dict)
    """Decoded pictures by what became of them; "samples" for those in clips that were used."""
    clips: dict[str, int] = Field(default_factory=dict)
    """Clips by what became of them."""
    samples: dict[str, int] = Field(default_factory=dict)
    """Samples, images and texts, and those that were dropped, by reason."""
    problems: tuple[str, ...] = ()
    """Sentences about what could not be read."""
    license: str | None = None
    """Terms that its sidecar file names."""
    words: str | None = None
    """What tells its sidecar file from another; "" where it has none, None where nobody knows."""


class Journal(BaseModel):
    """A conversion so far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["bagel_world.footage/1"] = "bagel_world.footage/1"
    """Name and version of this layout."""
    config: FootageConfig
    """What decides the samples."""
    samples: int = 0
    """Samples of all outcomes, all of them on disk."""
    outcomes: dict[str, Outcome] = Field(default_factory=dict)
    """By key of the film, in the order in which they were done."""


def open_journal(folder: Path, config: FootageConfig) -> Journal:
    """The journal of a folder, or a new one.

    Raises:
        RecordingError: the folder's was made with other settings, or is damaged.
    """
    path = folder / JOURNAL_NAME
    if not path.exists():
        return Journal(config=config)
    try:
        found = Journal.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise RecordingError(f"Expected {path} to be the journal of a conversion, but {error}. Choose another folder.") from error
    if found.config != config:
        there, asked = _flat(found.config), _flat(config)
        changed = [f"{name}: {there[name]!r} there, {asked[name]!r} asked for" for name in there if there[name] != asked[name]]
        raise RecordingError(
            f"{folder} holds footage made with other settings ({'; '.join(changed)}). Use the same to go on, or an empty folder."
        )
    return found


def write_journal(folder: Path, journal: Journal) -> None:
    """Replace the journal of a folder in one move.

    Raises:
        RecordingError: it could not be written.
    """
    write_whole(folder / JOURNAL_NAME, journal.model_dump_json(indent=1) + "\n")


def read_survey(folder: Path, key: str) -> Survey | None:
    """What was found in a film before; None where it was not looked at, or the file is damaged."""
    try:
        return Survey.model_validate_json((folder / SURVEYS / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None


def write_survey(folder: Path, key: str, survey: Survey) -> None:
    """Keep what was found in a film.

    Raises:
        RecordingError: it could not be written.
    """
    write_whole(folder / SURVEYS / f"{key}.json", survey.model_dump_json() + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        RecordingError: it could not be written.
    """
    try:
        replace_text(path, text)
    except OSError as error:
        raise RecordingError(f"Could not write {path}: {error}. Free some space or choose another folder.") from error


def _flat(config: FootageConfig) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in config.model_dump(mode="json").items():
        values.update({f"{name}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {name: value})
    return values

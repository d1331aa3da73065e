"""What a folder of samples holds and how it was made: `samples.json`, written anew after every shard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from bagel_world.errors import RecordingError
from bagel_world.files import replace_text

SAMPLE_MANIFEST_NAME = "samples.json"

_AND = "; "
"""Stands between licenses, and may stand in one."""


class ShardFacts(BaseModel):
    """One finished shard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Its file name."""
    split: str
    """The split that all its samples belong to."""
    samples: int = Field(gt=0)
    """How many it holds."""
    bytes: int = Field(gt=0)
    """Size of the file: a shard of another size was cut off or changed."""


class SampleManifest(BaseModel):
    """Origin and contents of a folder of samples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["bagel_world.samples/1"] = "bagel_world.samples/1"
    """Name and version of this layout."""
    command: str = ""
    """The command that made the folder."""
    packages: dict[str, str] = Field(default_factory=dict)
    """Versions of the packages that matter."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """What the command was set to."""
    sources: dict[str, str] = Field(default_factory=dict)
    """License of every source in the folder ("a; b" where its samples differ)."""
    shards: tuple[ShardFacts, ...] = ()
    """The finished shards, in order."""
    complete: bool = True
    """Whether the command came to its end; while it runs, and where it was broken off, more was to come."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [shard.name for shard in self.shards]
        if len({*names}) < len(names):
            raise ValueError(f"shards of the same name: {', '.join(sorted(name for name in names if names.count(name) > 1))}")
        return self

    @property
    def samples(self) -> int:
        """Samples in all finished shards."""
        return sum(shard.samples for shard in self.shards)


def with_license(sources: Mapping[str, str], source: str, license: str) -> dict[str, str]:
    """The licenses by source, with one more seen."""
    known = sources[source].split(_AND) if source in sources else []
    return {**sources, source: _AND.join(dict.fromkeys([*known, *license.split(_AND)]))}


def write_sample_manifest(folder: str | Path, manifest: SampleManifest) -> Path:
    """Write (or replace, in one move) the manifest of a folder; returns its path.

    Raises:
        RecordingError: it could not be written.
    """
    path = Path(folder) / SAMPLE_MANIFEST_NAME
    try:
        replace_text(path, manifest.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise RecordingError(f"Could not write {path}: {error}. Free some space or choose another folder.") from error
    return path


def read_sample_manifest(folder: str | Path) -> SampleManifest | None:
    """The manifest of a folder; None where there is none.

    Raises:
        RecordingError: it is not a manifest of this format.
    """
    path = Path(folder) / SAMPLE_MANIFEST_NAME
    if not path.exists():
        return None
    try:
        return SampleManifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise RecordingError(
            f"Expected {path} to be a manifest of samples, but {error}. Without it the shards are counted anew: move it away."
        ) from error

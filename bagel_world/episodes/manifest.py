"""The manifest: what a folder of episodes holds, how it was made and under which licenses."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from bagel_world.errors import RecordingError
from bagel_world.files import replace_text

MANIFEST_NAME = "manifest.json"

PROGRESS_FIELDS = frozenset({"finished_episodes", "finished_frames", "packages", "licenses", "renderer", "command"})
"""What may differ between a recording and its continuation."""


class AssetLicense(BaseModel):
    """Where pictures come from and under which license they may be passed on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """The package that carries the assets."""
    license: str
    """SPDX identifier, with a remark where the sources disagree."""
    source: str
    """Where its license text stands."""


class Manifest(BaseModel):
    """Settings, origin and counts of a folder of episodes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["bagel_world.episodes/1"] = "bagel_world.episodes/1"
    """Name and version of this layout."""
    simulator: str
    """What made the frames."""
    split: str
    """The split that all episodes belong to."""
    seed: int
    """The seed that, with an episode's number, decides everything in it."""
    episodes: int
    """How many episodes were asked for."""
    steps: int
    """Actions per episode; an episode has one frame more."""
    episodes_per_house: int
    """Consecutive episodes that share a house."""
    episodes_per_shard: int
    """Episodes in every shard but the last."""
    frame_size: tuple[int, int]
    """(height, width) in pixels."""
    action_words: tuple[str, ...]
    """The discrete actions; the id is the place in the tuple."""
    licenses: tuple[AssetLicense, ...]
    """One for every package whose pictures or meshes are in the frames."""
    command: str
    """The command that made the folder."""
    packages: dict[str, str]
    """Versions of the packages that matter."""
    renderer: str | None = None
    """The OpenGL renderer; another one may differ in single pixel values."""
    settings: dict[str, JsonValue] | None = None
    """What else decides the episodes; None, and not written, where the fields above say it all."""
    finished_episodes: int = 0
    """Episodes that are on disk."""
    finished_frames: int = 0
    """Frames that are on disk."""

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is on disk."""
        return self.finished_episodes >= self.episodes


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions of these packages; those that are not installed are left out."""
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def write_manifest(folder: str | Path, manifest: Manifest) -> Path:
    """Write (or replace, in one move) the manifest of a folder; returns its path.

    Raises:
        RecordingError: it could not be written.
    """
    path = Path(folder) / MANIFEST_NAME
    left_out = {"settings"} if manifest.settings is None else None
    try:
        replace_text(path, manifest.model_dump_json(indent=2, exclude=left_out) + "\n")
    except OSError as error:
        raise RecordingError(f"Could not write {path}: {error}. Free some space or choose another folder.") from error
    return path


def read_manifest(folder: str | Path) -> Manifest | None:
    """The manifest of a folder; None where there is none.

    Raises:
        RecordingError: it is not a manifest of this format.
    """
    path = Path(folder) / MANIFEST_NAME
    if not path.exists():
        return None
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise RecordingError(f"Expected {path} to be a manifest of recorded episodes, but {error}") from error


def license_of(folder: str | Path) -> str:
    """Terms of use of the pictures in a folder of episodes, from its manifest."""
    manifest = read_manifest(folder)
    names = () if manifest is None else tuple(dict.fromkeys(each.license for each in manifest.licenses))
    return "; ".join(names) or "unknown"


def require_same_recording(found: Manifest, wanted: Manifest, folder: str | Path) -> None:
    """Check that a folder can be continued with these settings. More episodes than before may be asked for, not fewer.

    Raises:
        RecordingError: a setting differs; the message lists which.
    """
    before, after = (json.loads(each.model_dump_json(exclude=set(PROGRESS_FIELDS))) for each in (found, wanted))
    if found.episodes < wanted.episodes:
        before["episodes"] = after["episodes"]
    changed = [f"{name}: {before[name]!r} there, {after[name]!r} asked for" for name in before if before[name] != after[name]]
    if changed:
        raise RecordingError(
            f"{folder} holds another recording ({'; '.join(changed)}). Use the same settings to go on, or an empty folder."
        )

from __future__ import annotations

from pathlib import Path

import pytest

from bagel_world.episodes.manifest import (
    MANIFEST_NAME,
    AssetLicense,
    Manifest,
    package_versions,
    read_manifest,
    require_same_recording,
    write_manifest,
)
from bagel_world.errors import RecordingError

MANIFEST = Manifest(
    simulator="a simulator",
    split="train",
    seed=3,
    episodes=10,
    steps=4,
    episodes_per_house=2,
    episodes_per_shard=5,
    frame_size=(64, 96),
    action_words=("Move forward", "Stay"),
    licenses=(AssetLicense(name="meshes", license="CC0-1.0", source="their page"),),
    command="bagel-world record out",
    packages={"numpy": "2.0"},
    finished_episodes=5,
    finished_frames=25,
)


def test_a_manifest_survives_the_disk(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "new", MANIFEST)
    assert path == tmp_path / "new" / MANIFEST_NAME
    assert read_manifest(tmp_path / "new") == MANIFEST
    assert [each.name for each in path.parent.iterdir()] == [MANIFEST_NAME]


def test_further_settings_are_written_where_there_are_any(tmp_path: Path) -> None:
    assert "settings" not in write_manifest(tmp_path, MANIFEST).read_text()
    further = MANIFEST.model_copy(update={"settings": {"policy": "random", "options": {"size": [8, 8]}}})
    write_manifest(tmp_path, further)
    assert read_manifest(tmp_path) == further
    with pytest.raises(RecordingError, match="settings: None there"):
        require_same_recording(MANIFEST, further, tmp_path)


def test_no_manifest_is_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "another/9"}', "{"])
def test_a_foreign_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(RecordingError, match=r"manifest\.json to be a manifest"):
        read_manifest(tmp_path)


def test_progress_does_not_make_another_recording() -> None:
    later = MANIFEST.model_copy(update={"finished_episodes": 10, "finished_frames": 50, "packages": {}, "renderer": "x"})
    require_same_recording(MANIFEST, later, "out")
    assert not MANIFEST.complete
    assert later.complete


def test_a_recording_may_grow_and_not_shrink() -> None:
    more = MANIFEST.model_copy(update={"episodes": MANIFEST.episodes + 1})
    require_same_recording(MANIFEST, more, "out")
    with pytest.raises(RecordingError, match="episodes: 11 there, 10 asked for"):
        require_same_recording(more, MANIFEST, "out")


def test_other_settings_are_listed() -> None:
    other = MANIFEST.model_copy(update={"seed": 4, "frame_size": (32, 32)})
    with pytest.raises(RecordingError, match=r"out holds another recording \(seed: 3 there, 4 asked for; frame_size: .*32"):
        require_same_recording(MANIFEST, other, "out")


def test_versions_name_what_is_installed() -> None:
    versions = package_versions(["numpy", "no-such-package-anywhere"])
    assert list(versions) == ["numpy"]
    assert versions["numpy"].count(".") >= 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(RecordingError, match=r"Could not write .*manifest\.json"):
        write_manifest(tmp_path / "file", MANIFEST)

"""Episodes and movies on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from bagel_world.errors import RecordingError
from bagel_world.types import Action, Episode, Frame, Thought
from bagel_world.world.record import enlarge, load_episode, save_episode, save_movie


@pytest.fixture
def episode() -> Episode:
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3), dtype=np.uint8)
    return Episode(
        frames=frames,
        actions=(Action(text="Look left", id=1), Action(text="wander off")),
        poses=np.arange(12.0).reshape(3, 4),
        visible=(("duck",), (), ("duck", "cone")),
        thoughts=(None, Thought(text="over there")),
        metadata={"source": "test", "seed": 3},
    )


def test_an_episode_survives_the_disk(episode: Episode, tmp_path: Path) -> None:
    loaded = load_episode(save_episode(tmp_path / "walk", episode))
    np.testing.assert_array_equal(loaded.frames, episode.frames)
    np.testing.assert_array_equal(loaded.poses, episode.poses)
    assert (loaded.actions, loaded.visible, loaded.thoughts) == (episode.actions, episode.visible, episode.thoughts)
    assert loaded.metadata == episode.metadata


def test_a_folder_without_its_json_is_refused(episode: Episode, tmp_path: Path) -> None:
    folder = save_episode(tmp_path / "walk", episode)
    (folder / "episode.json").unlink()
    with pytest.raises(RecordingError, match="Expected a saved episode"):
        load_episode(folder)


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_is_a_sentence_and_the_old_episode_stays(
    episode: Episode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    folder = save_episode(tmp_path / "walk", episode)
    other = replace(episode, frames=255 - episode.frames)
    written = 0

    def write_frame(path: Path, frame: Frame) -> None:
        nonlocal written
        if written == room:
            full()
        written += 1
        real(path, frame)

    def full(*arguments: object, **settings: object) -> None:
        raise OSError(28, "No space left on device")

    real = iio.imwrite
    with monkeypatch.context() as patch:
        patch.setattr(iio, "imwrite", write_frame)
        patch.setattr(Path, "write_text", full)
        with pytest.raises(RecordingError, match="No space left"):
            save_episode(folder, other)
    np.testing.assert_array_equal(load_episode(folder).frames, episode.frames)
    assert {path.name for path in folder.iterdir()} == {"episode.json", "frames"}
    np.testing.assert_array_equal(load_episode(save_episode(folder, other)).frames, other.frames)


def test_a_shorter_episode_leaves_nothing_of_a_longer_one(episode: Episode, tmp_path: Path) -> None:
    save_episode(tmp_path, episode)
    short = Episode(frames=episode.frames[:1], actions=(), metadata={})
    assert len(load_episode(save_episode(tmp_path, short))) == 0
    assert len(list((tmp_path / "frames").iterdir())) == 1


def test_metadata_that_is_no_json_and_files_of_another_format_are_sentences(episode: Episode, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="JSON values"):
        save_episode(tmp_path / "walk", replace(episode, metadata={"when": object()}))
    assert not (tmp_path / "walk").exists()
    path = save_episode(tmp_path / "walk", episode) / "episode.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(RecordingError, match="format 2"):
        load_episode(tmp_path / "walk")


def test_enlarging_repeats_whole_pixels() -> None:
    frame = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    big = enlarge(frame, side=5)
    assert big.shape == (6, 6, 3)
    np.testing.assert_array_equal(big[::3, ::3], frame)


@pytest.mark.parametrize("name", ["walk.gif", "walk.mp4"])
def test_a_movie_has_every_frame(name: str, tmp_path: Path) -> None:
    frames = np.stack([np.full((64, 64, 3), 80 * place, dtype=np.uint8) for place in range(4)])
    path = save_movie(tmp_path / name, frames, fps=4)
    read = iio.imread(path, **({} if name.endswith("gif") else {"plugin": "pyav"}))
    assert read.shape == (4, 256, 256, 3)
    for place in range(4):
        assert abs(int(read[place].mean()) - 80 * place) <= 4


def test_a_movie_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"\*\.gif or \*\.mp4"):
        save_movie(tmp_path / "walk.webm", np.zeros((1, 8, 8, 3), np.uint8))

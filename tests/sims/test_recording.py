from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from bagel_world.episodes import read_episodes, shard_path
from bagel_world.errors import RecordingError
from bagel_world.sims import House
from bagel_world.sims import recording as recording_module
from bagel_world.sims.recording import HouseRecording, record_shard

RECORDING = HouseRecording(episodes=5, steps=4, size=(16, 16), episodes_per_house=2, episodes_per_shard=2)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    env = House(size=(16, 16))
    yield env
    env.close()


def record_all(folder: Path, house: House) -> list[Path]:
    return [record_shard(RECORDING, shard, folder, house) for shard in range(RECORDING.shards)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, house: House) -> list[bytes]:
    """The bytes of a recording that ran through."""
    folder = tmp_path_factory.mktemp("unbroken")
    return [path.read_bytes() for path in record_all(folder, house)]


def test_shards_cover_the_episodes() -> None:
    assert [list(RECORDING.episodes_of(shard)) for shard in range(RECORDING.shards)] == [[0, 1], [2, 3], [4]]


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="episodes"):
        HouseRecording(episodes=0)
    with pytest.raises(ValidationError, match="colour"):
        HouseRecording.model_validate({"colour": 1})


def test_what_is_missing_is_what_is_not_there(tmp_path: Path) -> None:
    shard_path(tmp_path, 1).touch()
    assert RECORDING.missing_from(tmp_path) == [0, 2]
    assert RECORDING.finished_in(tmp_path) == 2


@pytest.mark.sims
def test_a_shard_depends_on_settings_and_index_alone(tmp_path: Path, unbroken: list[bytes]) -> None:
    assert record_shard(RECORDING, 2, tmp_path).read_bytes() == unbroken[2]
    assert record_shard(RECORDING, 0, tmp_path).read_bytes() == unbroken[0]


@pytest.mark.sims
def test_a_killed_recording_goes_on_as_if_nothing_had_been(
    tmp_path: Path, unbroken: list[bytes], house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    record_walk, walks = recording_module.record_walk, 0

    def killed_at_the_fourth(*args: object, **kwargs: object) -> object:
        nonlocal walks
        walks += 1
        if walks == 4:
            raise KilledError
        return record_walk(*args, **kwargs)

    monkeypatch.setattr(recording_module, "record_walk", killed_at_the_fourth)
    with pytest.raises(KilledError):
        record_all(tmp_path, house)
    assert RECORDING.missing_from(tmp_path) == [1, 2]
    first = shard_path(tmp_path, 0).stat().st_mtime_ns

    record_all(tmp_path, house)
    assert [shard_path(tmp_path, shard).read_bytes() for shard in range(RECORDING.shards)] == unbroken
    assert shard_path(tmp_path, 0).stat().st_mtime_ns == first
    assert sorted(path.name for path in tmp_path.iterdir()) == [shard_path(tmp_path, shard).name for shard in range(3)]


@pytest.mark.sims
def test_an_episode_tells_the_truth(tmp_path: Path, house: House) -> None:
    record_shard(RECORDING, 0, tmp_path, house)
    for number, episode in enumerate(read_episodes(tmp_path, split="train")):
        assert episode.metadata["episode_id"] == f"house-train-0-{number:06d}"
        assert episode.metadata["seed"] == 0
        house.reset(options={"house": episode.metadata["seed"], "pose": episode.poses[0]})
        for i, action in enumerate(episode.actions):
            frame, *_ = house.step(action.id)
            assert action.text == house.action_words[action.id]
            np.testing.assert_array_equal(frame, episode.frames[i + 1])
            np.testing.assert_array_equal(house.pose, episode.poses[i + 1])
            assert house.visible() == episode.visible[i + 1]


@pytest.mark.sims
def test_walks_of_one_house_start_apart(tmp_path: Path, house: House) -> None:
    record_shard(RECORDING, 0, tmp_path, house)
    first, second = read_episodes(tmp_path)
    assert first.metadata["house"] == second.metadata["house"]
    assert not np.array_equal(first.poses[0], second.poses[0])


@pytest.mark.sims
def test_a_full_disk_is_a_recording_error(tmp_path: Path, house: House) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="Could not write"):
        record_shard(RECORDING, 0, tmp_path / "file", house)

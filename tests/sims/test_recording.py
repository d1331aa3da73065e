from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from bagel_world.episodes import read_episodes, shard_path, write_shard
from bagel_world.errors import RecordingError, UnknownNameError
from bagel_world.sims import Drops, House, Turntable
from bagel_world.sims.recordables import RECORDABLES
from bagel_world.sims.recording import Recording, record_shard
from bagel_world.types import Episode

RECORDING = Recording(episodes=5, steps=4, size=(16, 16), episodes_per_house=2, episodes_per_shard=2)


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
        Recording(episodes=0)
    with pytest.raises(ValidationError, match="colour"):
        Recording.model_validate({"colour": 1})


def test_what_is_missing_is_what_is_not_there_or_not_whole(tmp_path: Path) -> None:
    drawn = [
        Episode(frames=np.zeros((1, 16, 16, 3), np.uint8), actions=(), metadata={"episode_id": str(number)})
        for number in range(2)
    ]
    write_shard(tmp_path, 1, drawn)
    assert RECORDING.missing_from(tmp_path) == [0, 2]
    assert RECORDING.finished_in(tmp_path) == 2
    write_shard(tmp_path, 2, drawn[:1])
    assert RECORDING.missing_from(tmp_path) == [0]
    assert RECORDING.model_copy(update={"episodes": 6}).missing_from(tmp_path) == [0, 2]
    shard_path(tmp_path, 2).write_bytes(b"cut off")
    with pytest.raises(RecordingError, match=r"episodes-00002\.parquet is damaged"):
        RECORDING.missing_from(tmp_path)


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

    house_recordable, walks = RECORDABLES["house"], 0

    def killed_at_the_fourth(*args: object, **kwargs: object) -> object:
        nonlocal walks
        walks += 1
        if walks == 4:
            raise KilledError
        return house_recordable.record(*args, **kwargs)

    monkeypatch.setitem(RECORDABLES, "house", replace(house_recordable, record=killed_at_the_fourth))
    with pytest.raises(KilledError):
        record_all(tmp_path, house)
    assert RECORDING.missing_from(tmp_path) == [1, 2]
    first = shard_path(tmp_path, 0).stat().st_mtime_ns

    monkeypatch.undo()
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


@pytest.mark.sims
@pytest.mark.parametrize("sim", ["turntable", "drops"])
def test_the_other_simulators_record_alike(tmp_path: Path, sim: str) -> None:
    recording = Recording(sim=sim, episodes=3, steps=4, size=(16, 16), episodes_per_house=1, episodes_per_shard=2)
    whole = [record_shard(recording, shard, tmp_path / "one").read_bytes() for shard in (0, 1)]
    assert [record_shard(recording, shard, tmp_path / "two").read_bytes() for shard in (1, 0)] == whole[::-1]
    episodes = list(read_episodes(tmp_path / "one", split="train"))
    assert [episode.metadata["episode_id"] for episode in episodes] == [f"{sim}-train-0-{number:06d}" for number in range(3)]
    assert recording.manifest(command="").simulator == episodes[0].metadata["source"]
    assert {action.text for episode in episodes for action in episode.actions} <= set(recording.manifest(command="").action_words)


@pytest.mark.sims
def test_a_spin_tells_the_truth(tmp_path: Path) -> None:
    recording = Recording(sim="turntable", split="test", episodes=2, steps=5, size=(16, 16), episodes_per_house=2)
    record_shard(recording, 0, tmp_path)
    first, second = read_episodes(tmp_path)
    assert first.metadata["table"] == second.metadata["table"]
    assert not np.array_equal(first.poses[:, 3], second.poses[:, 3])
    table = Turntable(split="test", size=(16, 16))
    for episode in (first, second):
        table.reset(options={"table": episode.metadata["seed"], "yaw": episode.poses[0, 3]})
        assert set(episode.visible) == {(table.plan.exhibit,)}
        for i, action in enumerate(episode.actions):
            frame, *_ = table.step(action.id)
            assert action.text == table.action_words[action.id]
            np.testing.assert_array_equal(frame, episode.frames[i + 1])
            np.testing.assert_array_equal(table.pose, episode.poses[i + 1])
    table.close()


@pytest.mark.sims
def test_a_fall_tells_the_truth(tmp_path: Path) -> None:
    recording = Recording(sim="drops", split="unseen", episodes=2, steps=5, size=(16, 16), episodes_per_house=1)
    record_shard(recording, 0, tmp_path)
    drops = Drops(split="unseen", size=(16, 16))
    for episode in read_episodes(tmp_path):
        assert episode.poses is None
        told = episode.metadata
        frame, info = drops.reset(options={"drop": told["seed"]})
        assert tuple(told["bodies"]) == info["bodies"]
        for i in range(6):
            if i:
                frame, *_, info = drops.step(episode.actions[i - 1].id)
            np.testing.assert_array_equal(frame, episode.frames[i])
            assert drops.visible() == episode.visible[i]
            for name, ours in (("times", "time"), ("body_poses", "poses"), ("centers", "centers")):
                np.testing.assert_allclose(told[name][i], info[ours], atol=1e-6)
    drops.close()


def test_simulators_that_do_not_exist_get_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="'turntable'"):
        _ = Recording(sim="turntabel").recordable


def test_every_recordable_simulator_names_itself_and_its_words() -> None:
    for name, recordable in RECORDABLES.items():
        home, _, simulator = recordable.simulator.rpartition(".")
        assert getattr(import_module(home), simulator).action_words == recordable.action_words
        assert recordable.open.__name__.lower() == ("house" if name == "visits" else name)
    assert len({recordable.salt for recordable in RECORDABLES.values()}) == len(RECORDABLES)

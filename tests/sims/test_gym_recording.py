from __future__ import annotations

from pathlib import Path

import pytest

from bagel_world.episodes import read_episodes
from bagel_world.episodes.manifest import require_same_recording
from bagel_world.errors import RecordingError, SimulatorError
from bagel_world.sims.gym_recording import GymRecording, record_gym_shard

RECORDING = GymRecording(
    env="tests.sims.drawn_env:Walk", episodes=5, steps=6, episodes_per_shard=2, seed=3, words=("Left", "Right")
)


def test_a_shard_depends_on_settings_and_index_alone(tmp_path: Path) -> None:
    env = RECORDING.open()
    whole = [record_gym_shard(RECORDING, shard, tmp_path / "one", env).read_bytes() for shard in range(3)]
    again = [record_gym_shard(RECORDING, shard, tmp_path / "two", RECORDING.open()).read_bytes() for shard in (2, 0, 1)]
    assert again == [whole[2], whole[0], whole[1]]
    other = RECORDING.model_copy(update={"seed": 4})
    assert record_gym_shard(other, 0, tmp_path / "three", env).read_bytes() != whole[0]


def test_episodes_tell_where_they_come_from(tmp_path: Path) -> None:
    env = RECORDING.open()
    for shard in range(3):
        record_gym_shard(RECORDING, shard, tmp_path, env)
    episodes = list(read_episodes(tmp_path, split="train"))
    assert [each.metadata["episode_id"] for each in episodes] == [f"{RECORDING.env}-train-3-{n:06d}" for n in range(5)]
    assert {action.text for each in episodes for action in each.actions} == {"Left", "Right"}
    assert len({each.metadata["seed"] for each in episodes}) == 5
    manifest = RECORDING.manifest(env, tmp_path, command="")
    assert manifest.complete
    assert manifest.finished_frames == sum(len(each.frames) for each in episodes)
    assert manifest.frame_size == (12, 16)
    assert manifest.action_words == ("Left", "Right")
    assert manifest.licenses[0].license == "unknown"
    assert manifest.licenses[0].source == "tests.sims.drawn_env.Walk"


def test_an_episode_that_fails_is_drawn_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording = RECORDING.model_copy(update={"env": "tests.sims.drawn_env:Fragile", "episodes": 8, "episodes_per_shard": 8})
    record_gym_shard(recording, 0, tmp_path, recording.open())
    episodes = list(read_episodes(tmp_path))
    assert len(episodes) == 8
    assert all(each.metadata["seed"] % 4 for each in episodes)
    assert "Fragile failed at step 2 of the episode of seed" in caplog.text
    assert "RuntimeError: out of order" in caplog.text
    sound = recording.model_copy(update={"env": RECORDING.env})
    record_gym_shard(sound, 0, tmp_path / "sound", sound.open())
    first = [each.metadata["seed"] for each in read_episodes(tmp_path / "sound")]
    again = [each.metadata["seed"] for each in episodes]
    assert [new == old for new, old in zip(again, first, strict=True)] == [old % 4 != 0 for old in first]


def test_what_always_fails_ends_with_a_sentence(tmp_path: Path) -> None:
    recording = RECORDING.model_copy(update={"policy": "tests.sims.drawn_env:clumsy"})
    with pytest.raises(SimulatorError, match=r"The policy failed at step 0 of the episode of seed \d+: ZeroDivisionError"):
        record_gym_shard(recording, 0, tmp_path, recording.open())


@pytest.mark.parametrize(
    "change", [{"policy": "tests.sims.drawn_env:always_right"}, {"options": {"height": 12}}, {"size": (12, 16)}]
)
def test_another_recording_is_not_continued(tmp_path: Path, change: dict[str, object]) -> None:
    env = RECORDING.open()
    before = RECORDING.manifest(env, tmp_path, command="")
    require_same_recording(before, RECORDING.manifest(env, tmp_path, command="other words"), tmp_path)
    with pytest.raises(RecordingError, match="settings"):
        require_same_recording(before, RECORDING.model_copy(update=change).manifest(env, tmp_path, command=""), tmp_path)

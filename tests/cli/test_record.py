from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import bagel_world.cli.record as record_module
from bagel_world.cli.record import record
from bagel_world.episodes import EpisodeFolder, read_manifest, shard_path
from bagel_world.errors import RecordingError, UnknownNameError
from bagel_world.sims.recording import Recording

app = typer.Typer()
app.command()(record)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two episodes per shard, so that a few episodes already are several shards."""
    monkeypatch.setattr(record_module, "Recording", partial(Recording, episodes_per_shard=2))


def run(folder: Path, *words: str) -> None:
    options = ("--episodes", "3", "--steps", "1", "--size", "16", *words)
    CliRunner().invoke(app, [str(folder), *options], catch_exceptions=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.sims
def test_a_recording_can_go_on_and_be_split_among_workers(tmp_path: Path) -> None:
    run(tmp_path / "out")
    whole = contents(tmp_path / "out")
    assert sorted(whole) == ["episodes-00000.parquet", "episodes-00001.parquet", "manifest.json"]
    episodes = EpisodeFolder(tmp_path / "out")
    assert len(episodes) == 3
    assert episodes[2].frames.shape == (2, 16, 16, 3)
    assert len({episode.metadata["house"] for episode in episodes}) == 1

    shard_path(tmp_path / "out", 0).unlink()
    run(tmp_path / "out")
    assert contents(tmp_path / "out") == whole

    for shard in range(2):
        shard_path(tmp_path / "out", shard).unlink()
    run(tmp_path / "out", "--workers", "2")
    assert contents(tmp_path / "out") == whole

    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert manifest.complete
    assert (manifest.finished_episodes, manifest.finished_frames, manifest.frame_size) == (3, 6, (16, 16))
    assert manifest.action_words == ("Move forward", "Look left", "Look right", "Stay")
    assert manifest.command.endswith("--episodes 3 --steps 1 --split train --size 16 --seed 0 --per-house 3")
    assert [each.name for each in manifest.licenses] == ["miniworld"]
    assert "miniworld" in manifest.packages

    with pytest.raises(RecordingError, match="seed: 0 there, 1 asked for"):
        run(tmp_path / "out", "--seed", "1")
    assert contents(tmp_path / "out") == whole


@pytest.mark.sims
def test_a_finished_recording_grows_and_does_not_shrink(tmp_path: Path) -> None:
    for folder, episodes in (("whole", "4"), ("grown", "1"), ("grown", "4")):
        words = (str(tmp_path / folder), "--episodes", episodes, "--steps", "1", "--size", "16")
        CliRunner().invoke(app, words, catch_exceptions=False)
    whole, grown = (EpisodeFolder(tmp_path / folder) for folder in ("whole", "grown"))
    assert len(grown) == 4
    for one, other in zip(whole, grown, strict=True):
        assert one.metadata == other.metadata
        assert (one.frames == other.frames).all()
    manifest = read_manifest(tmp_path / "grown")
    assert manifest is not None
    assert manifest.complete
    assert (manifest.episodes, manifest.finished_frames) == (4, 8)
    with pytest.raises(RecordingError, match="episodes: 4 there, 2 asked for"):
        run(tmp_path / "grown", "--episodes", "2", "--steps", "1", "--size", "16")


@pytest.mark.sims
@pytest.mark.parametrize(("sim", "frames"), [("turntable", 25), ("drops", 13)])
def test_every_simulator_has_its_own_words_and_length(tmp_path: Path, sim: str, frames: int) -> None:
    words = (str(tmp_path), "--sim", sim, "--episodes", "3", "--size", "16")
    CliRunner().invoke(app, words, catch_exceptions=False)
    episodes, manifest = EpisodeFolder(tmp_path), read_manifest(tmp_path)
    assert [episode.frames.shape for episode in episodes] == [(frames, 16, 16, 3)] * 3
    assert len({episode.metadata["seed"] for episode in episodes}) == 3
    assert manifest is not None
    assert manifest.complete
    assert manifest.simulator == f"bagel_world.sims.{sim.capitalize()}"
    assert manifest.command.startswith(f"bagel-world record {tmp_path} --sim {sim} --episodes 3 --steps {frames - 1}")
    assert "mujoco" in manifest.packages
    whole = contents(tmp_path)

    shard_path(tmp_path, 1).unlink()
    CliRunner().invoke(app, words, catch_exceptions=False)
    assert contents(tmp_path) == whole

    with pytest.raises(RecordingError, match=r"simulator: 'bagel_world\.sims\.\w+' there, 'bagel_world\.sims\.House' asked for"):
        run(tmp_path)
    assert contents(tmp_path) == whole


def test_a_misspelled_simulator_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="'drops'"):
        run(tmp_path / "out", "--sim", "drop")
    assert not (tmp_path / "out").exists()


def test_a_misspelled_split_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unseen"):
        run(tmp_path / "out", "--split", "unsen")
    assert not (tmp_path / "out").exists()


def test_the_first_failure_of_a_worker_ends_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def fail(recording: Recording, shard: int, out: Path) -> None:
        begun.append(shard)
        raise RecordingError("The disk is full.")

    monkeypatch.setattr(record_module, "record_shard", fail)
    monkeypatch.setattr(record_module, "ProcessPoolExecutor", lambda workers, mp_context: ThreadPoolExecutor(1))
    recording = Recording(sim="house", episodes=80, episodes_per_shard=2, steps=2)
    with pytest.raises(RecordingError, match="disk is full"):
        list(record_module._record_missing(recording, tmp_path, 2, None))
    assert len(begun) < 40


def test_a_worker_that_is_killed_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(recording: Recording, shard: int, out: Path) -> None:
        raise BrokenProcessPool("killed")

    monkeypatch.setattr(record_module, "record_shard", die)
    monkeypatch.setattr(record_module, "ProcessPoolExecutor", lambda workers, mp_context: ThreadPoolExecutor(1))
    with pytest.raises(RecordingError, match="fewer --workers"):
        list(record_module._record_missing(Recording(sim="house", episodes=8, episodes_per_shard=2, steps=2), tmp_path, 2, None))

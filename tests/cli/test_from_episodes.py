"""`bagel-world data from-episodes`: every sample is a stretch of an episode, and nothing is left out without a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bagel_world.cli import main
from bagel_world.episodes import SampleFolder, write_shard
from bagel_world.episodes.samples import Sample
from bagel_world.episodes.schema import encode_png
from bagel_world.images import read_image
from bagel_world.types import Action, Episode


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["data", "from-episodes", *map(str, arguments)])
    return int(stop.value.code or 0)


def episode(number: int, steps: int = 9) -> Episode:
    """Frame i is of the gray level 20 * number + i, action i says which step it is."""
    levels = range(20 * number, 20 * number + steps + 1)
    return Episode(
        frames=np.stack([np.full((16, 16, 3), level, np.uint8) for level in levels]),
        actions=tuple(Action(id=None, text=f"Do step {place}") for place in range(steps)),
        metadata={"episode_id": f"walk-{number}", "source": "drawn", "split": "train"},
    )


@pytest.fixture
def walks(tmp_path: Path) -> Path:
    write_shard(tmp_path / "walks", 0, [episode(number) for number in range(3)])
    return tmp_path / "walks"


def levels(sample: Sample) -> list[int]:
    return [int(read_image(part.image)[0, 0, 0]) for part in sample.images]


def test_samples_are_stretches_of_episodes_with_their_words(walks: Path, tmp_path: Path) -> None:
    assert run(walks, tmp_path / "out", "--frames", "4") == 0
    samples = list(SampleFolder(tmp_path / "out"))
    assert {sample.sample_id for sample in samples} == {f"walk-{n}/{a}-{a + 3}" for n in range(3) for a in (0, 3, 6)}
    for sample in samples:
        number, start = int(sample.sample_id[5]), int(sample.sample_id[7])
        assert levels(sample) == [20 * number + start + place for place in range(4)]
        assert [part.text for part in sample.texts] == [f"Do step {start + place}" for place in range(3)]
        assert [part.target for part in sample.images] == [False, True, True, True]
        assert sample.source == "drawn"
        assert sample.license == "unknown"


def test_damaged_episodes_are_left_out_up_to_a_number(walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = walks / "episodes-00000.parquet"
    picture = encode_png(episode(1).frames[2])
    shard.write_bytes(shard.read_bytes().replace(picture, bytes(len(picture))))
    assert run(walks, tmp_path / "none", "--frames", "4") == 2
    assert "1 episodes are damaged, 0 may be skipped" in " ".join(capsys.readouterr().err.split())
    assert run(walks, tmp_path / "out", "--frames", "4", "--skip-damaged", "1") == 0
    assert {sample.sample_id[:6] for sample in SampleFolder(tmp_path / "out")} == {"walk-0", "walk-2"}
    told = " ".join(capsys.readouterr().err.split())
    assert "6 samples of 4 frames from 2 episodes" in told
    assert "1 damaged episodes were left out" in told


def test_so_many_are_drawn_by_seed_and_more_than_there_are_is_said(
    walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = {}
    for name, seed in (("first", "0"), ("again", "0"), ("other", "1")):
        assert run(walks, tmp_path / name, "--frames", "3", "--every", "1", "--n", "6", "--seed", seed) == 0
        drawn[name] = [sample.sample_id for sample in SampleFolder(tmp_path / name)]
        assert len(set(drawn[name])) == 6
    assert drawn["first"] == drawn["again"] != drawn["other"]
    capsys.readouterr()
    assert run(walks, tmp_path / "all", "--n", "100") == 0
    assert "Only 9 of 100" in " ".join(capsys.readouterr().err.split())


def test_options_reach_the_samples(walks: Path, tmp_path: Path) -> None:
    options = ["--no-vit", "--decisions", "--goal", "Go to the door.", "--seconds", "0.5"]
    assert run(walks, tmp_path / "out", *options) == 0
    sample = SampleFolder(tmp_path / "out")[0]
    assert not any(part.vit for part in sample.images)
    assert sample.texts[0].text == "Go to the door."
    assert [part.loss for part in sample.texts[1:]] == [True, False] * 3
    assert [part.time for part in sample.images] == [0.0, 0.5, 1.0, 1.5]


def test_short_episodes_are_counted_and_only_short_ones_are_refused(
    walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shard(tmp_path / "short", 0, [episode(7, steps=2), episode(8, steps=1)])
    assert run(walks, tmp_path / "short", tmp_path / "out") == 0
    assert "2 episodes have fewer than 4 frames" in " ".join(capsys.readouterr().err.split())
    assert run(tmp_path / "short", tmp_path / "none") == 2
    assert "at least 4 frames" in capsys.readouterr().err
    assert run(tmp_path / "nothing", tmp_path / "none") == 2
    assert run(walks, tmp_path / "none", "--seconds", "0") == 2
    assert not (tmp_path / "none").exists()


def test_episodes_of_other_sizes_and_without_facts_become_samples_too(tmp_path: Path) -> None:
    wide = replace(episode(0), frames=np.zeros((10, 8, 24, 3), np.uint8), metadata={"episode_id": "wide"})
    write_shard(tmp_path / "walks", 0, [wide])
    assert run(tmp_path / "walks", tmp_path / "out") == 0
    assert {sample.source for sample in SampleFolder(tmp_path / "out")} == {"unknown"}

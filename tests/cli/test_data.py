"""`bagel-world data preview` and `data check`."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bagel_world.cli import main
from bagel_world.episodes import ShardWriter, shard_path, write_shard
from bagel_world.episodes.manifest import write_manifest
from bagel_world.episodes.sample_shards import sample_shard_paths
from bagel_world.episodes.sample_writer import SampleWriter
from bagel_world.episodes.schema import encode_png
from bagel_world.training.data.published_export import export_published
from tests.episodes.conftest import draw_episode
from tests.episodes.drawn import walk_sample
from tests.episodes.test_manifest import MANIFEST


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    return int(stop.value.code or 0)


def cells(told: str) -> list[list[str]]:
    """The rows of a table."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in told.splitlines() if line.startswith("│")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three shards of two samples."""
    with SampleWriter(tmp_path / "samples", samples_per_shard=2) as writer:
        writer.add_all(walk_sample(number) for number in range(6))
    return tmp_path / "samples"


def test_check_counts_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", folder) == 0
    told = capsys.readouterr().out
    for row in (["samples", "6"], ["part: image (vae + vit + target)", "6"], ["texts with loss", "6"]):
        assert row in cells(told)
    assert "Nothing is wrong." in told


def test_check_finds_damage_and_says_so_in_its_exit_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sample_shard_paths(folder)[1]
    path.write_bytes(path.read_bytes()[:-40])
    assert run("data", "check", folder) == 1
    told = capsys.readouterr().out
    assert "samples-00001.parquet is damaged" in told
    assert "2 damaged, 0 twice" in told


@pytest.fixture
def episodes(tmp_path: Path) -> Path:
    """Three shards of two episodes of four frames."""
    with ShardWriter(tmp_path / "episodes", episodes_per_shard=2) as writer:
        for number in range(6):
            writer.add(draw_episode(number, split="test" if number == 5 else "train"))
    return tmp_path / "episodes"


def test_check_counts_episodes(episodes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", episodes) == 0
    told = capsys.readouterr().out
    for row in (
        ["shards", "3"],
        ["episodes", "6"],
        ["frames", "24"],
        ["split: train", "5"],
        ["frame size: 24 x 16", "24"],
        ["frames in an episode: 4", "6"],
        ["action: Move forward", "12"],
        ["action: Open the door", "6"],
    ):
        assert row in cells(told)
    assert "Nothing is wrong." in told
    assert run("data", "check", episodes, "--split", "test") == 0
    assert ["episodes", "1"] in cells(capsys.readouterr().out)


def test_check_lists_damaged_shards_and_pictures_of_episodes(episodes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut, spoiled = shard_path(episodes, 0), shard_path(episodes, 2)
    cut.write_bytes(cut.read_bytes()[:-40])
    picture = encode_png(draw_episode(5, split="test").frames[2])
    spoiled.write_bytes(spoiled.read_bytes().replace(picture, bytes(len(picture))))
    assert run("data", "check", episodes) == 1
    told = capsys.readouterr().out
    assert "episodes-00000.parquet is damaged" in told
    assert "episodes-00002.parquet is damaged or was cut off (row 1" in told
    assert "2 damaged, 0 twice" in told
    assert ["episodes", "3"] in cells(told)


def test_check_finds_shards_that_were_deleted(episodes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = MANIFEST.model_copy(update={"finished_episodes": 6})
    write_manifest(episodes, manifest)
    assert run("data", "check", episodes) == 0
    write_manifest(episodes, manifest.model_copy(update={"finished_episodes": 4}))  # a recording that was cut short after a shard
    assert run("data", "check", episodes) == 0
    write_manifest(episodes, manifest)
    shard_path(episodes, 1).unlink()
    capsys.readouterr()
    assert run("data", "check", episodes) == 1
    told = capsys.readouterr().out
    assert "holds 4 episodes, but its manifest says that 6 were finished" in told
    assert "damaged," not in told


def test_check_tells_how_many_more_are_damaged_and_which_come_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shard(tmp_path, 0, [draw_episode(0), draw_episode(0)])
    for index in range(1, 26):
        shard_path(tmp_path, index).write_bytes(b"PAR1")
    assert run("data", "check", tmp_path) == 1
    assert "25 damaged, 1 twice; 6 more like these" in capsys.readouterr().out
    for index in range(1, 26):
        shard_path(tmp_path, index).unlink()
    assert run("data", "check", tmp_path) == 1
    told = capsys.readouterr().out
    assert "'episode-0' comes more than once" in told
    assert "0 damaged, 1 twice" in told


def test_preview_draws_as_many_as_asked(folder: Path, tmp_path: Path) -> None:
    heights = []
    for count in (1, 3):
        out = tmp_path / "new" / f"{count}.png"
        assert run("data", "preview", folder, "-o", out, "-n", count) == 0
        with Image.open(out) as drawn:
            heights.append(drawn.height)
    assert heights[1] > 2 * heights[0]


def test_preview_takes_the_published_layout(folder: Path, tmp_path: Path) -> None:
    captioned = walk_sample().model_copy(update={"parts": (*walk_sample().parts[1:2], walk_sample().parts[5])})
    export_published([captioned], tmp_path / "published")
    assert run("data", "preview", tmp_path / "published", "-o", tmp_path / "a.png") == 0
    assert run("data", "check", tmp_path / "published") == 0


def test_what_cannot_be_drawn_is_one_sentence(
    folder: Path, episodes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        (["data", "preview", tmp_path / "empty"], "found none"),
        (["data", "check", tmp_path / "nowhere"], "found none"),
        (["data", "check", episodes, "--split", "unseen"], "Expected episodes of the split 'unseen'"),
        (["data", "preview", folder, "--first", "6"], "Expected --first below 6"),
        (["data", "preview", folder, "--split", "test"], "it has train"),
        (["data", "preview", folder, "-o", folder / sample_shard_paths(folder)[0].name / "a.png"], "Could not write"),
        (["data", "preview", folder, "--checkpoint", "nan"], "Did you mean 'nano'?"),
    ):
        assert run(*arguments) == 2
        told = capsys.readouterr().err
        assert words in told
        assert "Traceback" not in told

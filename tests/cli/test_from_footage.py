"""`bagel-world data from-footage` and `eval text`, on footage without rendering and on the world without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bagel_world.cli import main
from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.episodes.shards import write_shard
from tests.sims.test_lessons import walk


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples about a few walks."""
    folder = tmp_path_factory.mktemp("words")
    write_shard(folder / "first", 0, [walk(seed) for seed in range(4)])
    write_shard(folder / "second", 0, [walk(seed) for seed in range(4, 8)])
    counts = ["--questions", "60", "--thoughts", "20", "--judge", "6", "--history", "2"]
    assert run("data", "from-footage", folder / "first", folder / "second", folder / "words", *counts) == 0
    return folder / "words"


def test_samples_come_from_all_folders_in_mixed_order(words: Path) -> None:
    samples = list(SampleFolder(words))
    kinds = [str(sample.metadata["kind"]) for sample in samples]
    assert kinds.count("thought") == 20
    assert kinds.count("judge") == 6
    assert {str(sample.metadata["episode_id"]) for sample in samples} == {f"visits-{seed}" for seed in range(8)}
    assert kinds != sorted(kinds)
    manifest = json.loads((words / "samples.json").read_text())
    assert "from-footage" in manifest["command"]
    assert manifest["settings"]["history"] == 2


def test_the_report_counts_by_kind_and_names_what_is_short(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "from-footage", words.parent / "first", tmp_path / "out", "--judge", "5000", "--questions", "30") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "exercises in" in said
    assert "of 5000 'judge': the footage offers no more" in said


def test_a_folder_with_samples_is_not_mixed_up(words: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "from-footage", words.parent / "first", words) == 2
    assert "holds" in capsys.readouterr().err


def test_a_world_is_asked_and_the_figures_are_kept(words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("eval", "text", "--checkpoint", "fake", "--data", words, "--out", tmp_path, "--n", "10") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "exact_match" in shown
    assert "Pictures of 16 x 16 pixels, where the checkpoint imagines 64 x 64" in shown
    report = json.loads((tmp_path / "text.json").read_text())
    rows = {(row["metric"], row["name"]): row for row in report["rows"]}
    # FakeWorld speaks of colors only.
    assert rows["exact_match", "all questions"]["value"] == 0.0
    assert rows["thought", "names the side of the goal"]["value"] == 0.0
    assert rows["judge_accuracy", "goal reached: always the most frequent"]["n"] == 6
    assert report["command"].startswith("bagel-world eval text")

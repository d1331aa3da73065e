"""`bagel-world data preview` and `data check`."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bagel_world.cli import main
from bagel_world.episodes.sample_shards import sample_shard_paths
from bagel_world.episodes.sample_writer import SampleWriter
from bagel_world.training.data.published_export import export_published
from tests.episodes.drawn import walk_sample


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    return int(stop.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three shards of two samples."""
    with SampleWriter(tmp_path / "samples", samples_per_shard=2) as writer:
        writer.add_all(walk_sample(number) for number in range(6))
    return tmp_path / "samples"


def test_check_counts_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", folder) == 0
    told = capsys.readouterr().out
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in told.splitlines() if line.startswith("│")]
    assert ["samples", "6"] in cells
    assert ["part: image (vae + vit + target)", "6"] in cells
    assert ["texts with loss", "6"] in cells
    assert "Nothing is wrong." in told


def test_check_finds_damage_and_says_so_in_its_exit_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sample_shard_paths(folder)[1]
    path.write_bytes(path.read_bytes()[:-40])
    assert run("data", "check", folder) == 1
    told = capsys.readouterr().out
    assert "samples-00001.parquet is damaged" in told
    assert "2 damaged, 0 twice" in told


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


def test_what_cannot_be_drawn_is_one_sentence(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        (["data", "preview", tmp_path / "empty"], "found none"),
        (["data", "check", tmp_path / "nowhere"], "found none"),
        (["data", "preview", folder, "--first", "6"], "Expected --first below 6"),
        (["data", "preview", folder, "--split", "test"], "it has train"),
        (["data", "preview", folder, "-o", folder / sample_shard_paths(folder)[0].name / "a.png"], "Could not write"),
        (["data", "preview", folder, "--checkpoint", "nan"], "Did you mean 'nano'?"),
    ):
        assert run(*arguments) == 2
        told = capsys.readouterr().err
        assert words in told
        assert "Traceback" not in told

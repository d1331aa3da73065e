"""`bagel-world data preview --recipe`: samples as a recipe trains on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from bagel_world.cli import main
from bagel_world.episodes.sample_shards import sample_shard_path
from bagel_world.episodes.sample_writer import SampleWriter
from bagel_world.episodes.samples import Sample
from bagel_world.model.checkpoint import packing_rules
from bagel_world.model.config import BagelConfig
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.training.config import read_recipe
from bagel_world.training.data.budget import PackConfig
from bagel_world.training.data.preview import Previewer
from bagel_world.training.data.segments import SegmentConfig
from bagel_world.training.data.words import train_tokenizer
from tests.episodes.drawn import walk_sample
from tests.model.folder import write_folder

Drawn = dict[str, Any]


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["data", "preview", *map(str, arguments)])
    return int(stop.value.code or 0)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe for two folders of samples, two and four."""
    for name, numbers in (("few", range(2)), ("many", range(2, 6))):
        with SampleWriter(tmp_path / name) as writer:
            writer.add_all(walk_sample(number) for number in numbers)
    values = {
        "preset": "tiny",
        "samples": [{"folder": str(tmp_path / "few")}, {"folder": str(tmp_path / "many")}],
        "run": str(tmp_path / "run"),
        "action_words": ["Move forward", "Look left"],
        "device": "cuda",
        "mot": {"text_weight": 0.5, "pack": {"tokens": 512}, "segments": {"vit": False, "copies": 2}},
        "world": {"transforms": {"vae": {"min_side": 16, "max_side": 32, "stride": 16}}},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """What a previewer is made of, and which samples it draws."""
    found: Drawn = {}
    make, draw = Previewer.__init__, Previewer.draw

    def making(self: Previewer, config: BagelConfig, tokenizer: Tokenizer, *rest: Any, **settings: Any) -> None:
        found.update(settings, config=config, tokenizer=tokenizer)
        make(self, config, tokenizer, *rest, **settings)

    def drawing(self: Previewer, samples: list[Sample], *, title: str = "") -> Image.Image:
        found.update(samples=[sample.sample_id for sample in samples], title=title)
        return draw(self, samples, title=title)

    monkeypatch.setattr(Previewer, "__init__", making)
    monkeypatch.setattr(Previewer, "draw", drawing)
    return found


def test_a_recipe_brings_its_samples_shape_segments_and_packs(recipe: Path, drawn: Drawn, tmp_path: Path) -> None:
    assert run("--recipe", recipe, "-n", "3", "-o", tmp_path / "a.png") == 0
    config = read_recipe(recipe)
    assert drawn["samples"] == ["walk-1", "walk-3", "walk-5"]
    assert drawn["title"] == f"3 of 6 samples in few, many, as {recipe} trains on them"
    assert drawn["config"] == config.model_shape()
    assert drawn["segments"] == SegmentConfig(vit=False, copies=2)
    assert drawn["pack"] == PackConfig(tokens=512)
    assert drawn["writing"]
    assert len(drawn["tokenizer"].encode("Move forward")) == 4  # learned from these texts: two words between two marks
    assert not (tmp_path / "run").exists()


def test_damaged_samples_are_told_and_left_out(
    recipe: Path, drawn: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = sample_shard_path(tmp_path / "many", 0)
    picture = walk_sample(3).images[0].image
    shard.write_bytes(shard.read_bytes().replace(picture[40:], bytes(len(picture) - 40)))
    assert run(tmp_path / "many", "-o", tmp_path / "a.png") == 0
    assert drawn["samples"] == ["walk-2", "walk-4", "walk-5"]
    assert drawn["title"].startswith("3 of 4 samples")
    assert "left out: Shard" in capsys.readouterr().err
    shard.write_bytes(b"")
    assert run(tmp_path / "many", "-o", tmp_path / "b.png") != 0
    assert not (tmp_path / "b.png").exists()


def test_changes_and_a_folder_go_over_the_recipe(recipe: Path, drawn: Drawn, tmp_path: Path) -> None:
    changes = ["--set", "mot.segments.copies=3", "--set", "mot.text_weight=0"]
    assert run(tmp_path / "many", "--recipe", recipe, *changes, "--first", "3", "-o", tmp_path / "a.png") == 0
    assert drawn["samples"] == ["walk-5"]
    assert drawn["segments"] == SegmentConfig(vit=False, copies=3)
    assert not drawn["writing"]


def test_the_tokenizer_is_that_of_the_run_or_of_the_checkpoint_to_start_from(recipe: Path, drawn: Drawn, tmp_path: Path) -> None:
    train_tokenizer(["Zurück"], 512).to_folder(tmp_path / "run" / "tokenizer")
    assert run("--recipe", recipe, "-o", tmp_path / "a.png") == 0
    assert len(drawn["tokenizer"].encode("Zurück")) == 3
    values = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    values["start_from"] = str(write_folder(tmp_path / "tiny"))
    del values["preset"]
    recipe.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert run("--recipe", recipe, "-o", tmp_path / "a.png") == 0
    assert drawn["config"] == read_recipe(recipe).model_shape()
    assert drawn["tokenizer"].encode("Zurück") == Tokenizer.from_folder(tmp_path / "tiny").encode("Zurück")


def test_without_a_recipe_all_of_a_sample_is_shown_as_nano_sees_it(recipe: Path, drawn: Drawn, tmp_path: Path) -> None:
    assert run(tmp_path / "few", "-o", tmp_path / "a.png") == 0
    assert "segments" not in drawn
    assert drawn["config"].world.frame_size == (64, 64)
    assert packing_rules(drawn["config"], drawn["tokenizer"]).latent_side == 4


def test_what_does_not_go_together_is_said(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    walks = tmp_path / "walks.yaml"
    walks.write_text("{train: a, validation: b, run: c}", encoding="utf-8")
    for arguments, words in (
        ([], "got neither"),
        ([tmp_path / "few", "--set", "mot.steps=1"], "Name one with --recipe"),
        (["--recipe", recipe, "--checkpoint", "nano"], "Leave out --checkpoint"),
        (["--recipe", recipe, "--images", tmp_path], "--images belongs to a folder"),
        (["--recipe", walks], "learns from walks alone"),
        (["--recipe", recipe, "--first", "6"], "Expected --first below 6"),
        (["--recipe", recipe, "--split", "test"], "it has train"),
        (["--recipe", recipe, "--set", "mot.pack.tokens=9", "-o", tmp_path / "a.png"], "raise mot.pack.tokens"),
    ):
        assert run(*arguments) == 2
        told = " ".join(capsys.readouterr().err.split())
        assert words in told
        assert "Traceback" not in told

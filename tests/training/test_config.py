from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import bagel_world
from bagel_world.errors import ConfigError
from bagel_world.model.config import BagelConfig, Capabilities
from bagel_world.training.config import read_recipe
from bagel_world.training.data.walks import WalkSource
from tests.model.folder import write_folder

NANO = Path(bagel_world.__file__).parent / "assets" / "nano"
RECIPE = "train: a\nvalidation: b\nrun: c\nmot:\n  steps: 7\n"


def _recipe(tmp_path: Path, text: str = RECIPE) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_changes_win_over_the_file(tmp_path: Path) -> None:
    config = read_recipe(_recipe(tmp_path), ["mot.steps=9", "mot.walk.frames=4", "autoencoder.optimizer.betas=[0.5, 0.6]"])
    assert config.mot.steps == 9
    assert config.mot.walk.frames == 4
    assert config.autoencoder.optimizer.betas == (0.5, 0.6)
    assert config.train == (WalkSource(folder=Path("a")),)


def test_an_unknown_setting_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'mot.walk.framez'.*'mot.walk.frames'"):
        read_recipe(_recipe(tmp_path), ["mot.walk.framez=4"])


@pytest.mark.parametrize(
    ("text", "change", "what"),
    [
        ("- a\n", "", "settings by name"),
        ("a: [", "", "YAML"),
        (RECIPE, "mot.steps", "name=value"),
        (RECIPE, "mot.steps=-1", "mot.steps: Input should be greater than 0, got -1"),
        (RECIPE, "train.x=1", "no parts of its own"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str, change: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read_recipe(_recipe(tmp_path, text), [change] if change else [])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("run: c\ntrain: a\n", r"validation: expected a folder of episodes, got none\. Or name folders of samples"),
        ("run: c\n", "train and validation: expected a folder"),
        ("run: c\ntrain: a\nsamples: [{folder: d}]\n", "validation: expected a folder of episodes, got none"),
        (RECIPE + "train: [{folder: a, wieght: 2}]\n", "no setting 'train.0.wieght'"),
        (RECIPE + "start_from: d\nwarm_start: e\n", "start_from and warm_start exclude each other"),
        (
            "run: c\nsamples: [{folder: a/train}, {folder: b/train}]\n",
            "samples: several folders are called 'train'.*name of its own",
        ),
        (
            "run: c\nsamples: [{folder: a}]\nvalidation_samples: [{folder: b}, {folder: c/b}]\n",
            "validation_samples: several folders",
        ),
        (RECIPE + "validation_samples: [{folder: d}]\n", "validation_samples is for recipes with samples"),
        (RECIPE + "preset: tiny\nstart_from: d\n", "start_from brings a shape of its own"),
        ("run: c\nsamples: [{folder: d, weight: 0}]\n", r"samples\.0\.weight: Input should be greater than 0"),
        ("run: c\nsamples: [{folder: d, wieght: 1}]\n", r"no setting 'samples\.0\.wieght'.*'samples\.weight'"),
        (RECIPE + "  trains: [conector]\n", r"no part 'conector' to train\. Did you mean 'connector'"),
        (RECIPE + "  trains: []\n", "one or more parts to train, got none"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read_recipe(_recipe(tmp_path, text))


def test_what_is_said_of_the_world_is_checked_like_the_rest(tmp_path: Path) -> None:
    config = read_recipe(_recipe(tmp_path), ["world={capabilities: {imagin: true}, frame_size: [0, 3]}"])
    with pytest.raises(ConfigError, match=r"no setting 'world\.capabilities\.imagin'\. Did you mean .*\.imagine'"):
        config.model_shape()


def test_settings_of_the_world_go_over_those_of_the_checkpoint_one_by_one(tmp_path: Path) -> None:
    own = BagelConfig.from_folder(NANO).world
    changes = ["world.capabilities.vit=true", "world.sampling.default.evaluations=4", "world.tasks={wait: [Wait one moment]}"]
    found = read_recipe(_recipe(tmp_path), [f"start_from={NANO}", *changes]).model_shape().world
    assert found.capabilities == own.capabilities.model_copy(update={"vit": True})
    assert not found.capabilities.write
    assert found.sampling == {**own.sampling, "default": {**own.sampling["default"], "evaluations": 4}}
    assert found.context == own.context
    assert list(found.tasks) == ["wait"]


@pytest.mark.parametrize(
    ("changes", "writes", "sees"),
    [
        ([], False, False),
        (["mot.text_weight=0.25", "mot.segments.vit=true"], False, False),  # walks show no ViT tokens and ask nothing
        (["samples=[{folder: d}]", "mot.text_weight=0.25", "mot.segments.vit=false"], True, False),
        (["samples=[{folder: d}]", "mot.segments.vit=true"], False, True),
    ],
)
def test_a_fresh_model_claims_what_its_recipe_teaches(tmp_path: Path, changes: list[str], writes: bool, sees: bool) -> None:
    found = read_recipe(_recipe(tmp_path), changes).model_shape().world
    assert found.capabilities == Capabilities(imagine=True, write=writes, vit=sees)
    assert found.context.get("see", "both") == ("both" if sees else "latents")
    said = read_recipe(_recipe(tmp_path), [*changes, "world.capabilities.write=true", "world.context.see=vit"]).model_shape()
    assert said.world.capabilities.write
    assert said.world.context == {"see": "vit"}


def test_a_checkpoint_that_is_too_wide_to_start_warm_from_is_refused_at_once(tmp_path: Path) -> None:
    write_folder(tmp_path / "tiny")
    with pytest.raises(ConfigError, match="width 192 to start warm from, got"):
        read_recipe(_recipe(tmp_path), [f"warm_start={tmp_path / 'tiny'}"]).model_shape()


def test_samples_to_measure_on_are_of_the_split_for_it(tmp_path: Path) -> None:
    text = "run: c\nsamples: [{folder: a}]\nvalidation_samples: [{folder: b}, {folder: d, split: test}]\n"
    config = read_recipe(_recipe(tmp_path, text))
    assert [each.split for each in config.samples] == ["train"]
    assert [each.split for each in config.validation_samples] == ["validation", "test"]


def test_the_shipped_recipe_is_readable_and_admits_that_nano_does_not_write() -> None:
    config = read_recipe(Path(__file__).parents[2] / "recipes" / "nano.yaml")
    shape = config.model_shape()
    assert not shape.world.capabilities.write
    assert shape.world.frame_size == (64, 64)
    assert config.mot.walk.frames > shape.world.context["max_frames"]


def test_the_recipe_in_the_document_is_the_one_that_ships() -> None:
    root = Path(__file__).parents[2]
    block, *_ = re.findall(r"^```yaml\n(.*?)^```", (root / "docs" / "training.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    assert yaml.safe_load(block) == yaml.safe_load((root / "recipes" / "films.yaml").read_text())
    config = read_recipe(root / "recipes" / "films.yaml")
    assert config.model_shape().world.action_words == ("Pan left", "Pan right")
    assert config.validation_samples[0].split == "validation"


def test_every_setting_that_the_document_names_is_one(tmp_path: Path) -> None:
    changes = ["mot.trains=[connector]", "mot.text_weight=0.25", "mot.segments.text_dropout=0.2", "mot.segments.vit=true"]
    changes += ["mot.pack.look_ahead=16", "mot.tensorboard=true", "loaders=4", "start_from=FOLDER"]
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    for change in changes:
        name, _, value = change.partition("=")
        assert f"`{name}: {value}`" in text or f"`{name}`" in text, name
    assert read_recipe(_recipe(tmp_path), changes).mot.trains == ("connector",)

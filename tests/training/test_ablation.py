"""One recipe, several runs: what differs is what was changed, and a dense model ends as two equal experts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml

from bagel_world.cli import main
from bagel_world.episodes import sample_from_episode, write_samples
from bagel_world.errors import ConfigError, TrainingError
from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import load
from bagel_world.training.ablation import read_ablations, recipes_of, run_ablations, table_of
from bagel_world.training.config import TrainingConfig, read_recipe
from bagel_world.training.dense import part_experts, tie_experts
from bagel_world.training.stages import Stages
from bagel_world.types import Action, Episode
from tests.model.folder import write_folder
from tests.training.walks import make_config, make_walks

LAYERS = "mot.layers.0."


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    walks = make_walks(episodes=2)
    samples = []
    for number, (start, end) in enumerate(zip(walks.starts[:-1], walks.starts[1:], strict=True)):
        actions = tuple(Action(text=word) for word in walks.actions[start + 1 : end])
        walk = Episode(frames=walks.frames[start:end], actions=actions, metadata={"episode_id": f"e{number}"})
        split = ("train", "validation")[number]
        samples.append(sample_from_episode(walk, source="tests", license="CC0-1.0", split=split, frames=3))
    write_samples(tmp_path / "samples", samples)
    recipe = {
        "preset": "tiny",
        "autoencoder_from": str(write_folder(tmp_path / "tiny")),
        "samples": [{"folder": str(tmp_path / "samples")}],
        "run": "unused",
        "workers": 1,
        "mot": {"steps": 4, "batch": 1, "validation_packs": 1, "validate_every": 2, "save_every": 2, "pack": {"tokens": 512}},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    runs = {"mixture": [], "dense": ["mot.dense=true"], "no-vit": ["mot.segments.vit=false"]}
    values = {"recipe": str(tmp_path / "recipe.yaml"), "run": str(tmp_path / "runs"), "runs": runs}
    path = tmp_path / "ablations.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def test_every_run_is_trained_once_and_told_of_in_a_table_and_a_figure(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    for _ in range(2):
        with pytest.raises(SystemExit) as left:
            main(["ablate", str(plan)])
        assert left.value.code in (0, None)
    out = plan.parent / "runs"
    table = (out / "ablations.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == 2 * table
    assert [line.split(" | ")[:2] for line in table.splitlines()[2:]] == [
        ["| mixture", "none"],
        ["| dense", "`mot.dense=true`"],
        ["| no-vit", "`mot.segments.vit=false`"],
    ]
    assert (out / "ablations.png").stat().st_size > 1000
    runs = run_ablations(read_ablations(plan))
    assert table_of(runs) == table
    assert [[row["step"] for row in run.curve] for run in runs] == [[2, 4]] * 3


def test_a_figure_that_cannot_be_drawn_is_heard_of_before_the_first_run(
    plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as where it is not installed
    with pytest.raises(SystemExit) as left:
        main(["ablate", str(plan)])
    assert left.value.code == 2
    assert "bagel-world[eval]" in capsys.readouterr().err
    assert not (plan.parent / "runs").exists()


def test_a_world_that_could_not_be_used_is_heard_of_before_the_first_run(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    values = yaml.safe_load(plan.read_text(encoding="utf-8"))
    plan.write_text(yaml.safe_dump({**values, "runs": {"typo": ["world.context={max_frame: 6}"]}}), encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["ablate", str(plan)])
    assert left.value.code == 2
    assert "'max_frames'" in capsys.readouterr().err
    assert not (plan.parent / "runs").exists()


def test_runs_too_short_to_be_measured_on_the_way_have_a_table_and_no_figure(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    values = yaml.safe_load(plan.read_text(encoding="utf-8"))
    plan.write_text(yaml.safe_dump({**values, "runs": {"short": ["mot.steps=1"]}}), encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["ablate", str(plan)])
    assert not left.value.code
    told = capsys.readouterr()
    assert "No figure" in told.err
    assert "| short | `mot.steps=1` | " in told.out
    assert not (plan.parent / "runs" / "ablations.png").exists()


def test_what_was_stopped_before_its_export_is_exported(plan: Path) -> None:
    ablations = read_ablations(plan)
    run_ablations(ablations)
    checkpoint = ablations.run / "mixture" / "checkpoint"
    weights = (checkpoint / "ema.safetensors").read_bytes()
    (checkpoint / "ema.safetensors").unlink()
    run_ablations(ablations)
    assert (checkpoint / "ema.safetensors").read_bytes() == weights


def test_a_dense_model_is_written_with_two_equal_experts(plan: Path) -> None:
    ablations = read_ablations(plan)
    run_ablations(ablations)
    weights = dict(load(ablations.run / "dense" / "checkpoint").bagel.named_parameters())
    other = dict(load(ablations.run / "mixture" / "checkpoint").bagel.named_parameters())
    assert weights.keys() == other.keys()
    assert torch.equal(weights[f"{LAYERS}understand.q.weight"], weights[f"{LAYERS}generate.q.weight"])
    assert not torch.equal(other[f"{LAYERS}understand.q.weight"], other[f"{LAYERS}generate.q.weight"])


def test_the_generation_expert_can_begin_as_the_understanding_one(plan: Path) -> None:
    recipe = read_recipe(read_ablations(plan).recipe, ["copy_understanding=true", f"run={plan.parent / 'copied'}"])
    weights = dict(Stages(recipe, resume=False).fresh_model().named_parameters())
    one, other = (weights[f"{LAYERS}{expert}.q.weight"] for expert in ("understand", "generate"))
    assert one is not other
    assert torch.equal(one, other)


def test_tied_experts_are_one_set_of_weights_until_they_are_parted() -> None:
    bagel = Bagel(make_config())
    names = set(dict(bagel.named_parameters()))
    tie_experts(bagel)
    assert {name for name in names if ".generate" not in name} == set(dict(bagel.named_parameters()))
    part_experts(bagel)
    assert set(dict(bagel.named_parameters())) == names


def test_runs_that_make_no_sense_are_refused_before_the_first_trains(plan: Path) -> None:
    values = yaml.safe_load(plan.read_text(encoding="utf-8"))
    plan.write_text(yaml.safe_dump({**values, "compare": {"All": ["mixtur"]}}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mixtur.*mixture"):
        read_ablations(plan)
    plan.write_text(yaml.safe_dump({**values, "runs": {"../away": []}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="names a folder"):
        read_ablations(plan)
    plan.write_text(yaml.safe_dump({**values, "runs": {"typo": ["mot.step=3"]}}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mot\.step.*mot\.steps"):
        run_ablations(read_ablations(plan))
    assert not (plan.parent / "runs").exists()


def test_a_run_of_another_recipe_is_not_taken_for_this_one(plan: Path) -> None:
    ablations = read_ablations(plan)
    folder = ablations.run / "mixture"
    folder.mkdir(parents=True)
    other = recipes_of(ablations)["dense"]
    (folder / "recipe.json").write_text(other.model_dump_json(), encoding="utf-8")
    with pytest.raises(TrainingError, match="another recipe"):
        run_ablations(ablations)


def test_a_setting_that_is_new_makes_no_other_recipe(plan: Path) -> None:
    ablations = read_ablations(plan)
    recipe = recipes_of(ablations)["mixture"]
    folder = ablations.run / "mixture"
    folder.mkdir(parents=True)
    for name, values in {"mot.json": {"validation_velocity": 1.0}, "recipe.json": recipe.model_dump(mode="json")}.items():
        values.get("mot", {}).pop("balance_texts", None)  # as if it had not been there when this was trained
        (folder / name).write_text(json.dumps(values), encoding="utf-8")
    for name in ("ema.safetensors", "ae.safetensors"):  # whatever is missing would be trained
        (folder / "checkpoint").mkdir(exist_ok=True)
        (folder / "checkpoint" / name).touch()
    alone = ablations.model_copy(update={"runs": {"mixture": ()}})
    (run,) = run_ablations(alone)
    assert run.figures == {"validation_velocity": 1.0}
    with pytest.raises(TrainingError, match="another recipe"):
        run_ablations(ablations.model_copy(update={"runs": {"mixture": ("mot.balance_texts=true",)}}))


def test_a_recipe_with_a_setting_of_another_version_is_refused_by_its_name(plan: Path) -> None:
    ablations = read_ablations(plan)
    folder = ablations.run / "mixture"
    folder.mkdir(parents=True)
    values = recipes_of(ablations)["mixture"].model_dump(mode="json")
    values["mot"]["bygone"] = 1
    (folder / "recipe.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"recipe of this version.*recipe\.json.*mot\.bygone.*Remove .*mixture"):
        run_ablations(ablations)
    (folder / "recipe.json").write_text("{", encoding="utf-8")
    with pytest.raises(TrainingError, match="another or damaged"):
        run_ablations(ablations)


def test_a_run_that_started_from_a_checkpoint_is_known_again(plan: Path) -> None:
    recipe = yaml.safe_load((plan.parent / "recipe.yaml").read_text(encoding="utf-8"))
    recipe["start_from"] = recipe.pop("autoencoder_from")
    del recipe["preset"]
    (plan.parent / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    ablations = read_ablations(plan).model_copy(update={"runs": {"mixture": ()}})
    (first,), (again,) = run_ablations(ablations), run_ablations(ablations)
    assert first == again


def test_dense_excludes_what_tells_experts_apart() -> None:
    values = {"samples": [{"folder": "samples"}], "run": "run"}
    with pytest.raises(ValueError, match="one set of weights"):
        TrainingConfig.model_validate({**values, "mot": {"dense": True, "trains": ["generate"]}})


def test_an_autoencoder_of_other_latents_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    config = TrainingConfig.model_validate(
        {"preset": "nano", "autoencoder_from": folder, "samples": [{"folder": "samples"}], "run": "run"}
    )
    with pytest.raises(ConfigError, match="another shape"):
        config.model_shape()

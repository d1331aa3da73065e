from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from bagel_world.episodes import SampleFolder, TextPart, sample_from_episode, write_samples, write_shard
from bagel_world.errors import ConfigError, RecordingError, TrainingError
from bagel_world.model.checkpoint import load
from bagel_world.training.adapter import load_lora
from bagel_world.training.config import read_recipe
from bagel_world.training.parts import part_of
from bagel_world.training.ranks import Ranks
from bagel_world.training.stages import Stages
from bagel_world.types import Action, Episode
from tests.training.walks import make_walks

STEPS = {"steps": 4, "validate_every": 2, "save_every": 2}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    walks = make_walks(episodes=2)
    episodes = []
    for number, (start, end) in enumerate(zip(walks.starts[:-1], walks.starts[1:], strict=True)):
        actions = tuple(Action(text=word) for word in walks.actions[start + 1 : end])
        episodes.append(Episode(frames=np.array(walks.frames[start:end]), actions=actions, metadata={"episode_id": f"e{number}"}))
    write_shard(tmp_path / "walks", 0, episodes)
    settings = {
        "preset": "tiny",
        "train": str(tmp_path / "walks"),
        "validation": str(tmp_path / "walks"),
        "run": str(tmp_path / "run"),
        "autoencoder": {**STEPS, "batch": 2, "statistics_frames": 4, "validation_frames": 4},
        "mot": {**STEPS, "batch": 2, "walk": {"frames": 3}, "validation_windows": 2},
        "world": {"capabilities": {"imagine": True, "write": False, "vit": False}},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_command_ends_in_a_checkpoint_that_loads(recipe: Path) -> None:
    import typer

    from bagel_world.cli.train import train

    app = typer.Typer()
    app.command()(train)
    changes = ["--set", "mot.steps=2", "--set", "mot.preview_every=2", "--set", "world.sampling.default.evaluations=1"]
    changes += ["--set", "world.context.see=latents"]
    result = CliRunner().invoke(app, [str(recipe), *changes], catch_exceptions=False)
    assert result.exit_code == 0
    run = recipe.parent / "run"
    with Image.open(run / "previews" / "step-00000002.png") as picture:
        assert picture.size == (6 * 32, 4 * 32)
    found = load(run / "checkpoint")
    assert found.config.world.frame_size == (32, 32)
    assert not found.config.world.capabilities.write
    assert found.tokenizer.decode(found.tokenizer.encode("Look left")) == "Look left"
    stages = Stages(read_recipe(recipe, ["mot.steps=2"]), resume=True)
    for (name, one), (_, other) in zip(stages.averaged().bagel.named_parameters(), found.bagel.named_parameters(), strict=True):
        assert torch.equal(one.to(torch.bfloat16).float(), other), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("world.context={max_frame: 6}", r"world\.context cannot be used: .*no setting 'max_frame'.*'max_frames'"),
        ("world.context={keep_frames: 99}", r"world\.context cannot be used: .*keep_frames <= max_frames"),
        ("world.sampling={quick: {evalutions: 3}}", r"world\.sampling\.quick cannot be used: .*'evaluations'"),
        ("world.prompts={answr: x}", r"no thinking prompt 'answr' \(world\.prompts\)\. Did you mean 'answer'"),
    ],
)
def test_what_a_checkpoint_says_of_its_use_is_read_before_it_is_trained(recipe: Path, change: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _run(recipe, change)
    assert not (recipe.parent / "run").exists()


def test_a_world_that_does_not_imagine_trains_without_previews(recipe: Path) -> None:
    assert _run(recipe, "mot.steps=2", "mot.preview_every=2", "world.capabilities.imagine=false") == 0
    assert not (recipe.parent / "run" / "previews").exists()


def test_a_run_is_not_begun_twice_by_accident(recipe: Path) -> None:
    config = read_recipe(recipe)
    Stages(config, resume=False)  # looks only
    Stages(config, resume=False).autoencoder()
    with pytest.raises(TrainingError, match="--resume"):
        Stages(config, resume=False)
    Stages(config, resume=True)


def test_a_finished_autoencoder_is_read_and_not_trained_again(recipe: Path) -> None:
    stages = Stages(read_recipe(recipe), resume=False)
    trained = stages.autoencoder()
    log = (recipe.parent / "run" / "autoencoder" / "log.jsonl").read_text()
    again = Stages(read_recipe(recipe), resume=True).autoencoder()
    assert (recipe.parent / "run" / "autoencoder" / "log.jsonl").read_text() == log
    for (name, one), (_, other) in zip(trained.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(one, other), name


def _listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_export_before_training_is_refused_and_leaves_nothing(recipe: Path) -> None:
    for resume in (False, True):
        with pytest.raises(TrainingError, match="no state of the world model"):
            Stages(read_recipe(recipe), resume=resume).averaged()
    assert not (recipe.parent / "run").exists()


def test_export_beside_a_training_only_reads(recipe: Path) -> None:
    stages = Stages(read_recipe(recipe, ["mot.steps=3"]), resume=False)
    stages.mot(stages.autoencoder(), stages.tokenizer())
    run = recipe.parent / "run"
    with (run / "mot" / "log.jsonl").open("a") as file:
        file.write('{"step": 1000}\n')  # of a training that has gone on since its newest state
    before = _listing(run)
    Stages(read_recipe(recipe, ["mot.steps=500"]), resume=True).averaged()
    assert _listing(run) == before


@pytest.mark.parametrize(
    ("size", "said"), [((40, 40), "got 40 x 40 in"), ((16, 16), "got 16 x 16 in"), ((32, 64), "got 32 x 64 in")]
)
def test_frames_of_another_size_end_the_run_before_the_autoencoder_is_trained(
    recipe: Path, size: tuple[int, int], said: str
) -> None:
    frames = np.zeros((6, *size, 3), np.uint8)
    walk = Episode(frames=frames, actions=(Action(text="Look left"),) * 5, metadata={"episode_id": "e"})
    write_shard(recipe.parent / "other", 0, [walk])
    config = read_recipe(recipe, [f"train={recipe.parent / 'other'}"])
    with pytest.raises(TrainingError, match=f"Expected frames of 32 x 32 pixels .* {said}"):
        Stages(config, resume=False).autoencoder()
    assert not (recipe.parent / "run" / "autoencoder").exists()


@pytest.mark.parametrize("size", [[40, 40], [32, 8], [4096, 4096]])
def test_a_world_without_whole_tokens_is_refused(recipe: Path, size: list[int]) -> None:
    with pytest.raises(TrainingError, match="whole latent tokens"):
        Stages(read_recipe(recipe, [f"world.frame_size={size}"]), resume=False).autoencoder()


def test_updates_do_not_go_on_from_other_weights(recipe: Path) -> None:
    assert _run(recipe, "mot.steps=2") == 0
    base = recipe.parent / "run" / "checkpoint"
    settings = yaml.safe_load(recipe.read_text())
    del settings["preset"]
    settings |= {"start_from": str(base), "run": str(recipe.parent / "tuned")}
    settings["mot"] |= {"lora": {"rank": 2, "alpha": 2}, "steps": 2}
    tune = recipe.parent / "tune.yaml"
    tune.write_text(yaml.safe_dump(settings))
    stages = Stages(read_recipe(tune), resume=False)
    merged = stages.mot(stages.autoencoder(), stages.tokenizer())
    again = Stages(read_recipe(tune), resume=True).averaged().bagel
    for (name, one), (_, other) in zip(merged.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    assert _run(recipe, "mot.steps=2", "seed=5", f"run={recipe.parent / 'another'}") == 0
    settings["start_from"] = str(recipe.parent / "another" / "checkpoint")
    tune.write_text(yaml.safe_dump(settings))
    later = Stages(read_recipe(tune, ["mot.steps=3"]), resume=True)
    for attempt in (later.averaged, lambda: later.mot(later.autoencoder(), later.tokenizer())):
        with pytest.raises(TrainingError, match="learned on other weights"):
            attempt()


def test_a_run_folder_that_cannot_be_written_is_a_clear_error(recipe: Path) -> None:
    (recipe.parent / "file").write_text("")
    with pytest.raises(TrainingError, match=r"Could not write .*recipe\.json"):
        Stages(read_recipe(recipe, [f"run={recipe.parent / 'file' / 'run'}"]), resume=False).autoencoder()


SAMPLES = {"segments": {"vit": False, "shift": 3.0}, "pack": {"tokens": 120}, "batch": 2, "validation_packs": 1}


@pytest.fixture
def sample_recipe(tmp_path: Path) -> Path:
    walks = make_walks(episodes=8)
    samples = []
    for number, start in enumerate(walks.starts[:-1].tolist()):
        actions = tuple(Action(text=word) for word in walks.actions[start + 1 : start + 4])
        walk = Episode(frames=np.array(walks.frames[start : start + 4]), actions=actions, metadata={"episode_id": f"e{number}"})
        split = "train" if number < 6 else "validation"
        samples.append(sample_from_episode(walk, source="walks", license="CC0-1.0", split=split))
    write_samples(tmp_path / "samples", samples)
    settings = {
        "preset": "tiny",
        "samples": [{"folder": str(tmp_path / "samples"), "weight": 2.0}],
        "texts": ["What is ahead?"],
        "run": str(tmp_path / "run"),
        "autoencoder": {**STEPS, "batch": 2, "statistics_frames": 4, "validation_frames": 4},
        "mot": {**STEPS, **SAMPLES, "preview_every": 2},
        "world": {
            "capabilities": {"imagine": True, "write": False, "vit": False},
            "context": {"see": "latents"},
            "sampling": {"default": {"evaluations": 1}},
        },
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def _run(recipe: Path, *changes: str, resume: bool = False) -> int:
    import typer

    from bagel_world.cli.train import train

    app = typer.Typer()
    app.command()(train)
    words = [word for change in changes for word in ("--set", change)]
    words += ["--resume"] * resume
    return CliRunner().invoke(app, [str(recipe), *words], catch_exceptions=False).exit_code


def test_samples_end_in_a_checkpoint_that_another_run_starts_from(sample_recipe: Path) -> None:
    folder = sample_recipe.parent
    assert _run(sample_recipe, "mot.steps=2") == 0
    with Image.open(folder / "run" / "previews" / "step-00000002.png") as picture:
        assert picture.size == (4 * 32, 4 * 32), "two held-out walks of four frames, real and imagined"
    first = load(folder / "run" / "checkpoint")
    assert first.tokenizer.decode(first.tokenizer.encode("Look left")) == "Look left"
    settings = yaml.safe_load(sample_recipe.read_text())
    del settings["preset"]
    settings |= {"start_from": str(folder / "run" / "checkpoint"), "run": str(folder / "tuned")}
    settings["mot"]["trains"] = ["generate"]
    (folder / "tune.yaml").write_text(yaml.safe_dump(settings))
    assert _run(folder / "tune.yaml", "mot.steps=2") == 0
    tuned = load(folder / "tuned" / "checkpoint")
    assert tuned.config.vae_config == first.config.vae_config
    for (name, one), (_, other) in zip(first.vae.named_parameters(), tuned.vae.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    pairs = zip(first.bagel.named_parameters(), tuned.bagel.named_parameters(), strict=True)
    moved = {part_of(name) for (name, one), (_, other) in pairs if not torch.equal(one, other)}
    assert moved == {"generate"}
    assert not (folder / "tuned" / "autoencoder").exists()


def test_the_autoencoder_learns_from_the_pictures_of_the_samples(sample_recipe: Path) -> None:
    stages = Stages(read_recipe(sample_recipe), resume=False)
    walks, pictures = make_walks(episodes=8), stages.walks("train")
    assert pictures.starts.tolist() == [0, 4, 8, 12, 16, 20, 24]
    kept = [start + place for start in walks.starts[:6] for place in range(4)]
    assert np.array_equal(pictures.frames, walks.frames[kept])
    assert pictures.actions == tuple("" if number % 4 == 0 else walks.actions[place] for number, place in enumerate(kept))
    assert len(stages.walks("validation")) == 2


@pytest.mark.parametrize("change", ["mot.pack.tokens=20", "mot.segments.max_text_tokens=3"])
def test_samples_that_do_not_fit_end_the_run_before_the_autoencoder_is_trained(sample_recipe: Path, change: str) -> None:
    stages = Stages(read_recipe(sample_recipe, [change]), resume=False)
    with pytest.raises(
        RecordingError,
        match=r"6 samples are damaged, 0 may be skipped \(skip_damaged\); 6 were looked at. The first: .*e0/0-3.*e2/0-3",
    ):
        stages.autoencoder()
    assert not (sample_recipe.parent / "run" / "autoencoder").exists()


def test_one_sample_that_does_not_fit_is_found_among_all_whatever_is_trained(sample_recipe: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(sample_recipe.read_text())
    folder = Path(settings["samples"][0]["folder"])
    long = list(SampleFolder(folder, split="train"))[-1]
    words = TextPart(text="Look left and then right. " * 40, role="caption")
    write_samples(folder, [long.model_copy(update={"sample_id": "endless", "parts": (words, *long.parts)})], append=True)
    again = ["autoencoder_from=bagel_world/assets/nano", "preset=nano"]
    for changes in ([], again):
        stages = Stages(read_recipe(sample_recipe, [f"run={tmp_path / str(len(changes))}", *changes]), resume=False)
        with pytest.raises(RecordingError, match=r"1 samples are damaged, 0 may be skipped .*'endless'"):
            stages.autoencoder()
    allowed = read_recipe(sample_recipe, [f"run={tmp_path / 'allowed'}", "skip_damaged=1", *again])
    assert Stages(allowed, resume=False).autoencoder() is not None


def test_what_is_exported_later_is_what_was_learned_last(recipe: Path) -> None:
    stages = Stages(read_recipe(recipe, ["mot.save_every=1000"]), resume=False)
    vae, tokenizer = stages.autoencoder(), stages.tokenizer()
    trained = dict(stages.mot(vae, tokenizer).named_parameters())
    later = Stages(read_recipe(recipe, ["mot.save_every=1000"]), resume=True).averaged()
    for name, parameter in later.bagel.named_parameters():
        assert torch.equal(parameter, trained[name]), name


def test_windows_computed_part_by_part_teach_what_they_teach_together(recipe: Path) -> None:
    changes = ["workers=1", "mot.batch=4", "mot.text_weight=0.25", "mot.walk={frames: 3, predict_actions: true}"]
    changes += ["mot.optimizer={matrix_rate: 0.0, rate: 1.0e-3, warmup_steps: 1}"]
    stages = Stages(read_recipe(recipe, changes), resume=False)
    vae, tokenizer = stages.autoencoder(), stages.tokenizer()
    learned, figures = [], []
    for parts in (1, 2, 4):
        again = [*changes, f"mot.accumulate={parts}", f"run={recipe.parent / str(parts)}"]
        stages = Stages(read_recipe(recipe, again), resume=False)
        trainer = stages.trainer(stages.fresh_model().to(torch.float64), vae, tokenizer)
        assert len(trainer._feed.slices(0)) == parts
        figures.append(trainer.train())
        learned.append(dict(trainer.bagel.named_parameters()))
    for other, measured in zip(learned[1:], figures[1:], strict=True):
        assert measured == pytest.approx(figures[0], abs=1e-7)
        for name, parameter in learned[0].items():
            torch.testing.assert_close(other[name], parameter, rtol=0, atol=1e-7, msg=name)


@pytest.mark.parametrize(("batch", "count"), [(2, 4), (6, 4), (1, 2)])
def test_windows_that_parts_do_not_share_equally_end_the_run_before_the_autoencoder_is_trained(
    recipe: Path, batch: int, count: int
) -> None:
    stages = Stages(read_recipe(recipe, [f"mot.batch={batch}", "mot.accumulate=2"]), resume=False)
    said = rf"in 2 parts each \(mot\.accumulate\), got {batch}\. Set it to a multiple of {count}"
    with pytest.raises(TrainingError, match=said):
        stages.autoencoder()
    assert not (recipe.parent / "run" / "autoencoder").exists()


def test_every_process_computes_its_windows_part_by_part(recipe: Path) -> None:
    stages = Stages(read_recipe(recipe, ["mot.batch=12", "mot.accumulate=2"]), resume=False)
    assert stages._walk_slices() == 4
    stages.ranks = Ranks(rank=1, count=3, device=torch.device("cpu"))
    assert stages._walk_slices() == 6


def test_walks_that_are_too_short_end_the_run_before_the_autoencoder_is_trained(recipe: Path) -> None:
    stages = Stages(read_recipe(recipe, ["mot.walk.frames=7"]), resume=False)
    with pytest.raises(TrainingError, match="at least 7 frames, the longest has 6"):
        stages.autoencoder()
    assert not (recipe.parent / "run" / "autoencoder").exists()


def test_an_autoencoder_of_another_shape_is_refused(recipe: Path) -> None:
    Stages(read_recipe(recipe), resume=False).autoencoder()
    with pytest.raises(TrainingError, match=r"Expected an autoencoder of this recipe's shape in .*ae\.safetensors"):
        Stages(read_recipe(recipe, ["preset=nano"]), resume=True).autoencoder()


def test_episodes_are_no_samples(recipe: Path) -> None:
    settings = yaml.safe_load(recipe.read_text())
    settings["samples"] = [{"folder": settings["train"]}]
    recipe.write_text(yaml.safe_dump(settings))
    with pytest.raises(RecordingError, match=r"found recorded episodes.*train and validation"):
        Stages(read_recipe(recipe), resume=False).autoencoder()


def test_a_tokenizer_knows_the_words_of_the_samples(sample_recipe: Path) -> None:
    config = read_recipe(sample_recipe, ["action_words=[Wait]"])
    tokenizer = Stages(config, resume=False).tokenizer()
    assert len(tokenizer.base.encode("Look left")) == 2
    assert len(tokenizer.base.encode("Fetch cubes")) > 2


def test_samples_need_something_to_be_measured_on(sample_recipe: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(sample_recipe.read_text())
    found = SampleFolder(tmp_path / "samples", split="train")
    write_samples(tmp_path / "alone", found[:])
    settings["samples"] = [{"folder": str(tmp_path / "alone")}]
    sample_recipe.write_text(yaml.safe_dump(settings))
    with pytest.raises(TrainingError, match=r"split 'validation' to measure on\. Name some as validation_samples"):
        Stages(read_recipe(sample_recipe), resume=False).sources("validation")
    settings["validation_samples"] = [{"folder": str(tmp_path / "samples")}]
    sample_recipe.write_text(yaml.safe_dump(settings))
    (source,) = Stages(read_recipe(sample_recipe), resume=True).sources("validation")
    assert source.open().count == 2


LORA = "mot.lora={rank: 2, alpha: 4, dropout: 0.2, experts: [generate], targets: [q, down]}"


@pytest.fixture
def tuning(recipe: Path) -> Path:
    """A recipe that starts from a checkpoint of the same walks."""
    assert _run(recipe, "mot.steps=2", "mot.preview_every=100") == 0
    settings = yaml.safe_load(recipe.read_text())
    del settings["preset"]
    settings |= {"start_from": str(recipe.parent / "run" / "checkpoint"), "run": str(recipe.parent / "tuned")}
    settings["mot"]["optimizer"] = {"warmup_steps": 1, "rate": 0.05}
    path = recipe.parent / "tune.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_low_rank_updates_are_kept_alone_and_merged_into_what_is_exported(tuning: Path) -> None:
    folder = tuning.parent
    assert _run(tuning, LORA, "mot.steps=3", "mot.preview_every=3") == 0
    first, tuned = (load(folder / name / "checkpoint") for name in ("run", "tuned"))
    pairs = zip(first.bagel.named_parameters(), tuned.bagel.named_parameters(), strict=True)
    moved = {name.split(".", 3)[-1] for (name, one), (_, other) in pairs if not torch.equal(one, other)}
    assert moved == {"generate.q.weight", "generate.down.weight"}
    alone = load(folder / "run" / "checkpoint")
    load_lora(alone.bagel, folder / "tuned" / "adapter").merge()
    # What is exported was rounded to bfloat16 once more.
    for (name, one), (_, other) in zip(alone.bagel.named_parameters(), tuned.bagel.named_parameters(), strict=True):
        assert torch.equal(one.bfloat16(), other.bfloat16()), name


def test_a_resumed_tuning_equals_one_never_stopped(tuning: Path) -> None:
    runs = []
    for name, steps in (("whole", (4,)), ("parted", (2, 4))):
        for count in steps:
            config = read_recipe(
                tuning, [LORA, f"mot.steps={count}", "mot.optimizer.schedule=constant", f"run={tuning.parent / name}"]
            )
            stages = Stages(config, resume=True)
            trainer = stages.trainer(stages.fresh_model(), stages.autoencoder(), stages.tokenizer())
            trainer.resume()
            trainer.ema.decay = 0.5
            while trainer.step < count:
                trainer.train()
                trainer.ema.swap()  # back to the live weights, which is what a state holds
        assert trainer.lora is not None
        runs.append({key: value.clone() for key, value in trainer.lora.state_dict().items()})
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
    assert any(value.abs().max() > 0 for key, value in runs[0].items() if key.endswith(".b"))


def test_low_rank_updates_need_a_checkpoint_to_start_from(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"mot\.lora updates weights.*start_from"):
        read_recipe(recipe, [LORA])
    with pytest.raises(ConfigError, match="Leave out trains, or lora"):
        read_recipe(recipe, [LORA, "mot.trains=[generate]"])


DECODER = {"steps": 3, "batch": 4, "windows": 3, "context": 2, "ahead": 1, "validation_frames": 2, "save_every": 2}


@pytest.fixture
def painting(recipe: Path) -> Path:
    """The recipe with a decoder that learns what is imagined."""
    settings = yaml.safe_load(recipe.read_text())
    settings["mot"]["steps"] = 2
    settings["decoder"] = DECODER
    settings["world"] |= {"sampling": {"default": {"evaluations": 1}}, "context": {"see": "latents"}}
    recipe.write_text(yaml.safe_dump(settings))
    return recipe


def test_the_decoder_learns_last_and_once(painting: Path) -> None:
    assert _run(painting) == 0
    run = painting.parent / "run"
    (folder,) = (run / "decoder").iterdir()
    before, after = load_file(run / "ae.safetensors"), load_file(folder / "ae.safetensors")
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder"}
    exported = dict(load(run / "checkpoint").vae.named_parameters())
    assert all(torch.equal(exported[name], value) for name, value in after.items())
    log = (folder / "log.jsonl").read_text()
    assert _run(painting, resume=True) == 0
    assert (folder / "log.jsonl").read_text() == log
    averaged = Stages(read_recipe(painting), resume=True).averaged()
    assert all(torch.equal(value, after[name]) for name, value in averaged.vae.named_parameters())


def test_what_imagines_or_learns_otherwise_has_another_decoder(painting: Path) -> None:
    for changes in (
        [],
        ["decoder.validate_every=1", "decoder.keep_states=1"],
        ["decoder.steps=2"],
        ["mot.steps=3"],
        ["world.sampling.default.evaluations=2"],
    ):
        assert _run(painting, *changes, resume=True) == 0
    assert len(list((painting.parent / "run" / "decoder").iterdir())) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["world.capabilities.imagine=false", "world.capabilities.write=true"], "capabilities.imagine is false"),
        (["decoder.context=11"], "at least 12 frames"),
        (["decoder.batch=3", "decoder.encoded_share=0.34"], "that 2 workers can share equally, got 3"),
        (["world.transforms.vae={min_side: 64, max_side: 64, stride: 16}"], "resizes those of 32 x 32"),
    ],
)
def test_a_decoder_that_cannot_be_taught_is_refused_before_anything_is_trained(
    painting: Path, changes: list[str], said: str
) -> None:
    with pytest.raises(TrainingError, match=said):
        Stages(read_recipe(painting, changes), resume=False).autoencoder()
    assert not (painting.parent / "run" / "autoencoder").exists()


def test_what_is_imagined_for_the_decoder_is_what_the_world_imagines(painting: Path) -> None:
    from bagel_world.images import to_frame
    from bagel_world.world.imagining import imagine_on
    from bagel_world.world.simulator import BagelWorld

    assert _run(painting) == 0
    checkpoint, walks = load(painting.parent / "run" / "checkpoint"), make_walks()
    world = BagelWorld(checkpoint)
    frames = np.stack([walks.frames[start : start + 2] for start in (0, 7)])
    words = [["Look left", "Stay", "Look right"], ["Stay", "Look right", "Move forward"]]
    latents = imagine_on(checkpoint, frames, words, [[3, 4], [5, 6]])
    contexts = [world.observe(each[0]).say(said[0]).observe(each[1]) for each, said in zip(frames, words, strict=True)]
    for step in range(2):
        contexts = [context.say(said[1 + step]) for context, said in zip(contexts, words, strict=True)]
        contexts = world.advance(contexts, seeds=[[3, 5], [4, 6]][step])
        with torch.no_grad():
            painted = to_frame(checkpoint.vae.decode(latents[:, step]).numpy())
        assert np.array_equal(painted, np.stack([context.frames[-1] for context in contexts]))


def test_a_world_without_a_default_sampling_has_a_decoder_too(painting: Path) -> None:
    stages = Stages(read_recipe(painting, ["world.sampling={}"]), resume=False)
    assert "default" not in stages.shape.world.sampling
    folder = stages._decoder_folder(stages.config.decoder, stages.fresh_model(), stages.autoencoder())
    assert folder.parent == painting.parent / "run" / "decoder"

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from bagel_world.errors import ConfigError
from bagel_world.evaluation.report import Row
from bagel_world.evaluation.speed import PARTS, QUICK, REST, Bench, SpeedConfig
from bagel_world.evaluation.subject import Subject
from bagel_world.model.checkpoint import build, save
from bagel_world.model.config import preset
from bagel_world.model.tokenizer import Tokenizer

BRIEF = SpeedConfig(warm_up=2, steps=5, batches=(1, 3), histories=(1, 4), episodes=2, profiled=1, repeats=2, products=(16, 32))


def ticking(milliseconds: float = 1.0) -> Bench:
    """A benchmark of FakeWorld whose clock goes on by so much whenever somebody looks at it."""
    ticks = count()
    return Bench(Subject.load("fake"), BRIEF, clock=lambda: next(ticks) * milliseconds / 1000)


def by_name(rows: list[Row], metric: str) -> dict[str, Row]:
    return {row.name: row for row in rows if row.metric == metric}


def test_steps_are_counted_per_environment_without_warm_up_and_reset() -> None:
    rows = list(ticking(milliseconds=2.0).rows())
    rates = by_name(rows, "env_steps_per_second")
    assert {name: row.value for name, row in rates.items()} == pytest.approx(
        {
            "one environment, median step": 500.0,
            "one environment, mean over all steps": 500.0,
            "3 in a batch, median step": 1500.0,
            "3 in a batch, mean over all steps": 1500.0,
        }
    )
    assert {row.n for row in rates.values()} == {BRIEF.steps - BRIEF.warm_up}
    assert {name: row.value for name, row in by_name(rows, "ms_by_history").items()} == pytest.approx(
        {"step 1 of an episode": 2.0, "step 4 of an episode": 2.0}
    )
    assert {row.n for row in by_name(rows, "ms_by_history").values()} == {BRIEF.episodes}


def test_a_world_without_a_model_has_rows_of_the_environment_only() -> None:
    assert {row.metric for row in ticking().rows()} == {
        "env_steps_per_second",
        "ms_per_batch_step",
        "ms_by_history",
        "ms_restore",
    }


def test_the_defaults_are_the_definitions_of_the_documentation() -> None:
    config = SpeedConfig()
    assert (config.warm_up, config.steps) == (20, 200)
    assert (config.histories, config.batches) == ((1, 8, 64), (1, 4, 16))
    assert QUICK.steps < 20


@pytest.fixture(scope="module")
def tiny(golden_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights, for frames of 32 x 32."""
    folder = tmp_path_factory.mktemp("tiny")
    config = preset("tiny")
    own = {
        "capabilities": {"write": False, "vit": False},
        "sampling": {"default": {"evaluations": 2}},
        "context": {"see": "latents"},
    }
    world = type(config.world).model_validate({**config.world.model_dump(mode="json"), **own})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bagel, vae = build(config, "cpu")
    tokenizer = Tokenizer.from_folder(golden_dir / "tiny")
    save(folder, config=config.model_copy(update={"world": world}), bagel=bagel, vae=vae, tokenizer=tokenizer)
    return folder


def test_the_parts_of_a_step_are_all_of_it(tiny: Path) -> None:
    bench = Bench(Subject.load(str(tiny), device="cpu"), BRIEF, device="cpu")
    rows = list(bench.split_rows())
    milliseconds = {name: row.value for name, row in by_name(rows, "ms_of_a_step").items()}
    assert list(milliseconds) == ["whole step", *PARTS, REST]
    assert min(milliseconds.values()) > 0
    shares = by_name(rows, "share_of_a_step")
    assert sum(shares[part].value for part in (*PARTS, REST)) == pytest.approx(1.0, abs=0.3)
    assert 0 < shares["outside torch operators (profiler, upper estimate)"].value < 1
    # The watched model is as before.
    assert not {"encode", "decode"} & vars(bench.checkpoint.vae).keys()
    assert not {"hidden", "velocity"} & vars(bench.checkpoint.bagel).keys()


def test_work_is_counted_and_held_against_the_best_product(tiny: Path) -> None:
    bench = Bench(Subject.load(str(tiny), device="cpu"), BRIEF, device="cpu")
    rows = list(bench.efficiency_rows())
    work = by_name(rows, "gflop_of_a_step")["one environment, matrix products and convolutions"].value
    # Two evaluations over the four latent tokens of a frame cost this much in the matrices of one expert alone.
    named = bench.checkpoint.bagel.named_parameters()
    matrices = sum(each.numel() for name, each in named if "layers" in name and "generate" in name and each.ndim == 2)
    assert work >= 2 * 4 * 2 * matrices / 1e9
    rates = by_name(rows, "gflop_per_second")
    fraction = by_name(rows, "fraction_of_peak")["one environment"].value
    assert fraction == pytest.approx(rates["one environment"].value / rates["fp32 matrix product, best size"].value)


def test_the_bare_model_is_replayed_at_both_batches(tiny: Path) -> None:
    rows = list(Bench(Subject.load(str(tiny), device="cpu"), BRIEF, device="cpu").bare_rows())
    bare = [row.value for row in rows if row.metric == "ms_of_the_bare_model"]
    gains = by_name(rows, "gain_of_a_batch")
    assert list(gains) == ["bare model, 8 over 8 single ones", "branch, 8 over 8 single ones"]
    assert gains["bare model, 8 over 8 single ones"].value == pytest.approx(8 * bare[0] / bare[1])


def test_the_autoencoder_s_own_picture_keeps_shape_and_batch(tiny: Path) -> None:
    subject = Subject.load(str(tiny), device="cpu")
    frames = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    whole = subject.reconstruct(frames)
    assert whole is not None
    assert (whole.shape, whole.dtype) == (frames.shape, np.uint8)
    one = subject.reconstruct(frames[33:34])
    assert one is not None
    assert np.abs(one[0].astype(int) - whole[33]).max() <= 1
    assert Subject.load("fake").reconstruct(frames) is None
    with pytest.raises(ConfigError, match="32 x 32"):
        subject.check_footage(np.zeros((4, 64, 64, 3), np.uint8))

"""Low-rank updates: nothing at first, nothing but themselves learned, and the same model after merging."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from bagel_world.errors import ConfigError, TrainingError
from bagel_world.model import checkpoint
from bagel_world.model.bagel import Bagel
from bagel_world.model.packing import LatentSegment, Packed, PackingRules, TextSegment, VitSegment, pack
from bagel_world.training.ema import Ema
from bagel_world.training.fingerprint import base_fingerprint
from bagel_world.training.lora import ExpertName, Lora, LoraConfig, add_lora
from bagel_world.training.optim import Optimizer, OptimizerConfig
from tests.model.folder import byte_tokenizer
from tests.model.tiny import randomize
from tests.training.walks import make_config, make_vae

CONFIG = LoraConfig(rank=4, alpha=8)
SHAPE = make_config()
RULES = PackingRules(
    start_of_image=3,
    end_of_image=7,
    vit_patch=SHAPE.vit_config.patch_size,
    vit_side=SHAPE.vit_max_num_patch_per_side,
    latent_side=SHAPE.max_latent_size,
)


def make_bagel(dtype: torch.dtype = torch.float32, seed: int = 0) -> Bagel:
    """A tiny model whose every part speaks."""
    bagel = Bagel(SHAPE)
    randomize(bagel, seed, spread=0.15)
    return bagel.to(dtype)


def make_pack(*, latents: bool = True) -> Packed:
    """A clean picture, what the ViT sees, words, and a picture to be painted; or all but the pictures."""
    generator = torch.Generator().manual_seed(5)
    patch = SHAPE.vit_config.patch_size
    tokens = torch.randn(4, SHAPE.latent_size, generator=generator)
    pixels = torch.rand(3, 2 * patch, patch, generator=generator) * 2 - 1
    text = TextSegment(ids=(1, 5, 9, 2), loss=True)
    if not latents:
        return pack([[VitSegment(pixels=pixels), text]], RULES)
    noised = LatentSegment(tokens=tokens[:2], grid=(1, 2), timestep=0.75, noised=True)
    return pack([[LatentSegment(tokens=tokens, grid=(2, 2)), VitSegment(pixels=pixels), text, noised]], RULES)


@torch.no_grad()
def outputs(bagel: Bagel, packed: Packed | None = None) -> tuple[Tensor, Tensor]:
    """Velocities, and hidden states of both streams."""
    hidden = bagel.hidden(make_pack() if packed is None else packed)
    return bagel.latent_out(hidden.generate), hidden.joined()


def velocities(bagel: Bagel) -> Tensor:
    return outputs(bagel)[0]


def make_lora(bagel: Bagel, config: LoraConfig = CONFIG, *, trained: bool = True, seed: int = 1) -> Lora:
    """Updates; `trained` ones have a B that is not zero."""
    generator = torch.Generator().manual_seed(seed)
    lora = add_lora(bagel, config, generator)
    if trained:
        with torch.no_grad():
            for _, update in lora.updates():
                update.b.normal_(0, 0.1, generator=generator)
    return lora


def loss_of(bagel: Bagel) -> Tensor:
    """Both losses of a pack whose velocities are asked to be one."""
    packed = make_pack()
    hidden = bagel.hidden(packed)
    found = bagel.latent_out(hidden.generate)[packed.noised].float()
    words = F.cross_entropy(bagel.logits(hidden.understand[packed.label_places]).float(), packed.labels)
    return F.mse_loss(found, torch.ones_like(found)) + 0.1 * words


def copies(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def distance(found: Tensor, wanted: Tensor) -> float:
    return float((found.float() - wanted.float()).norm() / wanted.float().norm())


# --- at first


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fresh_updates_change_no_bit_and_are_float32(dtype: torch.dtype) -> None:
    bagel = make_bagel(dtype)
    before, states = velocities(bagel), copies(bagel)
    lora = make_lora(bagel, trained=False)
    assert torch.equal(velocities(bagel), before)
    assert same(copies(bagel), states), "names, order and values of the model's own tensors"
    assert {parameter.dtype for parameter in lora.parameters()} == {torch.float32}
    assert all(update.a.count_nonzero() == update.a.numel() for _, update in lora.updates())


def test_an_update_is_alpha_over_rank_times_b_times_a() -> None:
    bagel = make_bagel()
    base = bagel.mot.layers[1].get_submodule("generate.gate")
    lora = make_lora(bagel)
    x = torch.randn(3, SHAPE.llm_config.hidden_size, generator=torch.Generator().manual_seed(3))
    update = dict(lora.updates())["mot.layers.1.generate.gate"]
    expected = base(x) + 8 / 4 * (x @ update.a.T @ update.b.T)
    torch.testing.assert_close(bagel.mot.layers[1].get_submodule("generate.gate")(x), expected)


def test_a_is_the_generators_alone() -> None:
    one, other, third = (make_lora(make_bagel(), trained=False, seed=seed) for seed in (1, 1, 2))
    assert same(copies(one), copies(other))
    assert not same(copies(one), copies(third))


# --- which layers


def test_every_linear_layer_of_both_experts_is_taken_by_default() -> None:
    lora = make_lora(make_bagel())
    assert [name for name, _ in lora.updates()] == [
        f"mot.layers.{layer}.{expert}.{target}"
        for layer in range(SHAPE.llm_config.num_hidden_layers)
        for expert in ("understand", "generate")
        for target in ("q", "k", "v", "o", "gate", "up", "down")
    ]


def test_an_update_of_the_generation_expert_leaves_packs_without_latents_alone() -> None:
    text, both = make_pack(latents=False), make_pack()
    cases: tuple[tuple[ExpertName, bool], ...] = (("generate", False), ("understand", True))
    for expert, text_changes in cases:
        bagel = make_bagel()
        before = outputs(bagel, text)[1], outputs(bagel, both)[0]
        make_lora(bagel, LoraConfig(rank=2, alpha=2, experts=(expert,), targets=("v",)))
        assert torch.equal(outputs(bagel, text)[1], before[0]) is not text_changes
        assert not torch.equal(outputs(bagel, both)[0], before[1]), "velocities attend to both experts' tokens"


def test_chosen_targets_are_the_only_ones() -> None:
    bagel = make_bagel()
    lora = make_lora(bagel, LoraConfig(rank=2, alpha=2, experts=("generate",), targets=("o", "q")))
    before = copies(bagel)
    lora.merge()
    changed = {name for name, value in bagel.state_dict().items() if not torch.equal(value, before[name])}
    layers = range(SHAPE.llm_config.num_hidden_layers)
    assert changed == {f"mot.layers.{layer}.generate.{target}.weight" for layer in layers for target in ("q", "o")}


# --- learning


def test_only_updates_get_gradients() -> None:
    bagel = make_bagel()
    lora = make_lora(bagel)
    loss_of(bagel).backward()
    assert all(parameter.grad is None for parameter in bagel.parameters())
    for name, parameter in lora.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.count_nonzero() > 0, name


def test_removing_gives_the_model_back() -> None:
    bagel = make_bagel()
    learning = {name for name, parameter in bagel.named_parameters() if parameter.requires_grad}
    before, states, parameters = velocities(bagel), copies(bagel), dict(bagel.named_parameters())
    lora = make_lora(bagel)
    assert not torch.equal(velocities(bagel), before)
    bagel.eval()
    lora.remove()
    assert torch.equal(velocities(bagel), before)
    assert same(copies(bagel), states)
    assert all(parameter is parameters[name] for name, parameter in bagel.named_parameters())
    assert {name for name, parameter in bagel.named_parameters() if parameter.requires_grad} == learning
    assert {type(module) for module in bagel.modules()} == {type(module) for module in make_bagel().modules()}
    assert not any(module.training for module in bagel.modules())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_short_training_lowers_the_loss_and_moves_no_base_weight(dtype: torch.dtype) -> None:
    bagel = make_bagel(dtype)
    before = copies(bagel)
    lora = make_lora(bagel, LoraConfig(rank=4, alpha=8, dropout=0.1), trained=False)
    named = dict(lora.named_parameters())
    optimizer = Optimizer(named, set(), OptimizerConfig(rate=1e-2))
    ema = Ema(lora, 0.5)

    def measured() -> float:
        lora.drop(None)
        with torch.no_grad():
            return float(loss_of(bagel))

    first = measured()
    for step in range(30):
        lora.drop(torch.Generator().manual_seed(step))
        loss_of(bagel).backward()
        optimizer.step(1.0)
        ema.update()
    assert measured() < 0.3 * first
    ema.swap()
    assert measured() < 0.3 * first, "the averaged updates"
    assert same(copies(bagel), before)


# --- dropout


def test_dropped_inputs_are_missed_by_the_update_alone() -> None:
    bagel = make_bagel()
    config = LoraConfig(rank=2, alpha=2, dropout=0.5, experts=("generate",), targets=("q",))
    base = bagel.mot.layers[0].get_submodule("generate.q")
    lora = make_lora(bagel, config)
    layer, update = bagel.mot.layers[0].get_submodule("generate.q"), dict(lora.updates())["mot.layers.0.generate.q"]
    one = torch.eye(SHAPE.llm_config.hidden_size)
    whole = layer(one) - base(one)
    torch.testing.assert_close(whole, update.matrix().T, atol=1e-6, rtol=1e-5)
    lora.drop(torch.Generator().manual_seed(0))
    part = layer(one) - base(one)
    missed = torch.tensor([row.count_nonzero() == 0 for row in part])
    assert 0.2 < missed.float().mean() < 0.8
    torch.testing.assert_close(part[~missed], 2 * whole[~missed], atol=1e-5, rtol=1e-4)


def test_what_is_dropped_is_the_generators_alone_and_none_drops_nothing() -> None:
    bagel = make_bagel()
    before = velocities(bagel)
    lora = make_lora(bagel, LoraConfig(rank=4, alpha=8, dropout=0.3))
    whole = velocities(bagel)
    found = []
    for seed in (1, 2, 1):
        lora.drop(torch.Generator().manual_seed(seed))
        found.append(velocities(bagel))
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
    lora.drop(None)
    assert torch.equal(velocities(bagel), whole)
    assert not torch.equal(whole, before)


# --- merging


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_merged_equals_unmerged_up_to_rounding(dtype: torch.dtype, tolerance: float) -> None:
    bagel = make_bagel(dtype)
    before = velocities(bagel)
    lora = make_lora(bagel)
    unmerged = velocities(bagel)
    assert distance(unmerged, before) > 0.1, "or there is nothing to compare"
    lora.merge()
    assert not lora.attached
    assert {type(module) for module in bagel.modules()} == {type(module) for module in make_bagel().modules()}
    assert distance(velocities(bagel), unmerged) < tolerance


def test_merging_into_bfloat16_rounds_once() -> None:
    bagel = make_bagel(torch.bfloat16)
    lora = make_lora(bagel)
    before = copies(bagel)
    expected = {
        f"{name}.weight": (before[f"{name}.weight"].double() + 2 * update.b.double() @ update.a.double()).bfloat16()
        for name, update in lora.updates()
    }
    lora.merge()
    # Float32 sums that lie a hair beside the middle of two bfloat16 numbers may round to the other one.
    differing = sum(int((bagel.state_dict()[name] != value).sum()) for name, value in expected.items())
    assert differing <= 1e-4 * sum(value.numel() for value in expected.values())


def test_a_merged_model_is_exported_and_loaded_strictly(tmp_path: Path) -> None:
    bagel = make_bagel()
    make_lora(bagel).merge()
    checkpoint.save(tmp_path, config=SHAPE, bagel=bagel, vae=make_vae(), tokenizer=byte_tokenizer())
    loaded = checkpoint.load(tmp_path).bagel
    assert same({name: value.bfloat16().float() for name, value in copies(bagel).items()}, copies(loaded))


def test_what_is_off_cannot_come_off_again() -> None:
    bagel = make_bagel()
    lora = make_lora(bagel)
    lora.merge()
    merged = copies(bagel)
    for again in (lora.merge, lora.remove):
        with pytest.raises(TrainingError, match=r"merged or removed.*add_lora"):
            again()
    assert same(copies(bagel), merged)


def test_numbers_that_are_not_finite_are_never_merged() -> None:
    bagel = make_bagel()
    before = copies(bagel)
    lora = make_lora(bagel)
    with torch.no_grad():
        [update for _, update in lora.updates()][-1].b[0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"finite.*layers\.1\.generate\.down\.b"):
        lora.merge()
    assert same(copies(bagel), before)


# --- bad settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rank": 0}, "rank"),
        ({"alpha": -1}, "alpha"),
        ({"alpha": float("inf")}, "alpha"),
        ({"dropout": 1.0}, "dropout"),
        ({"experts": ("paint",)}, "'understand' or 'generate'"),
        ({"experts": ()}, "at least 1 item"),
        ({"targets": ("q", "q")}, "expected every name once"),
        ({"targets": ("q_proj",)}, "'gate'"),
        ({"ranks": 3}, "ranks"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LoraConfig.model_validate({"rank": 4, "alpha": 8, **settings})


def test_a_rank_larger_than_a_layer_is_refused_and_changes_nothing() -> None:
    bagel = make_bagel()
    with pytest.raises(ConfigError, match=r"at most \d+ for 'q' of 'understand'.*got 4096\. Lower the rank"):
        make_lora(bagel, LoraConfig(rank=4096, alpha=1))
    assert {type(module) for module in bagel.modules()} == {type(module) for module in make_bagel().modules()}
    assert any(parameter.requires_grad for parameter in bagel.parameters())


def test_a_second_adapter_is_refused_while_one_is_on() -> None:
    bagel = make_bagel()
    first = make_lora(bagel)
    with pytest.raises(ConfigError, match="carries one already"):
        make_lora(bagel)
    first.remove()
    make_lora(bagel)


def test_the_fingerprint_is_that_of_the_base_before_and_after_training() -> None:
    bagel = make_bagel()
    fresh = base_fingerprint(bagel)
    lora = make_lora(bagel)
    assert lora.base == fresh == base_fingerprint(bagel)
    lora.merge()
    assert lora.base == fresh != base_fingerprint(bagel)


# --- compiled


COMPILED = """
import torch
from tests.training.test_lora import distance, make_bagel, make_lora, make_pack, velocities

bagel = make_bagel()
bagel.mot.compile(dynamic=True, backend="aot_eager")
base = velocities(bagel)
lora = make_lora(bagel)
found = velocities(bagel)
with torch.compiler.set_stance("force_eager"):
    wanted = velocities(bagel)
assert distance(wanted, base) > 0.1, "the update is there"
assert distance(found, wanted) < 1e-5, "compiled code computes it"
bagel.velocity(make_pack()).square().mean().backward()
assert all(parameter.grad is not None for name, parameter in lora.named_parameters() if ".generate." in name)
lora.merge()
assert distance(velocities(bagel), wanted) < 1e-5, "once, not twice"
"""


@pytest.mark.slow
def test_compiled_layers_notice_that_updates_come_and_go() -> None:
    """In a process of its own: compilers cannot see through the shape checks of the tests."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr

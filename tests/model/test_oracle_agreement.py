"""The fast path equals the slow one: on random tiny models, every number, in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bagel_world.model import flow
from bagel_world.model.attention import allowed
from bagel_world.model.checkpoint import published_parameters
from bagel_world.model.config import VaeConfig
from bagel_world.model.layers import position_table, timestep_sinusoid
from bagel_world.model.packing import from_tokens, to_patches, to_tokens
from bagel_world.model.vae import Vae
from tests import oracle
from tests.model.runs import close, convert, one_by_one, pack, whole
from tests.model.tiny import CONTEXT_KINDS, SHAPES, TIMES, Draft, Model, few, models, randomize, samples
from tests.oracle import Latent, Segment, Token


def _built(model: Model, drafts: list[list[Draft]]) -> list[list[Segment]]:
    return [[draft.build(model.config) for draft in sample] for sample in drafts]


@few
@given(models, samples())
def test_a_pack_of_samples_equals_the_oracle_on_each(model: Model, drafts: list[list[Draft]]) -> None:
    batch = _built(model, drafts)
    for segments, hidden in zip(batch, whole(model, batch), strict=True):
        close(hidden, oracle.forward(model.weights, model.sizes, segments).hidden)


@few
@given(models, samples(most=1, kinds=CONTEXT_KINDS))
def test_a_context_grown_in_a_cache_equals_the_oracle_on_the_whole(model: Model, drafts: list[list[Draft]]) -> None:
    (segments,) = _built(model, drafts)
    (cache, position), hidden = one_by_one(model, segments)
    trace = oracle.forward(model.weights, model.sizes, segments)
    close(hidden, trace.hidden)
    for ours, theirs in zip(cache.tensors(), (trace.keys, trace.values), strict=True):
        close(ours, torch.stack(theirs))
    probe = oracle.lay_out(model.weights, model.sizes, [*segments, oracle.Text(ids=[0])])
    assert position == probe[-1].position


@few
@given(models, samples(most=2), SHAPES, TIMES)
def test_velocities_equal_the_oracle(model: Model, drafts: list[list[Draft]], shape: tuple[int, int], time: float) -> None:
    image = Draft(kind="noised", shape=shape, time=time, seed=9).build(model.config)
    assert isinstance(image, Latent)
    batch = [[*segments, image] for segments in _built(model, drafts)]
    packed = pack(model, batch)
    with torch.no_grad():
        found = list(packed.in_sequence(model.bagel.latent_out(model.bagel.hidden(packed).joined())).split(packed.lengths))
        velocity = model.bagel.velocity(packed)
    assert len(velocity) == sum(len(each.tokens) for segments in batch for each in segments if isinstance(each, Latent))
    for segments, states in zip(batch, found, strict=True):
        wanted = oracle.velocity(model.weights, model.sizes, segments[:-1], image.tokens, image.grid, time)
        close(states[-len(image.tokens) - 1 : -1], wanted)


@few
@given(models, samples(), st.booleans())
def test_losses_and_gradients_equal_the_oracle(model: Model, drafts: list[list[Draft]], frozen: bool) -> None:
    noised, text = Draft(kind="noised", shape=(1, 2), time=0.625, seed=4), Draft(kind="text", shape=(1, 3), seed=5, loss=True)
    batch = _built(model, [*drafts, [text, noised]])
    packed = pack(model, batch)
    streams = model.bagel.hidden(packed, frozen=frozen)
    text_losses = torch.nn.functional.cross_entropy(
        model.bagel.logits(streams.understand[packed.label_places]), packed.labels, reduction="none"
    )
    target = torch.linspace(-1, 1, int(packed.noised.sum()) * model.config.latent_size, dtype=torch.float64).reshape(
        -1, model.config.latent_size
    )
    flow_losses = (model.bagel.latent_out(streams.generate)[packed.noised] - target).square()
    (text_losses.sum() + flow_losses.sum()).backward()

    weights = {name: value.clone().requires_grad_("pos_embed" not in name) for name, value in model.weights.items()}
    wanted_text, wanted_flow = [], []
    targets = iter(
        target.split([len(each.tokens) for segments in batch for each in segments if isinstance(each, Latent) and each.noised])
    )
    for segments in batch:
        trace = oracle.forward(weights, model.sizes, segments, freeze_understanding=frozen)
        wanted_text += oracle.text_losses(weights, trace)
        for place, segment in enumerate(segments):
            if isinstance(segment, Latent) and segment.noised:
                aim = next(targets)
                wanted_flow.append(oracle.flow_losses(weights, trace, place, torch.zeros_like(aim), aim))
    (torch.stack(wanted_text).sum() + torch.cat(wanted_flow).sum()).backward()
    close(text_losses.detach(), torch.stack(wanted_text).detach())
    close(flow_losses.detach(), torch.cat(wanted_flow).detach())
    for name, parameter in published_parameters(model.bagel).items():
        wanted = weights[name].grad
        if parameter.grad is None or wanted is None:
            assert parameter.grad is None or not parameter.grad.any(), name
            assert wanted is None or not wanted.any(), name
        else:
            close(parameter.grad, wanted, atol=2e-5)


@settings(few, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["causal", "full", "noise"])), min_size=1, max_size=6))
def test_the_mask_is_the_rule_asked_pair_by_pair(layout: list[tuple[int, str]]) -> None:
    nothing = torch.zeros(1)
    tokens = [
        Token(embedding=nothing, position=0, generate=False, split=number, mode=mode, segment=number)
        for number, (length, mode) in enumerate(layout)
        for _ in range(length)
    ]
    wanted = [[oracle.sees(tokens, query, key) for key in range(len(tokens))] for query in range(len(tokens))]
    assert allowed(tuple(layout)).tolist() == wanted  # type: ignore[arg-type]


def test_the_mask_of_a_small_sample_by_hand() -> None:
    rows = ["10000000", "11000000", "11110000", "11110000", "11001100", "11001100", "11001110", "11001111"]
    layout = ((2, "causal"), (2, "noise"), (2, "full"), (2, "causal"))
    assert allowed(layout).int().tolist() == [[int(mark) for mark in row] for row in rows]


@pytest.mark.parametrize("renorm", ["global", "channel", "text_channel"])
@pytest.mark.parametrize("least", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("text_scale", "image_scale"), [(1.0, 1.0), (4.0, 1.0), (4.0, 2.0), (1.0, 3.0), (0.5, 1.0), (2.5, 0.5)])
def test_guidance_equals_the_oracle(renorm: str, least: float, text_scale: float, image_scale: float) -> None:
    v, no_text, no_image = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    choices = {"text_scale": text_scale, "image_scale": image_scale, "renorm": renorm, "renorm_min": least}
    found = flow.guide(v, no_text, no_image, **choices)  # type: ignore[arg-type]
    for place in range(2):
        close(found[place], oracle.guide(v[place], no_text[place], no_image[place], **choices), atol=1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize("shift", [1.0, 3.0, 0.5])
@pytest.mark.parametrize("count", [2, 3, 50])
def test_the_time_grid_equals_the_oracle(count: int, shift: float) -> None:
    close(flow.time_grid(count - 1, shift).double(), torch.tensor(oracle.time_grid(count, shift), dtype=torch.float64))


def test_shifted_times_equal_the_oracle() -> None:
    draws = torch.tensor([-torch.inf, -2.0, 0.0, 1.5])
    for shift in (1.0, 3.0):
        wanted = torch.tensor([oracle.shifted_time(float(draw), shift) for draw in draws], dtype=torch.float64)
        close(flow.shift_timestep(draws.sigmoid(), shift).double(), wanted)


def test_small_parts_equal_the_oracle() -> None:
    for side, width in ((3, 8), (5, 20)):
        close(position_table(side, width).double(), oracle.fixed_table(width, side))
    times = [0.0, 0.3, 1.0]
    close(timestep_sinusoid(torch.tensor(times, dtype=torch.float64)), torch.stack([oracle.sinusoid(time) for time in times]))
    latents = torch.arange(3 * 4 * 6, dtype=torch.float64).reshape(3, 4, 6)
    tokens, grid = oracle.pack_latents(latents, 2)
    assert torch.equal(to_tokens(latents, 2), tokens)
    assert torch.equal(from_tokens(tokens, grid, 2), latents)
    assert torch.equal(oracle.unpack_latents(tokens, grid, 2), latents)
    pixels = torch.arange(3 * 4 * 6, dtype=torch.float64).reshape(3, 4, 6)
    assert torch.equal(to_patches(pixels, 2), torch.stack(oracle.cut_patches(pixels, 2)[0]))


@pytest.mark.parametrize(
    ("mult", "blocks", "channels", "size"), [([1, 2], 2, 3, (4, 6)), ([1, 1, 2], 1, 4, (8, 4)), ([1, 2, 1, 2], 1, 2, (8, 16))]
)
def test_the_autoencoder_equals_the_oracle(mult: list[int], blocks: int, channels: int, size: tuple[int, int]) -> None:
    config = VaeConfig(
        ch=32,
        ch_mult=tuple(mult),
        num_res_blocks=blocks,
        z_channels=channels,
        downsample=2 ** (len(mult) - 1),
        scale_factor=0.7,
        shift_factor=0.2,
    )
    vae = Vae(config).double()
    randomize(vae, seed=2, spread=0.1)
    weights = {name: value.detach() for name, value in vae.named_parameters()}
    special = {"<|vision_start|>": 0, "<|vision_end|>": 0}
    llm = {"num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    sizes = oracle.sizes_of({"vae_config": config.model_dump()}, llm, {"num_hidden_layers": 2, "num_attention_heads": 1}, special)
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(2, 3, *size, generator=generator, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        mean, log_variance = vae.moments(pixels)
        noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        latents = vae.encode(pixels, noise)
        decoded, plain = vae.decode(latents), vae.encode(pixels)
    for place in range(2):
        wanted_mean, wanted_log = oracle.vae_moments(weights, sizes, pixels[place])
        close(mean[place], wanted_mean)
        close(log_variance[place], wanted_log)
        close(latents[place], oracle.vae_encode(weights, sizes, pixels[place], noise[place]))
        close(plain[place], oracle.vae_encode(weights, sizes, pixels[place]))
        close(decoded[place], oracle.vae_decode(weights, sizes, latents[place]))


def test_the_oracle_rotates_neighbors_by_the_angle_of_their_distance() -> None:
    """Scores depend on the distance of positions alone, and the first pair turns by one radian per position."""
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 8, generator=generator, dtype=torch.float64)
    scores = [oracle.rotate(query, 5 + far, 100.0) @ oracle.rotate(key, 2 + far, 100.0) for far in (0, 7)]
    assert scores[0].item() == pytest.approx(scores[1].item())
    unit = torch.zeros(8, dtype=torch.float64)
    unit[0] = 1
    turned = oracle.rotate(unit, 1, 100.0)
    assert turned[[0, 4]].tolist() == pytest.approx([torch.tensor(1.0).cos().item(), torch.tensor(1.0).sin().item()])


def test_segments_convert_without_loss() -> None:
    text = convert(oracle.Text(ids=[1, 4, 2], loss=True))
    assert (text.ids, text.loss) == ((1, 4, 2), True)  # type: ignore[union-attr]

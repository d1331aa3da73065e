"""A slow and naive BAGEL in float64, written from the rules and not from the code it checks.

Weights are a plain dict under the published tensor names and sizes are plain numbers, so nothing here depends on the package.
One sample at a time: the whole sequence goes in, token by token, with no cache, no packing and no batching. Who may see whom
is asked for every pair of tokens; every token picks its own expert; every query head gathers its own keys.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

Weights = Mapping[str, Tensor]
LAYER = "language_model.model.layers.{}."
VIT = "vit_model.vision_model."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The numbers that the names and shapes of the tensors do not tell."""

    layers: int
    heads: int
    kv_heads: int
    norm_eps: float
    rope_theta: float
    vit_layers: int
    vit_heads: int
    vit_eps: float
    vit_side: int
    patch: int
    latent_side: int
    latent_patch: int
    latent_channels: int
    levels: int
    level_blocks: int
    scale: float
    shift: float
    start_of_image: int
    end_of_image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Token ids, bos and eos included where they are wanted; with `loss`, every token but the last predicts the next."""

    ids: Sequence[int]
    loss: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vit:
    """An image for the vision transformer: pixels (3, h, w) in [-1, 1]."""

    pixels: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """An image as latent tokens (rows * columns, channels) at one time; a noised one is hidden from all others."""

    tokens: Tensor
    grid: tuple[int, int]
    time: float = 0.0
    noised: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Positions that a dropped image leaves behind."""

    advance: int = 1


Segment = Text | Vit | Latent | Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One place in the sequence."""

    embedding: Tensor
    position: int
    generate: bool
    """Which expert: generation (latents) or understanding (all others)."""
    split: int
    mode: str
    """causal, full or noise."""
    segment: int
    """Which segment of the list it came from; gaps count."""
    label: int | None = None


# Files ---------------------------------------------------------------------------------------------------------------


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Both weight files of a published folder, in float64."""
    tensors = load_file(folder / "ema.safetensors") | load_file(folder / "ae.safetensors")
    return {name: tensor.double() for name, tensor in tensors.items()}


def read_sizes(folder: Path) -> Sizes:
    """The numbers of a published folder; what its files leave out are the constants of the published program."""
    whole = json.loads((folder / "config.json").read_text()) if (folder / "config.json").exists() else {}
    llm = json.loads((folder / "llm_config.json").read_text())
    vit = json.loads((folder / "vit_config.json").read_text())
    tokens = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    return sizes_of(whole, llm, vit, {each["content"]: each["id"] for each in tokens})


def sizes_of(whole: Mapping, llm: Mapping, vit: Mapping, special: Mapping[str, int]) -> Sizes:
    """Sizes from the JSON values of a published folder and the ids of its special tokens."""
    vae = whole.get("vae_config", {})
    return Sizes(
        layers=llm["num_hidden_layers"],
        heads=llm["num_attention_heads"],
        kv_heads=llm["num_key_value_heads"],
        norm_eps=llm.get("rms_norm_eps", 1e-6),
        rope_theta=llm.get("rope_theta", 1e6),
        vit_layers=vit["num_hidden_layers"] - 1,
        vit_heads=vit["num_attention_heads"],
        vit_eps=vit.get("layer_norm_eps", 1e-6),
        vit_side=whole.get("vit_max_num_patch_per_side", 70),
        patch=vit.get("patch_size", 14),
        latent_side=whole.get("max_latent_size", 64),
        latent_patch=whole.get("latent_patch_size", 2),
        latent_channels=vae.get("z_channels", 16),
        levels=len(vae.get("ch_mult", (1, 2, 4, 4))),
        level_blocks=vae.get("num_res_blocks", 2),
        scale=vae.get("scale_factor", 0.3611),
        shift=vae.get("shift_factor", 0.1159),
        start_of_image=special["<|vision_start|>"],
        end_of_image=special["<|vision_end|>"],
    )


# Small parts ---------------------------------------------------------------------------------------------------------


def linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    y = weights[name + ".weight"] @ x
    return y + weights[name + ".bias"] if name + ".bias" in weights else y


def rms_norm(x: Tensor, scale: Tensor, eps: float) -> Tensor:
    return x / torch.sqrt((x * x).mean() + eps) * scale


def layer_norm(weights: Weights, name: str, x: Tensor, eps: float) -> Tensor:
    centered = x - x.mean()
    return centered / torch.sqrt((centered * centered).mean() + eps) * weights[name + ".weight"] + weights[name + ".bias"]


def swish(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def gelu_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def softmax(scores: Tensor) -> Tensor:
    powers = torch.exp(scores - scores.max())
    return powers / powers.sum()


def rotate(x: Tensor, position: int, theta: float) -> Tensor:
    """Rotary embedding in the half-split form: number i is turned together with number i + half."""
    half = len(x) // 2
    angles = position * theta ** (-torch.arange(half, dtype=torch.float64) / half)
    first, second = x[:half], x[half:]
    return torch.cat([first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin()])


def attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """One query head over the keys (n, e) that it may see."""
    return softmax(keys @ query / math.sqrt(len(query))) @ values


def fixed_table(width: int, side: int) -> Tensor:
    """The fixed 2-D position table (side * side, width): column first, sines before cosines."""
    quarter = width // 4
    frequencies = [10000 ** (-k / quarter) for k in range(quarter)]

    def line(place: int) -> list[float]:
        return [math.sin(place * w) for w in frequencies] + [math.cos(place * w) for w in frequencies]

    return torch.tensor([line(column) + line(row) for row in range(side) for column in range(side)], dtype=torch.float64)


# ViT -----------------------------------------------------------------------------------------------------------------


def cut_patches(pixels: Tensor, patch: int) -> tuple[list[Tensor], list[tuple[int, int]]]:
    """Patches as vectors in the order (row, column, channel), channel fastest, and the place of each."""
    _, height, width = pixels.shape
    places = [(row, column) for row in range(height // patch) for column in range(width // patch)]
    patches = []
    for row, column in places:
        piece = pixels[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
        patches.append(piece.permute(1, 2, 0).reshape(-1).double())
    return patches, places


def vit_embeddings(weights: Weights, sizes: Sizes, pixels: Tensor) -> list[Tensor]:
    patches, places = cut_patches(pixels, sizes.patch)
    table = weights[VIT + "embeddings.position_embedding.weight"]
    name = VIT + "embeddings.patch_embedding"
    return [
        linear(weights, name, patch) + table[row * sizes.vit_side + column]
        for patch, (row, column) in zip(patches, places, strict=True)
    ]


def vit_features(weights: Weights, sizes: Sizes, pixels: Tensor) -> list[Tensor]:
    """One feature per patch, after the final layer norm."""
    states = vit_embeddings(weights, sizes, pixels)
    for layer in range(sizes.vit_layers):
        states = vit_layer(weights, sizes, f"{VIT}encoder.layers.{layer}.", states)
    return [layer_norm(weights, VIT + "post_layernorm", state, sizes.vit_eps) for state in states]


def vit_layer(weights: Weights, sizes: Sizes, name: str, states: list[Tensor]) -> list[Tensor]:
    normed = [layer_norm(weights, name + "layer_norm1", state, sizes.vit_eps) for state in states]
    queries, keys, values = (
        torch.stack([linear(weights, f"{name}self_attn.{kind}_proj", each) for each in normed]).unflatten(
            1, (sizes.vit_heads, -1)
        )
        for kind in "qkv"
    )
    after = []
    for place, state in enumerate(states):
        heads = [attend(queries[place, head], keys[:, head], values[:, head]) for head in range(sizes.vit_heads)]
        state = state + linear(weights, name + "self_attn.out_proj", torch.cat(heads))
        inner = gelu_tanh(linear(weights, name + "mlp.fc1", layer_norm(weights, name + "layer_norm2", state, sizes.vit_eps)))
        after.append(state + linear(weights, name + "mlp.fc2", inner))
    return after


def connect(weights: Weights, feature: Tensor) -> Tensor:
    return linear(weights, "connector.fc2", gelu_tanh(linear(weights, "connector.fc1", feature)))


def vit_tokens(weights: Weights, sizes: Sizes, pixels: Tensor) -> list[Tensor]:
    """What enters the language model for every patch."""
    _, places = cut_patches(pixels, sizes.patch)
    table = weights["vit_pos_embed.pos_embed"]
    features = vit_features(weights, sizes, pixels)
    return [
        connect(weights, each) + table[row * sizes.vit_side + column]
        for each, (row, column) in zip(features, places, strict=True)
    ]


# Latents -------------------------------------------------------------------------------------------------------------


def pack_latents(latents: Tensor, patch: int) -> tuple[Tensor, tuple[int, int]]:
    """Latents (z, h, w) as tokens, ordered (row in patch, column in patch, channel), channel fastest; and their grid."""
    channels, height, width = latents.shape
    grid = (height // patch, width // patch)
    tokens = []
    for row in range(grid[0]):
        for column in range(grid[1]):
            numbers = [
                latents[channel, row * patch + down, column * patch + right]
                for down in range(patch)
                for right in range(patch)
                for channel in range(channels)
            ]
            tokens.append(torch.stack(numbers))
    return torch.stack(tokens).double(), grid


def unpack_latents(tokens: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """The inverse of `pack_latents`."""
    channels = tokens.shape[1] // patch**2
    latents = torch.empty(channels, grid[0] * patch, grid[1] * patch, dtype=tokens.dtype)
    for place, token in enumerate(tokens):
        row, column = divmod(place, grid[1])
        for number, value in enumerate(token):
            cell, channel = divmod(number, channels)
            down, right = divmod(cell, patch)
            latents[channel, row * patch + down, column * patch + right] = value
    return latents


def sinusoid(time: float) -> Tensor:
    """256 numbers, cosines first; time in [0, 1] as it is."""
    angles = [time * math.exp(-math.log(10000) * i / 128) for i in range(128)]
    return torch.tensor([math.cos(a) for a in angles] + [math.sin(a) for a in angles], dtype=torch.float64)


def time_embedding(weights: Weights, time: float) -> Tensor:
    return linear(weights, "time_embedder.mlp.2", swish(linear(weights, "time_embedder.mlp.0", sinusoid(time))))


def latent_embeddings(weights: Weights, sizes: Sizes, image: Latent) -> list[Tensor]:
    time = time_embedding(weights, image.time)
    table = weights["latent_pos_embed.pos_embed"]
    embeddings = []
    for place, token in enumerate(image.tokens.double()):
        row, column = divmod(place, image.grid[1])
        embeddings.append(linear(weights, "vae2llm", token) + time + table[row * sizes.latent_side + column])
    return embeddings


# The sequence --------------------------------------------------------------------------------------------------------


def lay_out(weights: Weights, sizes: Sizes, segments: Sequence[Segment], *, freeze_understanding: bool = False) -> list[Token]:
    """Every token of one sample: its embedding, rotary position, expert and split."""
    tokens: list[Token] = []
    position = 0
    table = weights["language_model.model.embed_tokens.weight"]
    hold = _detach if freeze_understanding else _keep
    start, end = hold(table[sizes.start_of_image]), hold(table[sizes.end_of_image])
    for number, segment in enumerate(segments):
        match segment:
            case Gap(advance=advance):
                position += advance
            case Text(ids=ids, loss=loss):
                for place, each in enumerate(ids):
                    label = ids[place + 1] if loss and place + 1 < len(ids) else None
                    embedding = hold(table[each])
                    token = Token(
                        embedding=embedding,
                        position=position,
                        generate=False,
                        split=number,
                        mode="causal",
                        segment=number,
                        label=label,
                    )
                    tokens.append(token)
                    position += 1
            case Vit(pixels=pixels):
                for embedding in [start, *map(hold, vit_tokens(weights, sizes, pixels)), end]:
                    tokens.append(
                        Token(embedding=embedding, position=position, generate=False, split=number, mode="full", segment=number)
                    )
                position += 1
            case Latent(noised=noised):
                mode = "noise" if noised else "full"
                inner = latent_embeddings(weights, sizes, segment)
                for place, embedding in enumerate([start, *inner, end]):
                    latent = 0 < place <= len(inner)
                    tokens.append(
                        Token(embedding=embedding, position=position, generate=latent, split=number, mode=mode, segment=number)
                    )
                position += 0 if noised else 1
    return tokens


def sees(tokens: Sequence[Token], query: int, key: int) -> bool:
    """The one mask rule, between two tokens of one sample."""
    together = tokens[query].split == tokens[key].split
    if tokens[key].mode == "noise" and not together:
        return False
    return key <= query or (together and tokens[query].mode in ("full", "noise"))


def visible(tokens: Sequence[Token]) -> list[list[int]]:
    """For every token the places it may see."""
    return [[key for key in range(len(tokens)) if sees(tokens, query, key)] for query in range(len(tokens))]


def _keep(x: Tensor) -> Tensor:
    return x


def _detach(x: Tensor) -> Tensor:
    return x.detach()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one forward pass leaves behind."""

    tokens: list[Token]
    hidden: Tensor
    """(tokens, width), after the final norm of each token's expert."""
    keys: list[Tensor]
    """Per layer (tokens, kv heads, head size), after norm and rotary."""
    values: list[Tensor]

    def of(self, segment: int) -> list[int]:
        """The places of a segment's tokens."""
        return [place for place, token in enumerate(self.tokens) if token.segment == segment]

    def latents_of(self, segment: int) -> list[int]:
        """The places of a segment's latent tokens."""
        return [place for place in self.of(segment) if self.tokens[place].generate]


def forward(weights: Weights, sizes: Sizes, segments: Sequence[Segment], *, freeze_understanding: bool = False) -> Trace:
    """The whole language model over one sample."""
    tokens = lay_out(weights, sizes, segments, freeze_understanding=freeze_understanding)
    seen = visible(tokens)
    experts = ["_moe_gen" if token.generate else "" for token in tokens]
    holds = [_detach if freeze_understanding and not token.generate else _keep for token in tokens]
    states = [token.embedding for token in tokens]
    all_keys, all_values = [], []
    for layer in range(sizes.layers):
        states, keys, values = mot_layer(weights, sizes, LAYER.format(layer), states, tokens, experts, seen, holds)
        all_keys.append(keys)
        all_values.append(values)
    hidden = []
    for state, expert, hold in zip(states, experts, holds, strict=True):
        hidden.append(hold(rms_norm(state, weights[f"language_model.model.norm{expert}.weight"], sizes.norm_eps)))
    return Trace(tokens=tokens, hidden=torch.stack(hidden), keys=all_keys, values=all_values)


def mot_layer(
    weights: Weights,
    sizes: Sizes,
    name: str,
    states: list[Tensor],
    tokens: Sequence[Token],
    experts: Sequence[str],
    seen: Sequence[Sequence[int]],
    holds: Sequence[Callable[[Tensor], Tensor]],
) -> tuple[list[Tensor], Tensor, Tensor]:
    """One decoder layer: the states after it, and its keys and values."""
    queries, keys, values = [], [], []
    for state, token, expert, hold in zip(states, tokens, experts, holds, strict=True):
        x = rms_norm(state, weights[f"{name}input_layernorm{expert}.weight"], sizes.norm_eps)
        q = linear(weights, f"{name}self_attn.q_proj{expert}", x).reshape(sizes.heads, -1)
        k = linear(weights, f"{name}self_attn.k_proj{expert}", x).reshape(sizes.kv_heads, -1)
        v = linear(weights, f"{name}self_attn.v_proj{expert}", x).reshape(sizes.kv_heads, -1)
        q_scale, k_scale = weights[f"{name}self_attn.q_norm{expert}.weight"], weights[f"{name}self_attn.k_norm{expert}.weight"]
        q = hold(torch.stack([rms_norm(head, q_scale, sizes.norm_eps) for head in q]))
        k = hold(torch.stack([rms_norm(head, k_scale, sizes.norm_eps) for head in k]))
        queries.append(torch.stack([rotate(head, token.position, sizes.rope_theta) for head in q]))
        keys.append(torch.stack([rotate(head, token.position, sizes.rope_theta) for head in k]))
        values.append(hold(v))
    all_keys, all_values = torch.stack(keys), torch.stack(values)
    group = sizes.heads // sizes.kv_heads
    after = []
    for place, (state, expert, hold) in enumerate(zip(states, experts, holds, strict=True)):
        may = seen[place]
        heads = [
            attend(queries[place][head], all_keys[may, head // group], all_values[may, head // group])
            for head in range(sizes.heads)
        ]
        state = state + linear(weights, f"{name}self_attn.o_proj{expert}", hold(torch.cat(heads)))
        x = rms_norm(state, weights[f"{name}post_attention_layernorm{expert}.weight"], sizes.norm_eps)
        gate = swish(linear(weights, f"{name}mlp{expert}.gate_proj", x))
        up = linear(weights, f"{name}mlp{expert}.up_proj", x)
        after.append(state + hold(linear(weights, f"{name}mlp{expert}.down_proj", gate * up)))
    return after, all_keys, all_values


def logits(weights: Weights, hidden: Tensor) -> Tensor:
    return torch.stack([linear(weights, "language_model.lm_head", each) for each in hidden])


def greedy(
    weights: Weights, sizes: Sizes, segments: Sequence[Segment], *, start: int, stop: int, steps: int
) -> tuple[list[int], list[Tensor], list[int]]:
    """Greedy continuation: the chosen ids, the logits of each choice, and the position of each fed token."""
    fed, chosen, scores, positions = [start], [], [], []
    for _ in range(steps):
        trace = forward(weights, sizes, [*segments, Text(ids=fed)])
        scores.append(logits(weights, trace.hidden[-1:])[0])
        positions.append(trace.tokens[-1].position)
        chosen.append(int(scores[-1].argmax()))
        if chosen[-1] == stop:
            break
        fed.append(chosen[-1])
    return chosen, scores, positions


# Flow ----------------------------------------------------------------------------------------------------------------


def velocity(
    weights: Weights, sizes: Sizes, segments: Sequence[Segment], x: Tensor, grid: tuple[int, int], time: float
) -> Tensor:
    """The velocity of a noised image that comes after these segments."""
    trace = forward(weights, sizes, [*segments, Latent(tokens=x, grid=grid, time=time, noised=True)])
    return torch.stack([linear(weights, "llm2vae", trace.hidden[place]) for place in trace.latents_of(len(segments))])


def norm(x: Tensor) -> Tensor:
    return torch.sqrt((x * x).sum())


def guide(
    v: Tensor,
    no_text: Tensor | None,
    no_image: Tensor | None,
    *,
    text_scale: float,
    image_scale: float,
    renorm: str,
    renorm_min: float,
) -> Tensor:
    """The guided velocity of one image."""

    def shrink(guided: Tensor, like: Tensor) -> Tensor:
        return guided * torch.clamp(norm(like) / (norm(guided) + 1e-8), min=renorm_min, max=1)

    def each_token(guided: Tensor) -> Tensor:
        return torch.stack([shrink(mine, its) for mine, its in zip(guided, v, strict=True)])

    if text_scale <= 1:
        return v
    assert no_text is not None
    guided = no_text + text_scale * (v - no_text)
    if renorm == "text_channel":
        guided = each_token(guided)
    if image_scale > 1:
        assert no_image is not None
        guided = no_image + image_scale * (guided - no_image)
    if renorm == "channel":
        guided = each_token(guided)
    if renorm == "global":
        guided = shrink(guided, v)
    return guided


def time_grid(count: int, shift: float) -> list[float]:
    """`count` times from 1 to 0, so one less step."""
    even = [1 - place / (count - 1) for place in range(count)]
    return [shift * u / (1 + (shift - 1) * u) for u in even]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """How the three branches are put together, and when."""

    text_scale: float
    image_scale: float
    low: float
    high: float
    renorm: str
    renorm_min: float


def denoise_step(
    weights: Weights,
    sizes: Sizes,
    branches: tuple[Sequence[Segment], Sequence[Segment], Sequence[Segment]],
    x: Tensor,
    grid: tuple[int, int],
    time: float,
    guidance: Guidance,
) -> Tensor:
    """The guided velocity at one time; branches are full, no text, no image."""
    active = guidance.low < time <= guidance.high
    text_scale = guidance.text_scale if active else 1.0
    image_scale = guidance.image_scale if active else 1.0
    needed = (True, text_scale > 1, text_scale > 1 and image_scale > 1)
    full, no_text, no_image = (
        velocity(weights, sizes, branch, x, grid, time) if need else None for branch, need in zip(branches, needed, strict=True)
    )
    assert full is not None
    return guide(
        full,
        no_text,
        no_image,
        text_scale=text_scale,
        image_scale=image_scale,
        renorm=guidance.renorm,
        renorm_min=guidance.renorm_min,
    )


def euler(field: Callable[[Tensor, float], Tensor], noise: Tensor, times: Sequence[float]) -> Tensor:
    """Follow a velocity field from the first time to the last."""
    x = noise
    for time, following in itertools.pairwise(times):
        x = x - field(x, time) * (time - following)
    return x


def shifted_time(draw: float, shift: float) -> float:
    """The training time of a standard normal draw; minus infinity means clean."""
    if draw == -math.inf:
        return 0.0
    t = 1 / (1 + math.exp(-draw))
    return shift * t / (1 + (shift - 1) * t)


def interpolate(data: Tensor, noise: Tensor, time: float) -> Tensor:
    return (1 - time) * data + time * noise


# Losses --------------------------------------------------------------------------------------------------------------


def text_losses(weights: Weights, trace: Trace) -> list[Tensor]:
    """Cross entropy of every labeled token."""
    losses = []
    for token, state in zip(trace.tokens, trace.hidden, strict=True):
        if token.label is not None:
            scores = linear(weights, "language_model.lm_head", state)
            losses.append(torch.log(torch.exp(scores - scores.max()).sum()) + scores.max() - scores[token.label])
    return losses


def flow_losses(weights: Weights, trace: Trace, segment: int, data: Tensor, noise: Tensor) -> Tensor:
    """Squared velocity error (tokens, channels) of a noised image."""
    found = torch.stack([linear(weights, "llm2vae", trace.hidden[place]) for place in trace.latents_of(segment)])
    return (found - (noise.double() - data.double())) ** 2


def weighted_mean(values: Iterable[Tensor], importance: Iterable[float]) -> Tensor:
    pairs = list(zip(values, importance, strict=True))
    return sum((value * weight for value, weight in pairs), torch.zeros((), dtype=torch.float64)) / sum(
        weight for _, weight in pairs
    )


# Autoencoder, one image (c, h, w) at a time -----------------------------------------------------------------------------


def convolve(weights: Weights, name: str, x: Tensor, *, stride: int = 1, before: int = 1, after: int = 1) -> Tensor:
    """A convolution as a sum over the cells of its kernel, with zeros around the image."""
    kernel = weights[name + ".weight"]
    size = kernel.shape[-1]
    channels, height, width = x.shape
    framed = torch.zeros(channels, height + before + after, width + before + after, dtype=x.dtype)
    framed[:, before : before + height, before : before + width] = x
    rows, columns = (height + before + after - size) // stride + 1, (width + before + after - size) // stride + 1
    out = weights[name + ".bias"][:, None, None].expand(-1, rows, columns)
    for down in range(size):
        for right in range(size):
            part = framed[:, down : down + stride * (rows - 1) + 1 : stride, right : right + stride * (columns - 1) + 1 : stride]
            out = out + torch.einsum("oc,chw->ohw", kernel[:, :, down, right], part)
    return out


def pointwise(weights: Weights, name: str, x: Tensor) -> Tensor:
    return convolve(weights, name, x, before=0, after=0)


def group_norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    groups = []
    for group in x.chunk(32, dim=0):
        centered = group - group.mean()
        groups.append(centered / torch.sqrt((centered * centered).mean() + 1e-6))
    return torch.cat(groups) * weights[name + ".weight"][:, None, None] + weights[name + ".bias"][:, None, None]


def residual(weights: Weights, name: str, x: Tensor) -> Tensor:
    y = convolve(weights, name + ".conv1", swish(group_norm(weights, name + ".norm1", x)))
    y = convolve(weights, name + ".conv2", swish(group_norm(weights, name + ".norm2", y)))
    return y + (pointwise(weights, name + ".nin_shortcut", x) if name + ".nin_shortcut.weight" in weights else x)


def middle(weights: Weights, name: str, x: Tensor) -> Tensor:
    x = residual(weights, name + ".block_1", x)
    normed = group_norm(weights, name + ".attn_1.norm", x)
    q, k, v = (pointwise(weights, f"{name}.attn_1.{kind}", normed).flatten(1).T for kind in "qkv")
    mixed = torch.stack([attend(query, k, v) for query in q]).T.reshape(x.shape)
    x = x + pointwise(weights, name + ".attn_1.proj_out", mixed)
    return residual(weights, name + ".block_2", x)


def vae_moments(weights: Weights, sizes: Sizes, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Unscaled mean and log-variance of the latents (z, h, w) of pixels (3, h, w)."""
    x = convolve(weights, "encoder.conv_in", pixels.double())
    for level in range(sizes.levels):
        for block in range(sizes.level_blocks):
            x = residual(weights, f"encoder.down.{level}.block.{block}", x)
        if level < sizes.levels - 1:
            x = convolve(weights, f"encoder.down.{level}.downsample.conv", x, stride=2, before=0, after=1)
    x = swish(group_norm(weights, "encoder.norm_out", middle(weights, "encoder.mid", x)))
    both = convolve(weights, "encoder.conv_out", x)
    return both[: sizes.latent_channels], both[sizes.latent_channels :]


def vae_encode(weights: Weights, sizes: Sizes, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
    """Scaled latents: a sample with this noise, the mean without."""
    mean, log_variance = vae_moments(weights, sizes, pixels)
    sample = mean if noise is None else mean + torch.exp(0.5 * log_variance) * noise.double()
    return sizes.scale * (sample - sizes.shift)


def vae_decode(weights: Weights, sizes: Sizes, latents: Tensor) -> Tensor:
    """Pixels (3, h, w) of scaled latents, not clamped."""
    x = middle(weights, "decoder.mid", convolve(weights, "decoder.conv_in", latents.double() / sizes.scale + sizes.shift))
    for level in reversed(range(sizes.levels)):
        for block in range(sizes.level_blocks + 1):
            x = residual(weights, f"decoder.up.{level}.block.{block}", x)
        if level > 0:
            x = x.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
            x = convolve(weights, f"decoder.up.{level}.upsample.conv", x)
    return convolve(weights, "decoder.conv_out", swish(group_norm(weights, "decoder.norm_out", x)))

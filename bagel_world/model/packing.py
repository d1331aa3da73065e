"""[Segment] -> Packed: the single packer, used by training, prefill, decoding and denoising.

A sample is a list of segments in sequence order. A pack lays several samples behind each other. For computation its tokens are
sorted by kind, [text and image boundaries | ViT patches | latents], so that each expert works on one slice; `Packed.order`
leads from sequence order to there.

| segment | tokens | rotary position | mode |
|---|---|---|---|
| text | ids | p, p + 1, ... | causal |
| ViT image, clean latents | start, patches, end | all at p, then p + 1 | full |
| noised latents | start, patches, end | all at p, then still p | noise |
| joined noised latents | the same | the same | in the split of the noised image before |
| gap | none | then p + advance | - |
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import einops
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bagel_world.errors import ConfigError
from bagel_world.model.attention import Layout, Mode, Split, sample_length


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSegment:
    """Text: its ids with the begin and end marks. With `loss`, every id but the last predicts the next."""

    ids: tuple[int, ...]
    loss: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VitSegment:
    """An image as the ViT sees it: pixels in [-1, 1], sides multiples of the ViT's patch."""

    pixels: Float[Tensor, "3 h w"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentSegment:
    """An image as latent tokens; clean ones are context, noised ones are being painted and stay invisible to what follows.

    Attributes:
        tokens: [rows * columns, latent size], see `to_tokens`.
        grid: (rows, columns).
        timestep: noise level in [0, 1]; 0 for a clean image.
        noised: whether this is an image to be painted.
        joined: whether it is painted together with the noised image before it: they see each other.
    """

    tokens: Float[Tensor, "t z"]
    grid: tuple[int, int]
    timestep: float = 0.0
    noised: bool = False
    joined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What a dropped image leaves behind: no tokens, but its step of position. A negative one goes back."""

    advance: int = 1


Segment = TextSegment | VitSegment | LatentSegment | Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingRules:
    """The numbers of a model that decide how its segments become tokens.

    Attributes:
        start_of_image: id of the mark before every image.
        end_of_image: id of the mark behind it.
        vit_patch: pixels on a side of a ViT patch.
        vit_side: patches per side of the ViT's position tables.
        latent_side: latent tokens per side of the latent position table.
    """

    start_of_image: int
    end_of_image: int
    vit_patch: int
    vit_side: int
    latent_side: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packed:
    """A pack, ready for the model.

    `t` text and boundary tokens, `v` ViT patches, `l` latent tokens, `s` = t + v + l, `i` latent images.

    Attributes:
        layouts: the splits of every sample.
        order: [s], for each token in sequence order its place in the order of computation.
        positions: [s], rotary positions in the order of computation.
        ends: per sample, the rotary position of whatever comes next.
        text_ids: [t].
        vit_patches: [v, 3 * patch * patch], row-major; inside a patch (row, column, channel).
        vit_positions: [v], row * side + column.
        vit_lengths: patches per image.
        latents: [l, z].
        latent_positions: [l], row * side + column.
        latent_images: [l], number of the image a token belongs to.
        latent_lengths: tokens per latent image.
        timesteps: [i], float32.
        noised: [l], True for tokens of images to be painted.
        label_places: [c], text tokens (by their place among the t) that predict a label.
        labels: [c], ids.
        label_weights: [c], 1 / sqrt(tokens that predict in that segment), for optional reweighting.
    """

    layouts: tuple[Layout, ...]
    order: Int[Tensor, " s"]
    positions: Int[Tensor, " s"]
    ends: tuple[int, ...]
    text_ids: Int[Tensor, " t"]
    vit_patches: Float[Tensor, "v q"] | None
    vit_positions: Int[Tensor, " v"]
    vit_lengths: tuple[int, ...]
    latents: Float[Tensor, "l z"] | None
    latent_positions: Int[Tensor, " l"]
    latent_images: Int[Tensor, " l"]
    latent_lengths: tuple[int, ...]
    timesteps: Float[Tensor, " i"]
    noised: Bool[Tensor, " l"]
    label_places: Int[Tensor, " c"]
    labels: Int[Tensor, " c"]
    label_weights: Float[Tensor, " c"]

    @property
    def understand_tokens(self) -> int:
        """Tokens of the understanding expert: text, boundaries and ViT patches."""
        return len(self.text_ids) + len(self.vit_positions)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens per sample."""
        return tuple(sample_length(layout) for layout in self.layouts)

    def to(self, device: torch.device | str) -> Packed:
        """The same pack with its tensors on another device."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)})

    def in_sequence(self, computed: Tensor) -> Tensor:
        """Rows given in the order of computation, put in sequence order."""
        return computed[self.order]


def to_tokens(latents: Float[Tensor, "*b z h w"], patch: int) -> Float[Tensor, "*b t y"]:
    """Cut latents into tokens, row-major; inside a token (row, column, channel), channel fastest."""
    return einops.rearrange(latents, "... z (r p) (c q) -> ... (r c) (p q z)", p=patch, q=patch)


def from_tokens(tokens: Float[Tensor, "*b t y"], grid: tuple[int, int], patch: int) -> Float[Tensor, "*b z h w"]:
    """Undo `to_tokens`."""
    return einops.rearrange(tokens, "... (r c) (p q z) -> ... z (r p) (c q)", r=grid[0], p=patch, q=patch)


def to_patches(pixels: Float[Tensor, "3 h w"], patch: int) -> Float[Tensor, "v q"]:
    """Cut pixels into ViT patches, row-major; inside a patch (row, column, channel), channel fastest."""
    return einops.rearrange(pixels, "c (r p) (s q) -> (r s) (p q c)", p=patch, q=patch)


def grid_positions(grid: tuple[int, int], side: int, what: str) -> list[int]:
    """Place of every cell of a grid in a `side` x `side` table.

    Raises:
        ConfigError: the grid is wider or higher than the table, where places would silently alias.
    """
    rows, columns = grid
    if rows > side or columns > side:
        raise ConfigError(
            f"Expected {what} of at most {side} x {side} tokens, got {rows} x {columns}. Use a smaller image, "
            "or a checkpoint with a larger position table."
        )
    return [row * side + column for row in range(rows) for column in range(columns)]


@dataclass(slots=True)
class _Writer:
    """Collects tokens by kind while the samples are walked in sequence order."""

    rules: PackingRules
    kinds: list[list[int]] = field(default_factory=lambda: [[], [], []])
    positions: list[list[int]] = field(default_factory=lambda: [[], [], []])
    length: int = 0
    text_ids: list[int] = field(default_factory=list)
    patches: list[Tensor] = field(default_factory=list)
    vit_positions: list[int] = field(default_factory=list)
    vit_lengths: list[int] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)
    latent_positions: list[int] = field(default_factory=list)
    latent_lengths: list[int] = field(default_factory=list)
    timesteps: list[float] = field(default_factory=list)
    noised: list[bool] = field(default_factory=list)
    label_places: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    label_weights: list[float] = field(default_factory=list)

    def tokens(self, kind: int, count: int, position: int, step: int = 0) -> None:
        self.kinds[kind].extend(range(self.length, self.length + count))
        self.positions[kind].extend(range(position, position + count) if step else [position] * count)
        self.length += count

    def text(self, segment: TextSegment, position: int) -> tuple[int, Mode, int]:
        ids = segment.ids
        if segment.loss and len(ids) < 2:
            raise ConfigError(f"A text with loss needs at least two ids, one to predict the next: got {ids}.")
        if segment.loss:
            first, count = len(self.text_ids), len(ids) - 1
            self.label_places.extend(range(first, first + count))
            self.labels.extend(ids[1:])
            self.label_weights.extend([count**-0.5] * count)
        self.text_ids.extend(ids)
        self.tokens(0, len(ids), position, step=1)
        return len(ids), "causal", position + len(ids)

    def image(self, kind: int, patches: int, position: int) -> int:
        self.text_ids.extend((self.rules.start_of_image, self.rules.end_of_image))
        self.tokens(0, 1, position)
        self.tokens(kind, patches, position)
        self.tokens(0, 1, position)
        return patches + 2

    def vit(self, segment: VitSegment, position: int) -> tuple[int, Mode, int]:
        patch = self.rules.vit_patch
        grid = (segment.pixels.shape[1] // patch, segment.pixels.shape[2] // patch)
        places = grid_positions(grid, self.rules.vit_side, "a ViT image")
        self.patches.append(to_patches(segment.pixels, patch))
        self.vit_positions.extend(places)
        self.vit_lengths.append(len(places))
        return self.image(1, len(places), position), "full", position + 1

    def latent(self, segment: LatentSegment, position: int) -> tuple[int, Mode, int]:
        places = grid_positions(segment.grid, self.rules.latent_side, "a latent image")
        self.latents.append(segment.tokens)
        self.latent_positions.extend(places)
        self.latent_lengths.append(len(places))
        self.timesteps.append(segment.timestep)
        self.noised.extend([segment.noised] * len(places))
        length = self.image(2, len(places), position)
        return (length, "noise", position) if segment.noised else (length, "full", position + 1)

    def sample(self, segments: Sequence[Segment], position: int) -> tuple[Layout, int]:
        layout: list[Split] = []
        for segment in segments:
            match segment:
                case TextSegment():
                    length, mode, position = self.text(segment, position)
                case VitSegment():
                    length, mode, position = self.vit(segment, position)
                case LatentSegment():
                    length, mode, position = self.latent(segment, position)
                    if segment.joined:
                        before, mode_before = layout.pop() if layout else (0, None)
                        if mode != "noise" or mode_before != "noise":
                            raise ConfigError("A joined image needs a noised image before it, and must be noised itself.")
                        length += before
                case Gap(advance=advance):
                    position += advance
                    continue
            layout.append((length, mode))
        return tuple(layout), position


def pack(
    samples: Sequence[Sequence[Segment]],
    rules: PackingRules,
    *,
    positions: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
) -> Packed:
    """Lay samples behind each other.

    Args:
        samples: the segments of each sample, in sequence order.
        rules: the model's numbers, `Bagel.packing_rules`.
        positions: rotary position of each sample's first token (where its cache ends); 0 by default.
        device: where the pack goes.

    Raises:
        ConfigError: an image larger than the model's position tables.
    """
    writer = _Writer(rules)
    layouts, ends = [], []
    for place, segments in enumerate(samples):
        layout, end = writer.sample(segments, positions[place] if positions else 0)
        layouts.append(layout)
        ends.append(end)
    order = torch.empty(writer.length, dtype=torch.long)
    order[torch.tensor([*itertools.chain(*writer.kinds)], dtype=torch.long)] = torch.arange(writer.length)

    def whole(values: Sequence[int] | Sequence[bool], dtype: torch.dtype = torch.long) -> Tensor:
        return torch.tensor(values, dtype=dtype)

    return Packed(
        layouts=tuple(layouts),
        order=order,
        positions=whole([*itertools.chain(*writer.positions)]),
        ends=tuple(ends),
        text_ids=whole(writer.text_ids),
        vit_patches=torch.cat(writer.patches) if writer.patches else None,
        vit_positions=whole(writer.vit_positions),
        vit_lengths=tuple(writer.vit_lengths),
        latents=torch.cat(writer.latents) if writer.latents else None,
        latent_positions=whole(writer.latent_positions),
        latent_images=whole([image for image, length in enumerate(writer.latent_lengths) for _ in range(length)]),
        latent_lengths=tuple(writer.latent_lengths),
        timesteps=torch.tensor(writer.timesteps, dtype=torch.float32),
        noised=whole(writer.noised, torch.bool),
        label_places=whole(writer.label_places),
        labels=whole(writer.labels),
        label_weights=torch.tensor(writer.label_weights, dtype=torch.float32),
    ).to(device)

"""What the golden tests ask of an implementation, answered by the oracle and by the package.

A test describes contexts by the oracle's segments and hands over the stored noises; a driver turns that into calls. The package
is touched here and nowhere else in this folder.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from bagel_world.model import attention, checkpoint, flow, packing
from bagel_world.model.cache import KVCache, Workspace
from bagel_world.model.layers import timestep_sinusoid
from bagel_world.world.config import GuidanceConfig, SamplingConfig, WritingConfig
from bagel_world.world.context import Branch
from bagel_world.world.generate import Canvas, generate_ids, generate_latents
from tests import oracle
from tests.golden import cases
from tests.oracle import Gap, Guidance, Latent, Segment, Text, Vit


@dataclass(frozen=True, slots=True, kw_only=True)
class VitParts:
    """The stages of one image on its way through the vision transformer, one row per patch."""

    patches: Tensor
    position_ids: Tensor
    embeddings: Tensor
    features: Tensor
    connected: Tensor
    tokens: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One sample through the language model, in sequence order."""

    positions: Tensor
    embeddings: Tensor
    hidden: Tensor
    keys: list[Tensor]
    """Per layer (tokens, kv heads, head size)."""
    values: list[Tensor]
    segments: list[int]
    """For every token, the place of its segment in the list."""

    def rows(self, segment: int) -> list[int]:
        return [place for place, each in enumerate(self.segments) if each == segment]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """An image generation, step by step."""

    times: list[float]
    xs: Tensor
    vs: Tensor
    final: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A training step over several samples: what was computed, and the gradients by published name."""

    hidden: Tensor
    text_losses: Tensor
    flow_losses: Tensor
    gradients: dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The scaled latents and the noise of one noised image, both as tokens."""

    data: Tensor
    noise: Tensor


class Driver(Protocol):
    """An implementation of BAGEL over the tiny checkpoint."""

    def text_ids(self, text: str) -> list[int]:
        """bos, the ids of the text, eos."""
        ...

    def answer(self, ids: Sequence[int]) -> str:
        """The text in generated ids that begin with bos."""
        ...

    def vit(self, images: Sequence[Tensor]) -> list[VitParts]: ...

    def moments(self, pixels: Tensor) -> tuple[Tensor, Tensor]: ...

    def encode(self, pixels: Tensor, noise: Tensor | None) -> Tensor: ...

    def decode(self, latents: Tensor) -> Tensor: ...

    def to_tokens(self, latents: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Latents (z, h, w) as tokens, and their grid."""
        ...

    def to_latents(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor: ...

    def latent_positions(self, grid: tuple[int, int]) -> list[int]: ...

    def time_embedding(self, times: Sequence[float]) -> tuple[Tensor, Tensor]:
        """The sinusoid and what its MLP makes of it, one row per time."""
        ...

    def run(self, segments: Sequence[Segment]) -> Run: ...

    def state(self, segments: Sequence[Segment]) -> tuple[int, int]:
        """Number of cached tokens and next position of a context."""
        ...

    def logits(self, hidden: Tensor) -> Tensor: ...

    def greedy(self, segments: Sequence[Segment], *, start: int, stop: int, steps: int) -> tuple[list[int], Tensor, list[int]]:
        """Chosen ids, the logits (steps, vocabulary) and the position of each fed token."""
        ...

    def velocities(self, contexts: Sequence[Sequence[Segment]], x: Tensor, grid: tuple[int, int], time: float) -> list[Tensor]:
        """The velocity of the same noised image after each of these contexts."""
        ...

    def guide(self, v: Tensor, no_text: Tensor | None, no_image: Tensor | None, guidance: Guidance) -> Tensor: ...

    def sample(
        self,
        branches: tuple[Sequence[Segment], Sequence[Segment], Sequence[Segment]],
        noise: Tensor,
        grid: tuple[int, int],
        *,
        timesteps: int,
        shift: float,
        guidance: Guidance,
    ) -> Sampled: ...

    def allowed(self, segments: Sequence[Segment]) -> Tensor:
        """Who sees whom, (tokens, tokens) of bool."""
        ...

    def shifted_time(self, draw: float, shift: float) -> float: ...

    def train(
        self,
        samples: Sequence[Sequence[Segment]],
        flows: Sequence[Flow],
        *,
        importance: Tensor | None = None,
        text_weight: float = 1.0,
        flow_weight: float = 1.0,
        freeze_understanding: bool = False,
        gradients: bool = True,
    ) -> Trained:
        """One step; `flows` are the noised images in order. `importance` weighs the text losses, by default equally."""
        ...


class OracleDriver:
    """The oracle on the tiny checkpoint."""

    def __init__(self) -> None:
        path = cases.checkpoint_folder()
        self.weights = oracle.read_weights(path)
        self.sizes = oracle.read_sizes(path)
        self.tokenizer: Any = Tokenizer.from_file(str(path / "tokenizer.json"))

    def text_ids(self, text: str) -> list[int]:
        special = cases.head()["special_token_ids"]
        return [special["bos_token_id"], *self.tokenizer.encode(text, add_special_tokens=False).ids, special["eos_token_id"]]

    def answer(self, ids: Sequence[int]) -> str:
        text = self.tokenizer.decode(list(ids), skip_special_tokens=False)
        return text.split("<|im_end|>")[0].split("<|im_start|>")[1]

    def vit(self, images: Sequence[Tensor]) -> list[VitParts]:
        found = []
        for pixels in images:
            patches, places = oracle.cut_patches(pixels, self.sizes.patch)
            features = oracle.vit_features(self.weights, self.sizes, pixels)
            parts = VitParts(
                patches=torch.stack(patches),
                position_ids=torch.tensor([row * self.sizes.vit_side + column for row, column in places]),
                embeddings=torch.stack(oracle.vit_embeddings(self.weights, self.sizes, pixels)),
                features=torch.stack(features),
                connected=torch.stack([oracle.connect(self.weights, each) for each in features]),
                tokens=torch.stack(oracle.vit_tokens(self.weights, self.sizes, pixels)),
            )
            found.append(parts)
        return found

    def moments(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        both = [oracle.vae_moments(self.weights, self.sizes, each) for each in pixels]
        return torch.stack([mean for mean, _ in both]), torch.stack([log_variance for _, log_variance in both])

    def encode(self, pixels: Tensor, noise: Tensor | None) -> Tensor:
        noises = [None] * len(pixels) if noise is None else list(noise)
        return torch.stack([oracle.vae_encode(self.weights, self.sizes, *each) for each in zip(pixels, noises, strict=True)])

    def decode(self, latents: Tensor) -> Tensor:
        return torch.stack([oracle.vae_decode(self.weights, self.sizes, each) for each in latents])

    def to_tokens(self, latents: Tensor) -> tuple[Tensor, tuple[int, int]]:
        return oracle.pack_latents(latents, self.sizes.latent_patch)

    def to_latents(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        return oracle.unpack_latents(tokens, grid, self.sizes.latent_patch)

    def latent_positions(self, grid: tuple[int, int]) -> list[int]:
        return [row * self.sizes.latent_side + column for row in range(grid[0]) for column in range(grid[1])]

    def time_embedding(self, times: Sequence[float]) -> tuple[Tensor, Tensor]:
        waves = torch.stack([oracle.sinusoid(time) for time in times])
        return waves, torch.stack([oracle.time_embedding(self.weights, time) for time in times])

    def run(self, segments: Sequence[Segment]) -> Run:
        trace = oracle.forward(self.weights, self.sizes, segments)
        return Run(
            positions=torch.tensor([token.position for token in trace.tokens]),
            embeddings=torch.stack([token.embedding for token in trace.tokens]),
            hidden=trace.hidden,
            keys=trace.keys,
            values=trace.values,
            segments=[token.segment for token in trace.tokens],
        )

    def state(self, segments: Sequence[Segment]) -> tuple[int, int]:
        tokens = oracle.lay_out(self.weights, self.sizes, [*segments, Text(ids=[0])])
        return len(tokens) - 1, tokens[-1].position

    def logits(self, hidden: Tensor) -> Tensor:
        return oracle.logits(self.weights, hidden)

    def greedy(self, segments: Sequence[Segment], *, start: int, stop: int, steps: int) -> tuple[list[int], Tensor, list[int]]:
        chosen, scores, positions = oracle.greedy(self.weights, self.sizes, segments, start=start, stop=stop, steps=steps)
        return chosen, torch.stack(scores), positions

    def velocities(self, contexts: Sequence[Sequence[Segment]], x: Tensor, grid: tuple[int, int], time: float) -> list[Tensor]:
        return [oracle.velocity(self.weights, self.sizes, context, x, grid, time) for context in contexts]

    def guide(self, v: Tensor, no_text: Tensor | None, no_image: Tensor | None, guidance: Guidance) -> Tensor:
        return oracle.guide(
            v,
            no_text,
            no_image,
            text_scale=guidance.text_scale,
            image_scale=guidance.image_scale,
            renorm=guidance.renorm,
            renorm_min=guidance.renorm_min,
        )

    def sample(
        self,
        branches: tuple[Sequence[Segment], Sequence[Segment], Sequence[Segment]],
        noise: Tensor,
        grid: tuple[int, int],
        *,
        timesteps: int,
        shift: float,
        guidance: Guidance,
    ) -> Sampled:
        xs, vs = [], []

        def field(x: Tensor, time: float) -> Tensor:
            v = oracle.denoise_step(self.weights, self.sizes, branches, x, grid, time, guidance)
            xs.append(x)
            vs.append(v)
            return v

        times = oracle.time_grid(timesteps, shift)
        final = oracle.euler(field, noise.double(), times)
        return Sampled(times=times[:-1], xs=torch.stack(xs), vs=torch.stack(vs), final=final)

    def allowed(self, segments: Sequence[Segment]) -> Tensor:
        seen = oracle.visible(oracle.lay_out(self.weights, self.sizes, segments))
        mask = torch.zeros(len(seen), len(seen), dtype=torch.bool)
        for query, keys in enumerate(seen):
            mask[query, keys] = True
        return mask

    def shifted_time(self, draw: float, shift: float) -> float:
        return oracle.shifted_time(draw, shift)

    def train(
        self,
        samples: Sequence[Sequence[Segment]],
        flows: Sequence[Flow],
        *,
        importance: Tensor | None = None,
        text_weight: float = 1.0,
        flow_weight: float = 1.0,
        freeze_understanding: bool = False,
        gradients: bool = True,
    ) -> Trained:
        fixed = ("encoder.", "decoder.", "latent_pos_embed", "vit_pos_embed")
        weights = {name: value.clone().requires_grad_(not name.startswith(fixed)) for name, value in self.weights.items()}
        remaining = iter(flows)
        hidden, texts, images = [], [], []
        for segments in samples:
            trace = oracle.forward(weights, self.sizes, segments, freeze_understanding=freeze_understanding)
            hidden.append(trace.hidden)
            texts += oracle.text_losses(weights, trace)
            for place, segment in enumerate(segments):
                if isinstance(segment, Latent) and segment.noised:
                    flow = next(remaining)
                    images.append(oracle.flow_losses(weights, trace, place, flow.data, flow.noise))
        text_losses, flow_losses = torch.stack(texts), torch.cat(images)
        weight = torch.ones(len(texts), dtype=torch.float64) if importance is None else importance.double()
        text_mean = oracle.weighted_mean(texts, weight.tolist())
        if gradients:
            (text_weight * text_mean + flow_weight * flow_losses.mean(dim=1).mean()).backward()
        return Trained(
            hidden=torch.cat(hidden).detach(),
            text_losses=text_losses.detach(),
            flow_losses=flow_losses.detach(),
            gradients={name: value.grad for name, value in weights.items() if value.grad is not None},
        )


def to_package(segment: Segment, dtype: torch.dtype = torch.float32) -> packing.Segment:
    """A segment of the oracle as one of the package."""
    match segment:
        case Text(ids=ids, loss=loss):
            return packing.TextSegment(ids=tuple(ids), loss=loss)
        case Vit(pixels=pixels):
            return packing.VitSegment(pixels=pixels.to(dtype))
        case Latent(tokens=tokens, grid=grid, time=time, noised=noised):
            return packing.LatentSegment(tokens=tokens.to(dtype), grid=grid, timestep=time, noised=noised)
        case Gap(advance=advance):
            return packing.Gap(advance=advance)


class PackageDriver:
    """The package on the tiny checkpoint: every context as one pack, without a cache."""

    def __init__(self, folder: Any = None, dtype: torch.dtype = torch.float32) -> None:
        self.checkpoint = checkpoint.load(folder or cases.checkpoint_folder(), device="cpu", dtype=dtype)
        self.bagel, self.vae, self.rules = self.checkpoint.bagel, self.checkpoint.vae, self.checkpoint.rules
        self.dtype = dtype

    def pack(self, samples: Sequence[Sequence[Segment]], positions: Sequence[int] | None = None) -> packing.Packed:
        converted = [[to_package(segment, self.dtype) for segment in segments] for segments in samples]
        return packing.pack(converted, self.rules, positions=positions)

    def space(self, caches: Sequence[KVCache], room: int) -> Workspace:
        return Workspace(caches, self.bagel.cache_shape, room, torch.device("cpu"), self.dtype)

    def text_ids(self, text: str) -> list[int]:
        return list(self.checkpoint.tokenizer.encode(text))

    def answer(self, ids: Sequence[int]) -> str:
        return self.checkpoint.tokenizer.decode(ids)

    @torch.no_grad()
    def vit(self, images: Sequence[Tensor]) -> list[VitParts]:
        packed = self.pack([[Vit(pixels=pixels) for pixels in images]])
        assert packed.vit_patches is not None
        features = self.bagel.vit(packed.vit_patches, packed.vit_positions, packed.vit_lengths)
        stages = (
            packed.vit_patches,
            packed.vit_positions,
            self.bagel.vit.embed(packed.vit_patches, packed.vit_positions),
            features,
            self.bagel.connector(features),
            self.bagel.embed_vit(packed),
        )
        names = ("patches", "position_ids", "embeddings", "features", "connected", "tokens")
        return [
            VitParts(**dict(zip(names, parts, strict=True)))
            for parts in zip(*(stage.split(packed.vit_lengths) for stage in stages), strict=True)
        ]

    @torch.no_grad()
    def moments(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return self.vae.moments(pixels.float())

    @torch.no_grad()
    def encode(self, pixels: Tensor, noise: Tensor | None) -> Tensor:
        return self.vae.encode(pixels.float(), noise)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents.float())

    def to_tokens(self, latents: Tensor) -> tuple[Tensor, tuple[int, int]]:
        patch = self.checkpoint.config.latent_patch_size
        return packing.to_tokens(latents, patch), (latents.shape[1] // patch, latents.shape[2] // patch)

    def to_latents(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        return packing.from_tokens(tokens, grid, self.checkpoint.config.latent_patch_size)

    def latent_positions(self, grid: tuple[int, int]) -> list[int]:
        return packing.grid_positions(grid, self.rules.latent_side, "a latent image")

    @torch.no_grad()
    def time_embedding(self, times: Sequence[float]) -> tuple[Tensor, Tensor]:
        t = torch.tensor(times)
        return timestep_sinusoid(t), self.bagel.timestep_embedding(t)

    @torch.no_grad()
    def run(self, segments: Sequence[Segment]) -> Run:
        packed = self.pack([segments])
        space = self.space([KVCache()], sum(packed.lengths))
        self.bagel.remember(packed, space)
        keys, values = space.added(0, sum(packed.lengths))
        return Run(
            positions=packed.in_sequence(packed.positions),
            embeddings=packed.in_sequence(self.bagel.embed(packed).joined()),
            hidden=packed.in_sequence(self.bagel.hidden(packed).joined()),
            keys=list(keys),
            values=list(values),
            segments=_segment_of_token(segments, packed.layouts[0]),
        )

    def state(self, segments: Sequence[Segment]) -> tuple[int, int]:
        packed = self.pack([segments])
        return sum(packed.lengths), packed.ends[0]

    @torch.no_grad()
    def logits(self, hidden: Tensor) -> Tensor:
        return self.bagel.logits(hidden)

    @torch.no_grad()
    def greedy(self, segments: Sequence[Segment], *, start: int, stop: int, steps: int) -> tuple[list[int], Tensor, list[int]]:
        fed, chosen, scores, positions = [start], [], [], []
        while len(chosen) < steps and stop not in chosen:
            run = self.run([*segments, Text(ids=fed)])
            positions.append(int(run.positions[-1]))
            scores.append(self.logits(run.hidden[-1:])[0])
            chosen.append(int(scores[-1].argmax()))
            fed.append(chosen[-1])
        return chosen, torch.stack(scores), positions

    @torch.no_grad()
    def velocities(self, contexts: Sequence[Sequence[Segment]], x: Tensor, grid: tuple[int, int], time: float) -> list[Tensor]:
        packed = self.pack([[*context, Latent(tokens=x, grid=grid, time=time, noised=True)] for context in contexts])
        velocity = self.bagel.velocity(packed)
        return list(velocity[packed.noised].split(len(x)))

    def guide(self, v: Tensor, no_text: Tensor | None, no_image: Tensor | None, guidance: Guidance) -> Tensor:
        return flow.guide(
            v,
            no_text,
            no_image,
            text_scale=guidance.text_scale,
            image_scale=guidance.image_scale,
            renorm=guidance.renorm,  # type: ignore[arg-type]
            renorm_min=guidance.renorm_min,
        )

    def sample(
        self,
        branches: tuple[Sequence[Segment], Sequence[Segment], Sequence[Segment]],
        noise: Tensor,
        grid: tuple[int, int],
        *,
        timesteps: int,
        shift: float,
        guidance: Guidance,
    ) -> Sampled:
        times = flow.time_grid(timesteps - 1, shift).tolist()
        x, xs, vs = noise, [], []
        for time, following in itertools.pairwise(times):
            found = self.velocities(branches, x, grid, time)
            v = self.guide(*found, guidance) if guidance.low < time <= guidance.high else found[0]
            xs.append(x)
            vs.append(v)
            x = x - v * (time - following)
        return Sampled(times=times[:-1], xs=torch.stack(xs), vs=torch.stack(vs), final=x)

    def allowed(self, segments: Sequence[Segment]) -> Tensor:
        return attention.allowed(self.pack([segments]).layouts[0])

    def shifted_time(self, draw: float, shift: float) -> float:
        return float(flow.shift_timestep(torch.tensor(draw).sigmoid(), shift))

    def train(
        self,
        samples: Sequence[Sequence[Segment]],
        flows: Sequence[Flow],
        *,
        importance: Tensor | None = None,
        text_weight: float = 1.0,
        flow_weight: float = 1.0,
        freeze_understanding: bool = False,
        gradients: bool = True,
    ) -> Trained:
        packed = self.pack(samples)
        self.bagel.zero_grad(set_to_none=True)
        streams = self.bagel.hidden(packed, frozen=freeze_understanding)
        text_losses = F.cross_entropy(self.bagel.logits(streams.understand[packed.label_places]), packed.labels, reduction="none")
        found = self.bagel.latent_out(streams.generate)[packed.noised]
        target = flow.target_velocity(torch.cat([each.data for each in flows]), torch.cat([each.noise for each in flows]))
        flow_losses = (found - target).square()
        weight = torch.ones(len(text_losses)) if importance is None else packed.label_weights
        if gradients:
            (text_weight * (text_losses * weight).sum() / weight.sum() + flow_weight * flow_losses.mean()).backward()
        found_gradients = {
            name: parameter.grad
            for name, parameter in checkpoint.published_parameters(self.bagel).items()
            if parameter.grad is not None
        }
        self.bagel.zero_grad(set_to_none=True)
        return Trained(
            hidden=packed.in_sequence(streams.joined()).detach(),
            text_losses=text_losses.detach(),
            flow_losses=flow_losses.detach(),
            gradients=found_gradients,
        )


class CachedDriver(PackageDriver):
    """The package over a cache: contexts grow segment by segment, and the two generation loops start from them."""

    def run(self, segments: Sequence[Segment]) -> Run:
        return self.prefill(segments)[1]

    @torch.no_grad()
    def prefill(self, segments: Sequence[Segment]) -> tuple[Branch, Run]:
        """The context of these segments, each appended to what is cached of the ones before it."""
        branch, parts = Branch(), []
        for segment in segments:
            packed = self.pack([[segment]], [branch.position])
            length = sum(packed.lengths)
            cache = branch.cache
            if length:
                space = self.space([cache], length)
                hidden = self.bagel.hidden(packed, space)
                cache = cache.append(*space.added(0, length))
                order = [
                    packed.in_sequence(each) for each in (packed.positions, self.bagel.embed(packed).joined(), hidden.joined())
                ]
                parts.append(order)
            branch = Branch(cache, packed.ends[0])
        positions, embeddings, hidden = (torch.cat(each) for each in zip(*parts, strict=True))
        keys, values = branch.cache.tensors()
        layout = self.pack([segments]).layouts[0]
        run = Run(
            positions=positions,
            embeddings=embeddings,
            hidden=hidden,
            keys=list(keys),
            values=list(values),
            segments=_segment_of_token(segments, layout),
        )
        return branch, run

    def state(self, segments: Sequence[Segment]) -> tuple[int, int]:
        branch = self.branch(segments)
        return len(branch.cache), branch.position

    def branch(self, segments: Sequence[Segment]) -> Branch:
        return self.prefill(segments)[0] if segments else Branch()

    @torch.no_grad()
    def greedy(self, segments: Sequence[Segment], *, start: int, stop: int, steps: int) -> tuple[list[int], Tensor, list[int]]:
        branch = self.branch(segments)
        space = self.space([branch.cache], steps)
        fed, chosen, scores, positions = start, [], [], []
        while len(chosen) < steps and stop not in chosen:
            packed = self.pack([[Text(ids=[fed])]], [branch.position + len(chosen)])
            scores.append(self.logits(self.bagel.hidden(packed, space).understand)[0])
            space.grow(1)
            positions.append(int(packed.positions[0]))
            fed = int(scores[-1].argmax())
            chosen.append(fed)
        (written,) = generate_ids(self.checkpoint, [branch], WritingConfig(max_tokens=steps))
        assert list(written) == [each for each in chosen if each != stop]
        return chosen, torch.stack(scores), positions

    @torch.no_grad()
    def velocities(self, contexts: Sequence[Sequence[Segment]], x: Tensor, grid: tuple[int, int], time: float) -> list[Tensor]:
        branches = [self.branch(context) for context in contexts]
        image = Latent(tokens=x, grid=grid, time=time, noised=True)
        packed = self.pack([[image]] * len(contexts), [branch.position for branch in branches])
        space = self.space([branch.cache for branch in branches], max(packed.lengths))
        return list(self.bagel.velocity(packed, space).split(len(x)))

    @torch.no_grad()
    def sample(
        self,
        branches: tuple[Sequence[Segment], Sequence[Segment], Sequence[Segment]],
        noise: Tensor,
        grid: tuple[int, int],
        *,
        timesteps: int,
        shift: float,
        guidance: Guidance,
    ) -> Sampled:
        full, no_text, no_image = (self.branch(each) for each in branches)
        canvas = Canvas(noise=noise, grid=grid, full=full, no_text=no_text, no_image=no_image)
        steps: list[tuple[float, Tensor, Tensor]] = []
        sampling = SamplingConfig(evaluations=timesteps - 1, shift=shift, guidance=to_config(guidance))
        (final,) = generate_latents(self.checkpoint, [canvas], sampling, steps=steps)
        return Sampled(
            times=[time for time, _, _ in steps],
            xs=torch.stack([x for _, x, _ in steps]),
            vs=torch.stack([v for _, _, v in steps]),
            final=final,
        )


def to_config(guidance: Guidance) -> GuidanceConfig:
    return GuidanceConfig(
        text_scale=guidance.text_scale,
        image_scale=guidance.image_scale,
        interval=(guidance.low, guidance.high),
        renorm=guidance.renorm,  # type: ignore[arg-type]
        renorm_min=guidance.renorm_min,
    )


def _segment_of_token(segments: Sequence[Segment], layout: attention.Layout) -> list[int]:
    """For every token the place of its segment in the list; a gap has no tokens."""
    places = [place for place, segment in enumerate(segments) if not isinstance(segment, Gap)]
    return [place for place, (length, _) in zip(places, layout, strict=True) for _ in range(length)]

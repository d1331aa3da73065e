"""The two loops: `generate_latents` over denoising steps, `generate_tokens` over tokens. Both batched over contexts.

They start from branches that are already computed, and never change them: what they add lives in a workspace of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from bagel_world.errors import OutputError
from bagel_world.model.cache import Workspace
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.model.flow import guide, interpolate, multistep_weights, target_velocity, time_grid
from bagel_world.model.packing import LatentSegment, Packed, TextSegment, pack
from bagel_world.world.config import SamplingConfig, WritingConfig
from bagel_world.world.context import Branch

Grid = tuple[int, int]

_SEEDS = 2**64


def generator_of(seed: int) -> torch.Generator:
    """The generator of a seed, any whole number. Drawn from on the CPU: the same on every device and in every batch."""
    return torch.Generator().manual_seed(int(seed) % _SEEDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """One image to be painted, and the pasts it is painted from.

    Attributes:
        noise: the start, [rows * columns, latent size].
        grid: (rows, columns).
        full: the whole context.
        no_text: the context without its last text; needed for text guidance.
        no_image: the context without images; needed for image guidance.
    """

    noise: Float[Tensor, "t z"]
    grid: Grid
    full: Branch
    no_text: Branch | None = None
    no_image: Branch | None = None


@dataclass(frozen=True, slots=True)
class _Pass:
    """One shape of forward: these branches of all canvases, ready to be run at any timestep."""

    packed: Packed
    space: Workspace
    copies: int

    @classmethod
    def over(cls, checkpoint: Checkpoint, canvases: Sequence[Canvas], branches: Sequence[Branch]) -> _Pass:
        bagel = checkpoint.bagel
        copies = len(branches) // len(canvases)
        samples = [[LatentSegment(tokens=canvas.noise, grid=canvas.grid, noised=True)] for canvas in canvases] * copies
        packed = pack(samples, checkpoint.rules, positions=[branch.position for branch in branches], device=bagel.device)
        space = Workspace(
            [branch.cache for branch in branches], bagel.cache_shape, max(packed.lengths), bagel.device, bagel.dtype
        )
        return cls(packed, space, copies)


def generate_latents(
    checkpoint: Checkpoint,
    canvases: Sequence[Canvas],
    sampling: SamplingConfig,
    *,
    steps: list[tuple[float, Tensor, Tensor]] | None = None,
) -> list[Float[Tensor, "t z"]]:
    """Paint every canvas: from noise at t = 1 to latent tokens at t = 0.

    Args:
        checkpoint: the model.
        canvases: one per image.
        sampling: solver, number of evaluations, guidance.
        steps: where given, (t, tokens entering the step, guided velocity) of every step is appended; tokens of all canvases
            back to back.
    """
    guidance = sampling.guidance
    times = time_grid(sampling.evaluations, sampling.shift).tolist()
    plain = _Pass.over(checkpoint, canvases, [canvas.full for canvas in canvases])
    guided = _guided_pass(checkpoint, canvases, sampling) if any(map(guidance.active, times[:-1])) else None
    bagel, counts = checkpoint.bagel, [len(canvas.noise) for canvas in canvases]
    plans = {id(each): bagel.plan(each.packed, each.space) for each in (plain, guided) if each is not None}
    x = torch.cat([canvas.noise for canvas in canvases]).to(bagel.device)
    velocities: list[Tensor] = []
    for place, t in enumerate(times[:-1]):
        run = guided if guided is not None and guidance.active(t) else plain
        packed = replace(run.packed, latents=x.repeat(run.copies, 1), timesteps=torch.full_like(run.packed.timesteps, t))
        velocity = bagel.velocity(packed, run.space, plan=plans[id(run)])
        if run.copies > 1:
            velocity = _guide(velocity.chunk(run.copies), counts, sampling)
        if steps is not None:
            steps.append((t, x.clone(), velocity))
        velocities = [*velocities, velocity][-sampling.order :]
        weights = multistep_weights(times[place + 1 - len(velocities) : place + 1], times[place + 1])
        for weight, each in zip(weights, velocities, strict=True):
            x = x + weight * each
    return list(x.split(counts))


def _guided_pass(checkpoint: Checkpoint, canvases: Sequence[Canvas], sampling: SamplingConfig) -> _Pass:
    """All branches that guidance asks for, of all canvases, in one forward: first every full one."""
    names = sampling.guidance.branches
    branches = [getattr(canvas, name) for name in names for canvas in canvases]
    if any(branch is None for branch in branches):
        raise ValueError(f"Guidance needs these branches of every canvas: {', '.join(names)}.")
    return _Pass.over(checkpoint, canvases, branches)


def _guide(velocities: Sequence[Float[Tensor, "s z"]], counts: Sequence[int], sampling: SamplingConfig) -> Float[Tensor, "s z"]:
    """Guide image by image: the global norm is that of one image, whatever shares the batch."""
    guidance = sampling.guidance
    parts = zip(*(velocity.split(counts) for velocity in velocities), strict=True)
    named = [dict(zip(guidance.branches, each, strict=True)) for each in parts]
    return torch.cat(
        [
            guide(
                each["full"],
                each.get("no_text"),
                each.get("no_image"),
                text_scale=guidance.text_scale,
                image_scale=guidance.image_scale,
                renorm=guidance.renorm,
                renorm_min=guidance.renorm_min,
            )
            for each in named
        ]
    )


def latent_losses(
    checkpoint: Checkpoint, canvases: Sequence[Canvas], latents: Sequence[Float[Tensor, "t z"]], times: Sequence[float]
) -> Float[Tensor, "n"]:
    """How badly the model expects these latents: its flow-matching loss on them, averaged over timesteps, one per canvas.

    Args:
        checkpoint: the model.
        canvases: each with the noise that its latents are mixed with; guidance plays no part.
        latents: clean latent tokens, one per canvas.
        times: where on the way from data (0) to noise (1).
    """
    bagel, counts = checkpoint.bagel, [len(canvas.noise) for canvas in canvases]
    run = _Pass.over(checkpoint, canvases, [canvas.full for canvas in canvases])
    plan = bagel.plan(run.packed, run.space)
    noise = torch.cat([canvas.noise for canvas in canvases]).to(bagel.device)
    data = torch.cat(list(latents)).to(bagel.device)
    losses = torch.zeros(len(canvases), device=bagel.device)
    for t in times:
        mixed = interpolate(data, noise, torch.full_like(noise[:, :1], t))
        packed = replace(run.packed, latents=mixed, timesteps=torch.full_like(run.packed.timesteps, t))
        missed = bagel.velocity(packed, run.space, plan=plan).float() - target_velocity(data, noise)
        losses += torch.stack([each.square().mean() for each in missed.split(counts)])
    return _finite(losses / len(times))


def next_logits(checkpoint: Checkpoint, branches: Sequence[Branch]) -> Float[Tensor, "b y"]:
    """The logits of the first token of a text behind every branch."""
    bagel = checkpoint.bagel
    packed = pack(
        [[TextSegment(ids=(checkpoint.tokenizer.begin,))] for _ in branches],
        checkpoint.rules,
        positions=[branch.position for branch in branches],
        device=bagel.device,
    )
    space = Workspace([branch.cache for branch in branches], bagel.cache_shape, 1, bagel.device, bagel.dtype)
    return _finite(bagel.logits(bagel.hidden(packed, space).understand))


def generate_ids(
    checkpoint: Checkpoint,
    branches: Sequence[Branch],
    writing: WritingConfig,
    *,
    generators: Sequence[torch.Generator] | None = None,
) -> list[tuple[int, ...]]:
    """Write behind every branch, until the end mark or the token limit.

    Args:
        checkpoint: the model.
        branches: one per text.
        writing: limit and temperature.
        generators: one per text, on the CPU; needed for a temperature above 0.

    Returns:
        The new ids of every text, without begin and end marks.
    """
    written: list[list[int]] = [[] for _ in branches]
    for step in generate_tokens(checkpoint, branches, writing, generators=generators):
        for ids, token in zip(written, step, strict=True):
            if token is not None and token != checkpoint.tokenizer.end:
                ids.append(token)
    return [tuple(ids) for ids in written]


def generate_tokens(
    checkpoint: Checkpoint,
    branches: Sequence[Branch],
    writing: WritingConfig,
    *,
    generators: Sequence[torch.Generator] | None = None,
    starts: Sequence[Sequence[int]] | None = None,
) -> Iterator[list[int | None]]:
    """Write behind every branch, token by token: what `generate_ids` returns, as it comes.

    Args:
        checkpoint: the model.
        branches: one per text.
        writing: limit and temperature.
        generators: one per text, on the CPU; needed for a temperature above 0.
        starts: ids that a text has to begin with, one tuple per text; they are yielded like any other.

    Yields:
        The next id of every text; the last one is the end mark, behind it comes None. Ends when all texts have.
    """
    bagel, tokenizer = checkpoint.bagel, checkpoint.tokenizer
    if writing.temperature > 0 and generators is None:
        raise ValueError("Sampling text at a temperature above 0 needs one generator per context.")
    space = Workspace([branch.cache for branch in branches], bagel.cache_shape, writing.max_tokens, bagel.device, bagel.dtype)
    fed = [tokenizer.begin] * len(branches)
    finished = [False] * len(branches)
    for step in range(writing.max_tokens):
        positions = [branch.position + step for branch in branches]
        packed = pack([[TextSegment(ids=(each,))] for each in fed], checkpoint.rules, positions=positions, device=bagel.device)
        logits = _finite(bagel.logits(bagel.hidden(packed, space).understand))
        space.grow(1)
        chosen = _choose(logits, writing.temperature, generators)
        fed = [start[step] if step < len(start) else each for start, each in zip(starts or [()] * len(fed), chosen, strict=True)]
        yield [None if over else token for over, token in zip(finished, fed, strict=True)]
        finished = [over or token == tokenizer.end for over, token in zip(finished, fed, strict=True)]
        if all(finished):
            break


def _finite(values: Tensor) -> Tensor:
    if not bool(torch.isfinite(values).all()):
        raise OutputError("Expected finite output of the model, got NaN or infinity. Check its weights and dtype.")
    return values


def _choose(logits: Float[Tensor, "b y"], temperature: float, generators: Sequence[torch.Generator] | None) -> list[int]:
    """The next id of every row; each row draws from its own generator."""
    if temperature == 0 or generators is None:
        return logits.argmax(-1).tolist()
    logits = logits.float()
    # The largest is 0 then: a temperature near 0 cannot make it infinite.
    chances = torch.softmax((logits - logits.amax(-1, keepdim=True)) / temperature, dim=-1).cpu()
    return [int(torch.multinomial(row, 1, generator=each)) for row, each in zip(chances, generators, strict=True)]

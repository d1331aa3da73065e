"""Batches: what one slice of a training step needs, from windows of walks or from a pack of samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bagel_world.model.packing import LatentSegment, Packed, PackingRules, pack
from bagel_world.training.data.interleave import WalkSample, WalkSampler
from bagel_world.training.data.segments import SegmentedSample

_AHEAD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """Which context tokens of a pack give way to what the model takes a noised copy of the same frame for.

    Errors of its own painting are what a model meets in a rollout; one that has learned from them drifts less (scheduled
    sampling, arXiv 1506.03099).

    Attributes:
        places: rows of the latent tokens that give way.
        sources: rows of the noised tokens that are estimated, the noisiest copy of each frame.
        timesteps: noise levels of the sources.
    """

    places: Int[Tensor, " e"]
    sources: Int[Tensor, " e"]
    timesteps: Float[Tensor, " e"]

    def put(self, packed: Packed, velocity: Float[Tensor, "l z"]) -> Packed:
        """The pack with estimates in place.

        Args:
            packed: the pack.
            velocity: the model's velocity at every latent token of it.
        """
        assert packed.latents is not None
        latents = packed.latents.clone()
        estimates = packed.latents[self.sources] - self.timesteps[:, None] * velocity[self.sources]
        latents[self.places] = estimates.to(latents.dtype)
        return replace(packed, latents=latents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Windows or samples, packed.

    Attributes:
        packed: the pack.
        targets: velocity at its noised tokens, in sequence order.
        estimates: what the model is to imagine itself first; None where nothing is.
        velocity_share: its noised tokens over the mean of the slices of its step: the losses of slices average to that of all.
        text_share: its tokens that predict (or the sum of their weights), likewise.
    """

    packed: Packed
    targets: Float[Tensor, "n z"]
    estimates: Estimates | None = None
    velocity_share: float = 1.0
    text_share: float = 1.0

    @property
    def tokens(self) -> int:
        """Tokens in the sequence."""
        return len(self.packed.order)

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name, to look at what went wrong."""
        packed = {each.name: getattr(self.packed, each.name) for each in fields(self.packed)}
        return {"targets": self.targets, **{name: value for name, value in packed.items() if isinstance(value, Tensor)}}

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        if device.type == "cpu":
            return self
        estimates = self.estimates
        if estimates is not None:
            places, sources, times = (each.to(device) for each in (estimates.places, estimates.sources, estimates.timesteps))
            estimates = Estimates(places=places, sources=sources, timesteps=times)
        return replace(self, packed=self.packed.to(device), targets=self.targets.to(device), estimates=estimates)


def collate_walks(samples: Sequence[WalkSample], rules: PackingRules) -> Batch:
    """Pack windows."""
    return Batch(
        packed=pack([sample.segments for sample in samples], rules),
        targets=torch.cat([sample.targets for sample in samples]),
        estimates=_estimates(samples),
    )


def collate_samples(samples: Sequence[SegmentedSample], rules: PackingRules) -> Batch:
    """Pack samples."""
    return Batch(packed=pack([each.segments for each in samples], rules), targets=torch.cat([each.targets for each in samples]))


def shares(weights: Sequence[float]) -> list[float]:
    """The weight of every slice over their mean: losses that have it as a factor average to the loss of all of them."""
    mean = sum(weights) / len(weights)
    return [weight / mean if mean else 1.0 for weight in weights]


def _estimates(samples: Sequence[WalkSample]) -> Estimates | None:
    places, sources, times = [], [], []
    offset = 0
    for sample in samples:
        noisiest: tuple[int, LatentSegment] | None = None
        frame = -1  # of the clean frames; the first is no candidate
        for segment in sample.segments:
            if not isinstance(segment, LatentSegment):
                continue
            count = len(segment.tokens)
            if segment.noised:
                if noisiest is None or segment.timestep > noisiest[1].timestep:
                    noisiest = offset, segment
            else:
                if frame >= 0 and sample.imagined[frame]:
                    assert noisiest is not None, "a frame is painted before it is context"
                    places.append(torch.arange(offset, offset + count))
                    sources.append(torch.arange(noisiest[0], noisiest[0] + count))
                    times.append(torch.full((count,), noisiest[1].timestep))
                frame, noisiest = frame + 1, None
            offset += count
    if not places:
        return None
    return Estimates(places=torch.cat(places), sources=torch.cat(sources), timesteps=torch.cat(times))


class WalkBatches(Dataset[Batch]):
    """The slices of all steps by number: slice `s` of step `k` is number `k * slices + s`, and always the same.

    Args:
        sampler: draws the windows.
        rules: how they are packed.
        batch: windows per step.
        slices: parts of a step, at most one per window; where they cannot be equal, some have a window more.
        balanced: whether tokens of texts are weighed by 1 / sqrt(length).
    """

    def __init__(self, sampler: WalkSampler, rules: PackingRules, *, batch: int, slices: int, balanced: bool = False) -> None:
        self.sampler = sampler
        self._rules = rules
        self._batch = batch
        self.slices = slices
        self._balanced = balanced

    def __getitem__(self, number: int) -> Batch:
        """Draw and pack one slice."""
        step, part = divmod(number, self.slices)
        parts = [range(each * self._batch // self.slices, (each + 1) * self._batch // self.slices) for each in range(self.slices)]
        batch = collate_walks([self.sampler.window(step, place) for place in parts[part]], self._rules)
        noised = shares([len(places) for places in parts])
        texts = shares(
            [sum(self.sampler.predicted(step, place, balanced=self._balanced) for place in places) for places in parts]
        )
        return replace(batch, velocity_share=noised[part], text_share=texts[part])

    def ahead(self, first: int, last: int, loaders: int) -> Iterator[Batch]:
        """The slices `first` to `last` - 1, made ahead of time by that many processes."""
        loader: DataLoader[Batch] = DataLoader(
            self,
            sampler=range(first, last),  # pyright: ignore[reportArgumentType] - any sized iterable of indices will do
            batch_size=None,
            num_workers=loaders,
            prefetch_factor=_AHEAD,
        )
        return iter(loader)

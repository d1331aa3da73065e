"""Batches of walks: what one slice of a training step needs, drawn where it is used or ahead of time by other processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bagel_world.model.packing import LatentSegment, Packed, PackingRules, pack
from bagel_world.training.data.interleave import WalkSample, WalkSampler

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
        latents[self.places] = packed.latents[self.sources] - self.timesteps[:, None] * velocity[self.sources]
        return replace(packed, latents=latents)


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkBatch:
    """Windows, packed.

    Attributes:
        packed: the pack.
        targets: velocity at its noised tokens, in sequence order.
        estimates: what the model is to imagine itself first; None where nothing is.
    """

    packed: Packed
    targets: Float[Tensor, "n z"]
    estimates: Estimates | None

    def to(self, device: torch.device) -> WalkBatch:
        """The same batch on another device."""
        if device.type == "cpu":
            return self
        estimates = self.estimates
        if estimates is not None:
            places, sources, times = (each.to(device) for each in (estimates.places, estimates.sources, estimates.timesteps))
            estimates = Estimates(places=places, sources=sources, timesteps=times)
        return WalkBatch(packed=self.packed.to(device), targets=self.targets.to(device), estimates=estimates)


def collate_walks(samples: Sequence[WalkSample], rules: PackingRules) -> WalkBatch:
    """Pack windows."""
    return WalkBatch(
        packed=pack([sample.segments for sample in samples], rules),
        targets=torch.cat([sample.targets for sample in samples]),
        estimates=_estimates(samples),
    )


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


class WalkBatches(Dataset[WalkBatch]):
    """The slices of all steps by number: slice `s` of step `k` is number `k * slices + s`, and always the same.

    Args:
        sampler: draws the windows.
        rules: how they are packed.
        batch: windows per step.
        slices: parts of a step.
    """

    def __init__(self, sampler: WalkSampler, rules: PackingRules, *, batch: int, slices: int) -> None:
        self.sampler = sampler
        self._rules = rules
        self._slices = slices
        self._share = batch // slices

    def __getitem__(self, number: int) -> WalkBatch:
        """Draw and pack one slice."""
        step, part = divmod(number, self._slices)
        places = range(part * self._share, (part + 1) * self._share)
        return collate_walks([self.sampler.window(step, place) for place in places], self._rules)

    def ahead(self, first: int, last: int, loaders: int) -> Iterator[WalkBatch]:
        """The slices `first` to `last` - 1, made ahead of time by that many processes."""
        loader: DataLoader[WalkBatch] = DataLoader(
            self,
            sampler=range(first, last),  # pyright: ignore[reportArgumentType] - any sized iterable of indices will do
            batch_size=None,
            num_workers=loaders,
            prefetch_factor=_AHEAD,
        )
        return iter(loader)

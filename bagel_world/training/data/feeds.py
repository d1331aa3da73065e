"""What a training learns from, step by step: windows of recorded walks, packs of interleaved samples, or both.

Both kinds give the slices of a step as calls that make them, so that the making is shared by the threads of the step, and both
can tell where they are. The losses of a step's slices average to the loss over all their tokens, however those are spread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from bagel_world.errors import TrainingError
from bagel_world.model.packing import PackingRules, TextSegment
from bagel_world.training.data.batches import Batch, WalkBatches, collate_samples, shares
from bagel_world.training.data.budget import Packer
from bagel_world.training.data.segments import SegmentedSample, Segmenter
from bagel_world.training.data.stream import Drawn

Slice = Callable[[], Batch]
"""Makes a batch, always the same one; called in the thread that learns from it."""


class Feed(Protocol):
    """Where the trainer's batches come from."""

    @property
    def capacity(self) -> int | None:
        """Most tokens of a slice; None where slices have no such limit."""
        ...

    @property
    def shows_vit(self) -> bool:
        """Whether images may be shown through the ViT."""
        ...

    def slices(self, step: int) -> list[Slice]:
        """The slices of a step; steps are asked for in order."""
        ...

    def position(self) -> dict[str, Any]:
        """Where the feed is, behind the last step it gave, as JSON values."""
        ...

    def restore(self, position: Mapping[str, Any]) -> None:
        """Go on from a position."""
        ...


class WalkFeed:
    """Windows of walks; a step's windows depend on its number alone.

    Args:
        batches: the slices of all steps by number.
        steps: how many steps there will be; needed to make their batches ahead.
        loaders: processes that make batches ahead of time; 0 leaves it to whoever asks.
    """

    capacity = None
    shows_vit = False

    def __init__(self, batches: WalkBatches, *, steps: int = 1, loaders: int = 0) -> None:
        self.batches = batches
        self._steps, self._loaders = steps, loaders
        self._ahead: Iterator[Batch] | None = None

    def slices(self, step: int) -> list[Slice]:
        count = self.batches.slices
        numbers = range(step * count, (step + 1) * count)
        if not self._loaders:
            return [partial(self.batches.__getitem__, number) for number in numbers]
        if self._ahead is None:
            self._ahead = self.batches.ahead(numbers[0], self._steps * count, self._loaders)
        return [partial(_given, next(self._ahead)) for _ in numbers]

    def position(self) -> dict[str, Any]:
        return {}

    def restore(self, position: Mapping[str, Any]) -> None:
        if position:
            raise TrainingError("This run learned from samples too, and now from walks alone. Train in another run folder.")


class SampleFeed:
    """Packs of samples; a slice is one pack.

    Args:
        packer: fills the packs.
        rules: the numbers of the model.
        batch: packs per step.
        balanced: whether tokens of texts are weighed by 1 / sqrt(length).
        ahead: draw the packs of the next step while this one is learned from.
    """

    shows_vit = True

    def __init__(
        self,
        packer: Packer[SegmentedSample],
        rules: PackingRules,
        *,
        batch: int,
        balanced: bool = False,
        ahead: bool = False,
    ) -> None:
        self.capacity = packer.config.tokens
        self._packer = packer
        self._rules = rules
        self._batch = batch
        self._balanced = balanced
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="packs") if ahead else None
        self._next: Future[list[list[SegmentedSample]]] | None = None
        self._position = packer.position()

    def slices(self, step: int) -> list[Slice]:
        packs = self._draw() if self._next is None else self._next.result()
        self._position = self._packer.position()
        self._next = None if self._pool is None else self._pool.submit(self._draw)
        noised = shares([sum(len(each.targets) for each in pack) for pack in packs])
        texts = shares([sum(_predicting(each, balanced=self._balanced) for each in pack) for pack in packs])
        return [
            partial(_packed, pack, self._rules, velocity_share=one, text_share=other)
            for pack, one, other in zip(packs, noised, texts, strict=True)
        ]

    def position(self) -> dict[str, Any]:
        return self._position

    def restore(self, position: Mapping[str, Any]) -> None:
        if "walks" in position or not position:
            raise TrainingError("This run learned from walks too, and now from samples alone. Train in another run folder.")
        if self._next is not None:
            self._next.exception()  # waits; whatever came of it is drawn anew or no longer wanted
            self._next = None
        self._packer.restore(position)
        self._position = self._packer.position()

    def _draw(self) -> list[list[SegmentedSample]]:
        return [next(self._packer) for _ in range(self._batch)]


class MixedFeed:
    """Windows of walks and packs of samples in every step; the losses of both add up, each averaged over its own tokens."""

    capacity = None
    shows_vit = True

    def __init__(self, walks: WalkFeed, samples: SampleFeed) -> None:
        self._walks, self._samples = walks, samples

    def slices(self, step: int) -> list[Slice]:
        parts = (self._walks.slices(step), self._samples.slices(step))
        total = sum(map(len, parts))
        return [partial(_scaled, make, total / len(part)) for part in parts for make in part]

    def position(self) -> dict[str, Any]:
        return {"walks": self._walks.position(), "samples": self._samples.position()}

    def restore(self, position: Mapping[str, Any]) -> None:
        if set(position) != {"walks", "samples"}:
            raise TrainingError("This run learned from one kind of data, and now from two. Train in another run folder.")
        self._walks.restore(position["walks"])
        self._samples.restore(position["samples"])


def segmenting(segmenter: Segmenter, *, writing: bool) -> Callable[[Drawn], SegmentedSample]:
    """What a stream makes of a draw for a `SampleFeed`.

    Args:
        segmenter: cuts samples into segments.
        writing: whether texts are learned; without, a sample that teaches nothing else is damage.
    """

    def prepare(drawn: Drawn) -> SegmentedSample:
        found = segmenter(drawn.sample, drawn.rng())
        if not writing and not len(found.targets):
            raise TrainingError(
                f"Sample {drawn.sample.sample_id!r} teaches only texts, and mot.text_weight is 0. "
                "Raise it, or leave such samples out."
            )
        return found

    return prepare


def _given(batch: Batch) -> Batch:
    return batch


def _scaled(make: Slice, factor: float) -> Batch:
    batch = make()
    return replace(batch, velocity_share=factor * batch.velocity_share, text_share=factor * batch.text_share)


def _packed(samples: Sequence[SegmentedSample], rules: PackingRules, **shares: float) -> Batch:
    return replace(collate_samples(samples, rules), **shares)


def _predicting(sample: SegmentedSample, *, balanced: bool) -> float:
    counts = [len(each.ids) - 1 for each in sample.segments if isinstance(each, TextSegment) and each.loss]
    return sum(count**0.5 for count in counts) if balanced else sum(counts)

"""Bring contexts up to date: run the model over everything they recorded since it last ran.

All pending segments of all contexts go through one packed forward. Where contexts share a past that has not been computed yet,
the shared part runs first, once. Every node on the way remembers the keys and values up to itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Literal, TypeVar
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from bagel_world.errors import ConfigError
from bagel_world.images import to_pixels
from bagel_world.model.attention import Layout
from bagel_world.model.cache import Workspace
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.model.packing import LatentSegment, Segment, TextSegment, VitSegment, pack, to_tokens
from bagel_world.types import Frame
from bagel_world.world.context import Branch, Context, Node, Said, Seen

BranchName = Literal["full", "no_image"]
Run = list[Node]
"""Nodes behind each other that are computed in one go."""


def pixels_of(frames: Sequence[Frame], device: torch.device) -> Float[Tensor, "b 3 h w"]:
    """Frames of one size as a batch of pixels."""
    return torch.stack([torch.from_numpy(to_pixels(frame)) for frame in frames]).to(device)


@dataclass(frozen=True, slots=True)
class Prefill:
    """Fills the nodes of contexts with what a checkpoint makes of them.

    Attributes:
        checkpoint: the model.
        latents: those of every frame that somebody still remembers; frames outlive the contexts they are re-encoded in.
    """

    checkpoint: Checkpoint
    latents: WeakKeyDictionary[Seen, Float[Tensor, "z h w"]] = field(default_factory=WeakKeyDictionary)

    def fill(self, contexts: Sequence[Context], name: BranchName = "full") -> list[Branch]:
        """The branch of every context, computed as far as it was not.

        Raises:
            ConfigError: a context of another world. What that world read of it stays as it is.
        """
        self.check(contexts)
        while runs := _next_runs([context.node for context in contexts], name):
            self._run(runs, name)
        return [_branch(context.node, name) for context in contexts]

    def check(self, contexts: Sequence[Context]) -> None:
        """Look whether this checkpoint can read these contexts.

        Raises:
            ConfigError: one is of another world, or none at all.
        """
        for context in contexts:
            if not isinstance(context, Context) or not context.reader.reads_as(self.checkpoint):
                raise ConfigError(
                    "Expected contexts that worlds of this checkpoint began, got one of another world. Begin anew with "
                    "`observe`, or restore its state."
                )

    def _run(self, runs: Sequence[Run], name: BranchName) -> None:
        """One packed forward over these runs; every node then knows its branch."""
        bagel = self.checkpoint.bagel
        if name == "full":
            self._encode(runs)
            segments = [[self._segments(node) for node in run] for run in runs]
        else:
            segments = [[_texts(node) for node in run] for run in runs]
        parents = [_branch(run[0].parent, name) for run in runs]
        caches = [parent.cache for parent in parents]
        layouts: list[Layout] = [()] * len(runs)
        told = [row for row, parts in enumerate(segments) if any(parts)]  # without images, some have nothing to read
        if told:
            packed = pack(
                [[segment for part in segments[row] for segment in part] for row in told],
                self.checkpoint.rules,
                positions=[parents[row].position for row in told],
                device=bagel.device,
            )
            before = [caches[row] for row in told]
            space = Workspace(before, bagel.cache_shape, max(packed.lengths), bagel.device, bagel.dtype)
            bagel.remember(packed, space)
            for place, row in enumerate(told):
                caches[row] = caches[row].append(*space.added(place, packed.lengths[place]))
                layouts[row] = packed.layouts[place]
        for run, parts, parent, cache, layout in zip(runs, segments, parents, caches, layouts, strict=True):
            length, position, splits = len(parent.cache), parent.position, iter(layout)
            for node, part in zip(run, parts, strict=True):
                for segment, (tokens, _) in zip(part, splits, strict=False):
                    length += tokens
                    position += len(segment.ids) if isinstance(segment, TextSegment) else 1
                setattr(node, name, Branch(cache.truncate(length), position))
            run[-1].cut = run[-1].cut or name == "full"

    def _encode(self, runs: Sequence[Run]) -> None:
        """Latents of all frames in these runs that have none yet.

        The first frames of all runs make a batch, then the second ones, and so on: a single world always encodes frame by
        frame, so that one that is restored, or evicts, finds the very bits it had.
        """
        columns = zip_longest(*([node.event for node in run if isinstance(node.event, Seen)] for run in runs))
        for column in columns:
            new = [event for event in column if event is not None and self._lacks_latents(event)]
            for same in _by(new, lambda event: (event.frame.shape, event.noise is None)):
                drawn = [event.noise for event in same if event.noise is not None]
                noise = torch.stack(drawn).to(self.checkpoint.bagel.device) if drawn else None
                pixels = pixels_of([event.frame for event in same], self.checkpoint.bagel.device)
                self.latents.update(zip(same, self.checkpoint.vae.encode(pixels, noise), strict=True))

    def _lacks_latents(self, event: Seen) -> bool:
        return event.see != "vit" and event.latents is None and event not in self.latents

    def _segments(self, node: Node) -> list[Segment]:
        """What the full branch gets to see of an event."""
        event = node.event
        if isinstance(event, Said):
            return [TextSegment(ids=event.ids)]
        assert event is not None
        config = self.checkpoint.config
        segments: list[Segment] = []
        if event.see != "vit":
            each = self.latents[event] if event.latents is None else event.latents.to(self.checkpoint.bagel.device)
            patch = config.latent_patch_size
            grid = (each.shape[1] // patch, each.shape[2] // patch)
            segments.append(LatentSegment(tokens=to_tokens(each, patch), grid=grid))
        if event.see != "latents":
            segments.append(vit_segment(self.checkpoint, event.frame))
        return segments


def vit_segment(checkpoint: Checkpoint, frame: Frame) -> VitSegment:
    """A frame as the ViT sees it."""
    return VitSegment(pixels=pixels_of([checkpoint.config.world.transforms.vit.apply(frame)], checkpoint.bagel.device)[0])


def _texts(node: Node) -> list[Segment]:
    """What the branch without images gets to see: texts, but no thoughts."""
    event = node.event
    return [TextSegment(ids=event.ids)] if isinstance(event, Said) and not event.thought else []


def _branch(node: Node | None, name: BranchName) -> Branch:
    assert node is not None
    branch = node.full if name == "full" else node.no_image
    assert branch is not None
    return branch


def _next_runs(nodes: Sequence[Node], name: BranchName) -> list[Run]:
    """For every context its next run, shared ones once; empty when all are filled."""
    paths = [_pending(node, name) for node in dict.fromkeys(nodes)]
    shares = Counter(id(node) for path in paths for node in path)
    runs: dict[int, Run] = {}
    for path in paths:
        if path and id(path[0]) not in runs:
            run = [path[0]]
            for node in path[1:]:
                if run[-1].cut or shares[id(node)] != shares[id(run[0])]:
                    break
                run.append(node)
            runs[id(path[0])] = run
    return list(runs.values())


def _pending(node: Node, name: BranchName) -> Run:
    """The nodes from the first unfilled one to this one."""
    path: Run = []
    current: Node | None = node
    while current is not None and getattr(current, name) is None:
        path.append(current)
        current = current.parent
    return path[::-1]


T = TypeVar("T")


def _by(values: Sequence[T], key: Callable[[T], object]) -> list[list[T]]:
    """Values in groups of equal key, in order of first appearance."""
    groups: dict[object, list[T]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return list(groups.values())

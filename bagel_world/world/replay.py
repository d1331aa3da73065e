"""Replay: an imagined episode imagined again from its provenance, and what is different about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bagel_world.errors import CapabilityError, RecordingError
from bagel_world.types import Episode, Frame, Thought
from bagel_world.world.protocol import Context, World
from bagel_world.world.provenance import provenance_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A frame that came out differently.

    Attributes:
        place: the frame's place in the episode, from 0 on.
        share: part of its values that differ, in (0, 1].
        largest: the largest difference of a value, 1..255.
        mean: the mean difference of all its values, 0..255.
    """

    place: int
    share: float
    largest: int
    mean: float


def replay(world: World, episode: Episode) -> Episode:
    """The same actions from the same context with the same noise, in this world.

    On the weights, versions and machine of the recording, the frames are equal bit for bit. Elsewhere the episode goes on from
    its own frames, so that differences grow.

    Args:
        world: imagines the frames.
        episode: an imagined one with its provenance.

    Returns:
        The episode as this world imagines it, with the metadata of the recorded one.

    Raises:
        RecordingError: the episode has no provenance, or a damaged one.
        StateError: this world does not read contexts of the recorded one.
        CapabilityError: thoughts were recorded, and this world cannot think.
    """
    provenance = provenance_of(episode)
    context = provenance.begin(world)
    if not context.frames or context.frames[-1].shape != episode.frames.shape[1:]:
        raise RecordingError("The context in the provenance does not end with a frame of the episode's size. Record it again.")
    frames: list[Frame] = [context.frames[-1]]
    thoughts: list[Thought | None] = []
    thought_seeds = provenance.thought_seeds or [None] * len(episode)
    for action, seed, thought_seed in zip(episode.actions, provenance.seeds, thought_seeds, strict=True):
        thought = None
        if seed is not None:
            context = context.say(action.text)
            if thought_seed is not None:
                thought = _think(world, context, thought_seed)
                context = context.say(thought)
            (context,) = world.advance([context], seeds=[seed])
        thoughts.append(thought)
        frames.append(context.frames[-1])
    return Episode(
        frames=np.stack(frames),
        actions=episode.actions,
        thoughts=None if provenance.thought_seeds is None else tuple(thoughts),
        metadata=episode.metadata,
    )


def differences(recorded: Frame, replayed: Frame) -> Iterator[Difference]:
    """The frames that differ.

    Args:
        recorded: uint8, shape (n, height, width, 3).
        replayed: of the same shape.

    Raises:
        RecordingError: another shape.
    """
    if recorded.shape != replayed.shape:
        raise RecordingError(f"Expected frames of shape {recorded.shape}, as recorded, got {replayed.shape}.")
    for place, (one, other) in enumerate(zip(recorded, replayed, strict=True)):
        apart = np.abs(one.astype(np.int16) - other)
        if apart.any():
            yield Difference(
                place=place, share=float((apart > 0).mean()), largest=int(apart.max()), mean=float(apart.mean(dtype=np.float64))
            )


def _think(world: Any, context: Context, seed: int) -> Thought:
    if not callable(getattr(world, "think", None)):
        raise CapabilityError(f"Thoughts were recorded in this episode, and {type(world).__name__} cannot think. Load another.")
    return world.think([context], seeds=[seed])[0]

"""Provenance of an imagined episode: JSON values from which its frames can be imagined again, bit for bit."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from bagel_world.errors import RecordingError
from bagel_world.types import Episode
from bagel_world.world.protocol import Context, World

PROVENANCE = "provenance"
"""The key of an episode's metadata."""

IMAGINED = "imagined"
"""The `source` in the metadata of episodes that a world imagined."""

_ARRAY = "$array"


class Provenance(BaseModel):
    """What decided the frames of an imagined episode."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    world: dict[str, JsonValue]
    """`World.provenance`: weights, sampler, context policy, versions."""
    start: dict[str, JsonValue]
    """The context that the episode began with, what came before its first frame included."""
    seeds: tuple[int | None, ...]
    """The noise seed of every step; None where the world imagined nothing and the frame stayed."""
    thought_seeds: tuple[int | None, ...] | None = None
    """The seed of every step's thought; None where nobody thought."""
    seed: int | None = None
    """What the seeds were derived from, for people."""
    checkpoint: str | None = None
    """The name by which the weights were loaded, where it is known."""

    @classmethod
    def of(cls, world: World, context: Context, *, seeds: Sequence[int | None], **settings: Any) -> Self:
        """The provenance of an episode of this world that began with this context."""
        return cls(world=dict(world.provenance), start=_to_json(context.get_state()), seeds=tuple(seeds), **settings)

    def begin(self, world: World) -> Context:
        """The context that the episode began with, in this world.

        Raises:
            StateError: the world does not read such contexts.
            RecordingError: the context is damaged.
        """
        return world.restore(_from_json(self.start))

    def to_json(self) -> dict[str, Any]:
        """JSON values, for the metadata of an episode."""
        return self.model_dump(mode="json", exclude_none=True) | {"seeds": list(self.seeds)}

    def changes(self, world: World) -> Iterator[tuple[str, Any, Any]]:
        """Where this world differs from the recorded one: (name, recorded, now), names of nested values joined by dots."""
        then, now = dict(_flat(self.world)), dict(_flat(dict(world.provenance)))
        for name in sorted(then.keys() | now.keys()):
            if then.get(name) != now.get(name):
                yield name, then.get(name), now.get(name)


def provenance_of(episode: Episode) -> Provenance:
    """The provenance of an imagined episode.

    Raises:
        RecordingError: the episode was not imagined, or its provenance is incomplete or damaged.
    """
    found = episode.metadata.get(PROVENANCE)
    if found is None:
        source = episode.metadata.get("source", "an unknown source")
        raise RecordingError(
            f"Expected an imagined episode with its provenance, got one of {source} without. Only what a world imagined can be "
            f"replayed: make one with `bagel-world rollout`, or with the Recorder of bagel_world.envs.wrappers."
        )
    try:
        provenance = Provenance.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RecordingError(
            f"The provenance of this episode cannot be read ({place}: {first['msg']}). It was recorded by another version or "
            f"was changed since; record the episode again."
        ) from error
    if len(provenance.seeds) != len(episode):
        raise RecordingError(
            f"Expected the provenance of {len(episode)} steps, got {len(provenance.seeds)} seeds. Record the episode again."
        )
    return provenance


def named(episode: Episode, checkpoint: str) -> Episode:
    """The episode with the name of its weights in the provenance, so that a replay knows what to load."""
    provenance = {**episode.metadata[PROVENANCE], "checkpoint": checkpoint}
    return replace(episode, metadata={**episode.metadata, PROVENANCE: provenance})


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", list(item) if isinstance(item, tuple) else item


def _to_json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        words = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
        return {_ARRAY: value.dtype.str, "shape": list(value.shape), "base64": words}
    if isinstance(value, Mapping):
        return {key: _to_json(item) for key, item in value.items()}
    return [_to_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY not in value:
        return {key: _from_json(item) for key, item in value.items()}
    try:
        words = base64.b64decode(value["base64"], validate=True)
        return np.frombuffer(words, np.dtype(value[_ARRAY])).reshape(value["shape"]).copy()
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(f"The provenance of this episode holds a damaged array ({error}). Record it again.") from error

"""One episode, one row: the parquet schema and the way between `Episode` and a row. Frames are PNG, so nothing is lost."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from bagel_world.errors import RecordingError
from bagel_world.types import Action, Episode, Frame, Thought

SCHEMA_VERSION = 1

SCHEMA = pa.schema(
    [
        pa.field("episode_id", pa.string(), nullable=False),
        pa.field("seed", pa.int64()),
        pa.field("split", pa.string()),
        pa.field("frames", pa.list_(pa.binary()), nullable=False),
        pa.field("action_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("action_texts", pa.list_(pa.string()), nullable=False),
        pa.field("poses", pa.list_(pa.list_(pa.float64(), 4))),
        pa.field("visible", pa.list_(pa.list_(pa.string()))),
        pa.field("thoughts", pa.list_(pa.string())),
        pa.field("metadata", pa.string(), nullable=False),
    ],
    metadata={"bagel_world.schema": str(SCHEMA_VERSION)},
)
"""A row: n + 1 PNG frames, poses and visible names; n actions (id null where an action has none) and thoughts.

`episode_id`, `seed` and `split` repeat metadata entries so that readers can filter without decoding frames.
"""

_PNG_LEVEL = 4


def encode_png(frame: Frame) -> bytes:
    """A frame as PNG bytes: lossless."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def decode_png(data: bytes) -> Frame:
    """The frame of PNG bytes: uint8, shape (height, width, 3).

    Raises:
        RecordingError: the bytes are not a readable image.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise RecordingError(f"Expected the bytes of a PNG frame, got {len(data)} unreadable bytes ({error}).") from error


def to_row(episode: Episode) -> dict[str, Any]:
    """The row of an episode; its metadata must name it under "episode_id".

    Raises:
        RecordingError: the metadata has no "episode_id", or holds something that is not JSON.
    """
    metadata = dict(episode.metadata)
    if not isinstance(metadata.get("episode_id"), str):
        raise RecordingError(
            f'Expected a text under "episode_id" in the metadata of an episode to store, got {metadata.get("episode_id")!r}.'
        )
    try:
        text = json.dumps(metadata, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecordingError(f"Episode {metadata['episode_id']} has metadata that is not JSON: {error}.") from error
    return {
        "episode_id": metadata["episode_id"],
        "seed": metadata.get("seed"),
        "split": metadata.get("split"),
        "frames": [encode_png(frame) for frame in episode.frames],
        "action_ids": [action.id for action in episode.actions],
        "action_texts": [action.text for action in episode.actions],
        "poses": None if episode.poses is None else episode.poses.tolist(),
        "visible": None if episode.visible is None else [list(names) for names in episode.visible],
        "thoughts": None
        if episode.thoughts is None
        else [None if thought is None else thought.text for thought in episode.thoughts],
        "metadata": text,
    }


def from_row(row: Mapping[str, Any]) -> Episode:
    """The episode of a row.

    Raises:
        RecordingError: a frame is unreadable or the columns do not fit together.
    """
    poses, visible, thoughts = row["poses"], row["visible"], row["thoughts"]
    try:
        return Episode(
            frames=np.stack([decode_png(data) for data in row["frames"]]),
            actions=tuple(
                Action(text=text, id=number) for text, number in zip(row["action_texts"], row["action_ids"], strict=True)
            ),
            poses=None if poses is None else np.array(poses, dtype=np.float64).reshape(-1, 4),
            visible=None if visible is None else tuple(tuple(names) for names in visible),
            thoughts=None if thoughts is None else tuple(None if each is None else Thought(text=each) for each in thoughts),
            metadata=json.loads(row["metadata"]),
        )
    except RecordingError:
        raise
    except (TypeError, ValueError) as error:
        raise RecordingError(f"Episode {row['episode_id']!r} does not fit together: {error}") from error

"""One sample, one row: the parquet schema of samples and the way between `Sample` and a row. Images stay the files they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from bagel_world.episodes.samples import ImagePart, Sample, TextPart, check_sample
from bagel_world.errors import RecordingError

SAMPLE_SCHEMA_VERSION = 1

_VERSION_KEY = b"bagel_world.samples"

PART_TYPE = pa.struct(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("role", pa.string()),
        pa.field("loss", pa.bool_()),
        pa.field("image", pa.binary()),
        pa.field("vae", pa.bool_()),
        pa.field("vit", pa.bool_()),
        pa.field("target", pa.bool_()),
        pa.field("time", pa.float64()),
    ]
)
"""A text or an image; the fields of the other kind are null."""

SAMPLE_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("license", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("parts", pa.list_(pa.field("part", PART_TYPE, nullable=False)), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
    ],
    metadata={_VERSION_KEY: str(SAMPLE_SCHEMA_VERSION).encode()},
)
"""A row: the fields of `Sample`, metadata as JSON text."""


def to_sample_row(sample: Sample) -> dict[str, Any]:
    """The row of a sample.

    Raises:
        RecordingError: the metadata holds numbers that JSON has no word for.
    """
    try:
        metadata = json.dumps(sample.metadata, sort_keys=True, allow_nan=False)
    except ValueError as error:
        raise RecordingError(f"Sample {sample.sample_id!r} has metadata that is not JSON: {error}.") from error
    fields = sample.model_dump(include={"sample_id", "source", "license", "split"})
    return {**fields, "parts": [part.model_dump() for part in sample.parts], "metadata": metadata}


def from_sample_row(row: Mapping[str, Any]) -> Sample:
    """The sample of a row.

    Raises:
        RecordingError: something in it is wrong; the message names the sample and the part.
    """
    name = row.get("sample_id")
    try:
        metadata = json.loads(row["metadata"])
    except (TypeError, ValueError) as error:
        raise RecordingError(
            f"Sample {name!r} cannot be used: metadata: expected JSON, got unreadable text ({error})."
        ) from error
    return check_sample({**row, "metadata": metadata, "parts": [_part_values(part) for part in row["parts"] or ()]})


def check_sample_schema(found: pa.Schema, where: str) -> None:
    """Check that a table has what a sample needs.

    Raises:
        RecordingError: columns are missing, have another type, or come from a newer version of this package.
    """
    version = (found.metadata or {}).get(_VERSION_KEY)
    if version is not None and version != str(SAMPLE_SCHEMA_VERSION).encode():
        raise RecordingError(
            f"{where} has samples of version {version.decode(errors='replace')}, this package reads version "
            f"{SAMPLE_SCHEMA_VERSION}. Update bagel-world."
        )
    missing = [name for name in SAMPLE_SCHEMA.names if name not in found.names]
    if missing:
        raise RecordingError(
            f"{where} lacks the columns {', '.join(missing)}: it holds no samples. Make some with `bagel-world data`."
        )
    wrong = [name for name in SAMPLE_SCHEMA.names if not found.field(name).type.equals(SAMPLE_SCHEMA.field(name).type)]
    if wrong:
        got = ", ".join(f"{name}: {found.field(name).type}" for name in wrong)
        raise RecordingError(f"{where} has columns of another type than samples have ({got}). Write it with `SampleWriter`.")


def _part_values(part: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a part's own kind; those of the other kind too where somebody filled them, so that they are refused."""
    own = {"text": TextPart, "image": ImagePart}.get(str(part.get("kind")))
    known = {} if own is None else own.model_fields
    return {name: value for name, value in part.items() if value is not None and (name in known or value is not False)}

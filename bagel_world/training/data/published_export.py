"""Samples written in the layouts of BAGEL's own fine-tuning, so that the published program can train on them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bagel_world.episodes.samples import Sample
from bagel_world.errors import RecordingError
from bagel_world.files import replace_text, replacing
from bagel_world.training.data.published_rows import OWN_COLUMN, row_of

ROWS_PER_FILE = 256
ROWS_PER_GROUP = 16
"""The published program deals row groups out to its workers, so they are many and small."""

_OWN = pa.field(OWN_COLUMN, pa.string())
_SCHEMAS = {
    "captions": pa.schema([pa.field("image", pa.binary()), pa.field("captions", pa.string()), _OWN]),
    "edits": pa.schema(
        [
            pa.field("image_list", pa.list_(pa.binary())),
            pa.field("instruction_list", pa.list_(pa.list_(pa.string()))),
            _OWN,
        ]
    ),
}
_FOLDERS = {"captions": "t2i", "edits": "editing/data", "conversations": "vlm"}
_SUFFIXES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp", b"GIF8": "gif"}


@dataclass(slots=True, kw_only=True)
class Exported:
    """What an export wrote.

    Attributes:
        rows: samples by layout ("captions", "edits", "conversations").
        left_out: samples that no layout has a place for, by reason.
    """

    rows: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def export_published(samples: Iterable[Sample], folder: str | Path) -> Exported:
    """Write samples into `t2i/`, `editing/data/` (with `editing/parquet_info.json`) and `vlm/` of a folder.

    The license of every sample goes into a column of our own, `bagel_world`, with all else the layouts have no place for.

    Args:
        samples: what to write.
        folder: created when needed.

    Raises:
        RecordingError: the folder holds an export already, or could not be written.
    """
    folder = Path(folder)
    taken = [name for name in _FOLDERS.values() if (folder / name).exists()]
    if taken:
        raise RecordingError(f"{folder} holds {', '.join(taken)} already. Choose an empty folder.")
    exported = Exported()
    waiting: dict[str, list[dict[str, Any]]] = {"captions": [], "edits": [], "conversations": []}
    try:
        for sample in samples:
            found = row_of(sample)
            if isinstance(found, str):
                exported.left_out[found] += 1
                continue
            layout, row = found
            if layout == "conversations":
                row["image"] = _write_images(folder / _FOLDERS[layout], row["image"], exported.rows[layout])
            waiting[layout].append(row)
            exported.rows[layout] += 1
            if layout != "conversations" and len(waiting[layout]) == ROWS_PER_FILE:
                _write_table(folder, layout, waiting[layout], exported.rows[layout])
                waiting[layout] = []
        for layout in ("captions", "edits"):
            if waiting[layout]:
                _write_table(folder, layout, waiting[layout], exported.rows[layout])
        if waiting["conversations"]:
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in waiting["conversations"])
            replace_text(folder / _FOLDERS["conversations"] / "conversations.jsonl", lines)
        if exported.rows["edits"]:
            replace_text(folder / "editing" / "parquet_info.json", json.dumps(_parquet_info(folder), indent=2) + "\n")
    except OSError as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"Could not export to {folder}: {error}. Free some space or choose another folder.") from error
    return exported


def _write_table(folder: Path, layout: str, rows: list[dict[str, Any]], count: int) -> None:
    path = folder / _FOLDERS[layout] / f"chunk_{(count - 1) // ROWS_PER_FILE:05d}.parquet"
    table = pa.Table.from_pylist(rows, schema=_SCHEMAS[layout])
    with replacing(path) as file:
        pq.write_table(table, file, row_group_size=ROWS_PER_GROUP, compression="none", use_dictionary=False)


def _write_images(folder: Path, images: list[bytes], conversation: int) -> list[str]:
    names = []
    for number, data in enumerate(images):
        suffix = next((suffix for mark, suffix in _SUFFIXES.items() if data.startswith(mark)), "img")
        names.append(f"images/{conversation:07d}-{number}.{suffix}")
        path = folder / names[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return names


def _parquet_info(folder: Path) -> dict[str, dict[str, int]]:
    """Rows and row groups of every file, which the published program wants to be told."""
    info = {}
    for path in sorted((folder / _FOLDERS["edits"]).glob("*.parquet")):
        facts = pq.read_metadata(path)
        info[str(path)] = {"num_row_groups": facts.num_row_groups, "num_rows": facts.num_rows}
    return info

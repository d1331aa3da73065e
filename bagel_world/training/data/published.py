"""Folders in the layouts of BAGEL's own fine-tuning, read as samples."""

from __future__ import annotations

import json
import logging
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bagel_world.episodes.samples import Sample
from bagel_world.errors import RecordingError
from bagel_world.training.data.published_rows import (
    OWN_COLUMN,
    Row,
    caption_sample,
    conversation_sample,
    edit_sample,
    whole_edit_sample,
)

_LOG = logging.getLogger(__name__)

LAYOUTS = {"captions": ("image", "captions"), "edits": ("image_list", "instruction_list")}
"""The parquet layouts by name, with the columns they need."""

ROW_GROUPS_KEPT = 8
BYTES_KEPT = 2**30
"""Row groups are read whole; so many stay in memory at most, and no more than one where they are larger than this together."""


class PublishedFolder(Sequence[Sample]):
    """A folder of parquet files (captions or edits) and `.jsonl` files (conversations) as samples.

    Args:
        folder: searched with its subfolders, in the order of names.
        images: where the images lie that conversations name; beside the file that names them by default.
        license: of all samples that do not say.

    Attributes:
        folder: where the files lie.
        unlisted_damage: what is wrong with parquet files that could not be opened; they are left out.

    Raises:
        RecordingError: nothing to read, or a file whose columns are of no known layout or hold no images.
    """

    def __init__(self, folder: str | Path, *, images: str | Path | None = None, license: str = "unknown") -> None:
        self.folder = Path(folder)
        self._images = Path(images) if images else None
        self._license = license
        self._lock = threading.Lock()
        self.unlisted_damage: list[str] = []
        groups = _Groups()
        found: list[_Table | _Lines] = []
        for path in sorted(self.folder.rglob("*.parquet")):
            try:
                found.append(_Table(path, groups))
            except _DamagedFileError as error:
                self.unlisted_damage.append(str(error))
                _LOG.warning("left out: %s", error)
        found.extend(_Lines(path) for path in sorted(self.folder.rglob("*.jsonl")))
        self._files = [each for each in found if len(each)]
        if not self._files:
            raise RecordingError(
                f"Expected parquet files or JSON lines of the published layout in {self.folder}, found no rows to read"
                f"{''.join(f'; {each}' for each in self.unlisted_damage)}. Check the path."
            )
        self._ends = list(accumulate(len(each) for each in self._files))

    @property
    def blocks(self) -> tuple[int, ...]:
        """Samples that lie together and are best read together."""
        return tuple(block for each in self._files for block in each.blocks)

    def __len__(self) -> int:
        """The number of rows."""
        return self._ends[-1]

    def __getitem__(self, index: Any) -> Any:
        """A row as it stands: first caption or phrasings, all steps. A list for a slice.

        Raises:
            RecordingError: it is damaged; the message names file and row.
        """
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"Expected a row index in 0..{len(self) - 1}, got {index}.")
        return self._read(place, None)

    def draw(self, place: int, rng: np.random.Generator) -> Sample:
        """A row with what is random about it chosen by `rng`.

        Raises:
            RecordingError: it is damaged; the message names file and row.
        """
        return self._read(place, rng)

    def _read(self, place: int, rng: np.random.Generator | None) -> Sample:
        number = bisect_right(self._ends, place)
        file = self._files[number]
        row = place - (self._ends[number - 1] if number else 0)
        facts = {
            "sample_id": f"{file.path.relative_to(self.folder).as_posix()}/{row}",
            "source": self.folder.name or "published",
            "license": self._license,
        }
        try:
            with self._lock:
                values = file.read(row)
            return self._sample(file, values, rng, facts)
        except RecordingError as error:
            raise RecordingError(f"{file.path}, row {row}: {error}") from error

    def _sample(self, file: _Table | _Lines, values: Row, rng: np.random.Generator | None, facts: Row) -> Sample:
        if isinstance(file, _Lines):
            place_of_images = self._images or file.path.parent
            return conversation_sample(values, lambda name: _image(place_of_images / name), facts)
        if file.layout == "captions":
            return caption_sample(values, rng, facts)
        return whole_edit_sample(values, facts) if rng is None else edit_sample(values, rng, facts)


class _DamagedFileError(RecordingError):
    """A file that cannot be opened."""


class _Groups:
    """The row groups that were read last."""

    def __init__(self) -> None:
        self._tables: OrderedDict[tuple[Path, int], pa.Table] = OrderedDict()

    def read(self, path: Path, group: int, columns: list[str]) -> pa.Table:
        table = self._tables.pop((path, group), None)
        if table is None:
            try:
                with pq.ParquetFile(path) as file:
                    table = file.read_row_group(group, columns=columns)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise RecordingError(f"row group {group} is damaged ({error}). Fetch the file again.") from error
        self._tables[path, group] = table
        while len(self._tables) > 1 and (
            len(self._tables) > ROW_GROUPS_KEPT or sum(each.nbytes for each in self._tables.values()) > BYTES_KEPT
        ):
            self._tables.popitem(last=False)
        return table


class _Table:
    """A parquet file of captions or edits."""

    def __init__(self, path: Path, groups: _Groups) -> None:
        self.path = path
        self._groups = groups
        try:
            with pq.ParquetFile(path) as file:
                schema = file.schema_arrow
                self.blocks = [file.metadata.row_group(each).num_rows for each in range(file.num_row_groups)]
        except (pa.ArrowException, OSError) as error:
            raise _DamagedFileError(f"{path} is damaged or was cut off ({error}). Fetch it again.") from error
        self.layout = layout_of(schema.names, path)
        _check_images(schema.field(LAYOUTS[self.layout][0]), path)
        self._columns = [*LAYOUTS[self.layout], *([OWN_COLUMN] if OWN_COLUMN in schema.names else [])]
        self._ends = list(accumulate(self.blocks))

    def __len__(self) -> int:
        return sum(self.blocks)

    def read(self, row: int) -> Row:
        group = bisect_right(self._ends, row)
        table = self._groups.read(self.path, group, self._columns)
        try:
            return table.slice(row - (self._ends[group - 1] if group else 0), 1).to_pylist()[0]
        except (pa.ArrowException, ValueError) as error:  # text that is no longer UTF-8 is a ValueError
            raise RecordingError(f"The row is damaged ({error}). Fetch the file again.") from error


class _Lines:
    """A file of JSON lines, found again by their places in the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                lines = list(file)
        except OSError as error:
            raise RecordingError(f"Could not read {path}: {error}.") from error
        starts = accumulate((len(line) for line in lines), initial=0)
        self._starts = [start for start, line in zip(starts, lines, strict=False) if line.strip()]
        self.blocks = [len(self._starts)] if self._starts else []

    def __len__(self) -> int:
        return len(self._starts)

    def read(self, row: int) -> Row:
        try:
            with self.path.open("rb") as file:
                file.seek(self._starts[row])
                found = json.loads(file.readline())
        except (OSError, ValueError, RecursionError) as error:
            raise RecordingError(f"Expected a JSON object on the line, but {error}.") from error
        if not isinstance(found, dict):
            raise RecordingError(f"Expected a JSON object on the line, got {found!r:.80}.")
        return found


def layout_of(columns: Sequence[str], path: Path) -> str:
    """The name of the layout that has these columns.

    Raises:
        RecordingError: none has; the message says what is missing.
    """
    for name, needed in LAYOUTS.items():
        if set(needed) <= set(columns):
            return name
    wanted = " or ".join(f"{name} ({', '.join(needed)})" for name, needed in LAYOUTS.items())
    raise RecordingError(f"Expected the columns of {wanted} in {path}, got {', '.join(columns) or 'none'}. Rename or add them.")


def _check_images(column: pa.Field[Any], path: Path) -> None:
    """Check that a column holds the bytes of images, or lists of those.

    Raises:
        RecordingError: it holds something else.
    """
    lists = column.name.endswith("_list")
    held = column.type.value_type if lists and _is_list(column.type) else column.type
    if lists != _is_list(column.type) or not (pa.types.is_binary(held) or pa.types.is_large_binary(held)):
        wanted = "lists of the bytes of image files" if lists else "the bytes of an image file"
        raise RecordingError(f"Expected the column {column.name} of {path} to hold {wanted}, got {column.type}. Convert it.")


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _image(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a name may be none that a file can have
        raise RecordingError(f"Could not read the image {path}: {error}. Say where the images lie.") from error

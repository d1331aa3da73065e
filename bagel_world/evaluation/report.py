"""Rows and reports: every figure with its n and interval, as JSON for machines and as a table for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from rich.table import Table

from bagel_world.errors import RecordingError
from bagel_world.evaluation.metrics import Interval
from bagel_world.files import replace_text


class Row(BaseModel):
    """One figure."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: str
    """What was measured and its unit, such as "psnr_db"."""
    name: str
    """On what, such as "imagined, all actions"."""
    n: int = Field(ge=1)
    """Samples behind the figure."""
    value: float
    """The figure."""
    low: float
    """Lower end of its 95 % bootstrap interval."""
    high: float
    """Upper end."""


class Report(BaseModel):
    """What a command measured, and all that is needed to measure it again."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    command: str
    """The command line."""
    checkpoint: str
    """The name or folder of the checkpoint."""
    checkpoint_hash: str
    """Names the weights: differs where they differ."""
    data: str | None = None
    """Folder and split of the footage; None where none was used."""
    seed: int
    """Decides which windows are drawn and all noise."""
    setting: dict[str, JsonValue] = Field(default_factory=dict)
    """Sampling, context, threads, versions."""
    compute: dict[str, JsonValue] = Field(default_factory=dict)
    """What it took: frames imagined, model calls, milliseconds per frame."""
    rows: tuple[Row, ...]
    """The figures."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""

    def value(self, metric: str, name: str) -> float:
        """The figure of this metric and name.

        Raises:
            KeyError: there is no such row.
        """
        for row in self.rows:
            if (row.metric, row.name) == (metric, name):
                return row.value
        raise KeyError((metric, name))


def make_row(metric: str, name: str, n: int, interval: Interval) -> Row:
    """A row from an interval."""
    return Row(metric=metric, name=name, n=n, value=interval.value, low=interval.low, high=interval.high)


def write_report(report: Report, path: str | Path) -> Path:
    """Write the JSON of a report; returns its path.

    Raises:
        RecordingError: it could not be written.
    """
    path = Path(path)
    try:
        replace_text(path, json.dumps(report.model_dump(mode="json"), indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise RecordingError(f"Could not write the report to {path}: {error}. Choose another place with --json.") from error
    return path


def read_report(path: str | Path) -> Report:
    """The report in a JSON file.

    Raises:
        RecordingError: not a report.
    """
    try:
        return Report.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise RecordingError(f"Expected {path} to be a report that `bagel-world eval` or `bench` wrote, but {error}") from error


def by_metric(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows with those of one metric together, otherwise in their order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.metric, []).append(row)
    return tuple(row for group in groups.values() for row in group)


def to_table(rows: Iterable[Row], *, title: str | None = None) -> Table:
    """The rows as a table, one section per metric with its name on top."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in ("n", "value", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    last = None
    for row in by_metric(rows):
        if row.metric != last:
            table.add_section()
            table.add_row(row.metric, style="bold")
        last = row.metric
        table.add_row(f"  {row.name}", f"{row.n:,}", _short(row.value), f"{_short(row.low)} .. {_short(row.high)}")
    return table


def _short(value: float) -> str:
    """Four significant digits, whole numbers from 1000 on."""
    if value == 0:
        return "0"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}"

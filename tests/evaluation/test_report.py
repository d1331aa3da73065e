from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from rich.console import Console

from bagel_world.errors import RecordingError
from bagel_world.evaluation.metrics import Interval
from bagel_world.evaluation.report import Report, Row, by_metric, make_row, read_report, to_table, write_report

ROWS = (
    make_row("psnr_db", "imagined", 1440, Interval(27.123, 26.9, 27.4)),
    make_row("ssim", "imagined", 1440, Interval(0.01234, 0.0, 0.02)),
    make_row("psnr_db", "copy last", 1440, Interval(18.9, 18.5, 19.3)),
)
REPORT = Report(
    command="bagel-world eval open-loop --n 1440",
    checkpoint="nano",
    checkpoint_hash="abc",
    seed=0,
    setting={"threads": 2},
    compute={"model_calls_per_frame": 4},
    rows=ROWS,
    notes=("Nothing was left out.",),
)


def test_the_json_is_what_the_documentation_promises(tmp_path: Path) -> None:
    path = write_report(REPORT, tmp_path / "new" / "report.json")
    written = json.loads(path.read_text())
    assert {"command", "checkpoint_hash", "seed", "setting", "compute", "rows"} <= written.keys()
    assert [set(row) for row in written["rows"]] == [{"metric", "name", "n", "value", "low", "high"}] * 3
    assert written["rows"][0] == {"metric": "psnr_db", "name": "imagined", "n": 1440, "value": 27.123, "low": 26.9, "high": 27.4}
    assert read_report(path) == REPORT


def test_figures_are_found_by_name() -> None:
    assert REPORT.value("psnr_db", "copy last") == 18.9
    with pytest.raises(KeyError):
        REPORT.value("psnr_db", "copy first")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_figure_is_infinite_or_unknown(value: float) -> None:
    with pytest.raises(ValidationError):
        Row(metric="psnr_db", name="imagined", n=1, value=value, low=0.0, high=0.0)


def test_no_figure_comes_without_samples() -> None:
    with pytest.raises(ValidationError):
        Row(metric="psnr_db", name="imagined", n=0, value=0.0, low=0.0, high=0.0)


def test_rows_of_one_metric_stand_together_in_their_order() -> None:
    assert [row.name for row in by_metric(ROWS)] == ["imagined", "copy last", "imagined"]
    assert [row.metric for row in by_metric(ROWS)] == ["psnr_db", "psnr_db", "ssim"]


def test_the_table_says_each_metric_once_and_rounds_to_four_digits() -> None:
    console = Console(width=80, record=True)
    with console.capture() as capture:
        console.print(to_table(ROWS))
    shown = capture.get()
    assert shown.count("psnr_db") == 1
    assert "27.12" in shown
    assert "1,440" in shown
    assert "0.01234" in shown


def test_what_is_no_report_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"rows": 3}')
    with pytest.raises(RecordingError, match="to be a report that"):
        read_report(path)
    with pytest.raises(RecordingError, match="to be a report that"):
        read_report(tmp_path / "missing.json")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="--json"):
        write_report(REPORT, tmp_path / "file" / "report.json")

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bagel_world.cli import main
from bagel_world.errors import RecordingError
from bagel_world.evaluation.closed.curve import curves_of, draw_curve
from bagel_world.evaluation.closed.page import write_page
from bagel_world.evaluation.metrics import Interval
from bagel_world.evaluation.report import Report, Row, make_row, write_report
from bagel_world.world.record import save_movie


def row(name: str, value: float, metric: str = "success_rate") -> Row:
    return make_row(metric, name, 10, Interval(value, value - 0.1, value + 0.1))


def test_rows_that_count_become_curves() -> None:
    rows = [row(f"planner, learned world, {count} rollout{'s' * (count > 1)}", count / 10) for count in (9, 1, 3)]
    rows += [row("random actions", 0.1), row("random actions, 1-3 m", 0.1), row("other, 2 rollouts", 0.2)]
    (curve,) = curves_of(rows)
    assert curve.axis == "rollouts"
    assert {name: [place for place, _ in line] for name, line in curve.series.items()} == {"planner, learned world": [1, 3, 9]}
    drawn = draw_curve(curve)
    assert drawn.count("<circle") == 3
    assert "planner, learned world" in drawn
    (steps,) = curves_of(
        [row("imagined, step 1", 1), row("imagined, step 8", 2), row("a <b>, step 1", 0), row("a <b>, step 2", 0)]
    )
    assert (steps.axis, list(steps.series)) == ("step", ["imagined", "a <b>"])
    assert "a &lt;b&gt;" in draw_curve(steps)
    assert not curves_of([row("imagined, 30 degrees", 1), row("imagined, 45 degrees", 2)])


def test_a_curve_goes_through_its_points() -> None:
    (curve,) = curves_of([row("a, step 1", 0.0), row("a, step 2", 1.0), row("a, step 3", 0.5)])
    heights = [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', draw_curve(curve))]
    assert heights[0] > heights[2] > heights[1]
    assert heights[2] == pytest.approx((heights[0] + heights[1]) / 2, abs=0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    report = Report(
        command="bagel-world eval <b>", checkpoint="nano", checkpoint_hash="0123456789abcdef", seed=0,
        rows=(row("a, step 1", 0.5), row("a, step 2", 0.25), row("b & c", 0.125, "spl")), notes=("Nothing & more.",),
    )  # fmt: skip
    write_report(report, tmp_path / "loop" / "closed_loop.json")
    (tmp_path / "loop" / "settings.json").write_text("{}")
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    save_movie(tmp_path / "loop" / "movies" / "planner_win_0003.gif", frames)
    save_movie(tmp_path / "loop" / "movies" / "planner_failure_0004.gif", frames)
    for name in ("closed_loop_sheet.png", "closed_loop.png"):
        Image.fromarray(frames[0]).save(tmp_path / "loop" / name)
    return tmp_path


def test_the_page_holds_everything_and_needs_nothing(folder: Path) -> None:
    page = write_page(folder).read_text()
    for text in ("<td>a, step 1<td>10<td>0.5<td>0.4 .. 0.6", "<td>b &amp; c", "eval &lt;b&gt;", "Nothing &amp; more.", "<svg"):
        assert text in page
    assert (
        page.index("Wins")
        < page.index("planner: win, mission 3")
        < page.index("Failures")
        < page.index("planner: failure, mission 4")
    )
    assert "<script" not in page
    sources = re.findall(r'src="([^"]*)"', page)
    assert len(sources) == 4
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    movie = (folder / "loop" / "movies" / "planner_win_0003.gif").read_bytes()
    assert base64.b64encode(movie).decode() in page


def test_a_folder_without_reports_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RecordingError, match="found none"):
        write_page(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path)])
    assert stop.value.code == 2
    assert "found none" in capsys.readouterr().err


def test_damaged_reports_are_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "cut.json").write_text('{"command": "bagel-world')
    (folder / "foreign.json").write_text('{"settings": 1}')
    (folder / "old.json").write_text('{"rows": [], "what": 1}')
    write_page(folder)
    assert "cut.json" in caplog.text
    assert "old.json" in caplog.text
    assert "foreign.json" not in caplog.text


def test_the_command_says_where_the_page_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["report", str(folder)])
    assert not stop.value.code
    assert capsys.readouterr().out.strip() == str(folder / "report.html")


def test_whoever_is_measured_in_several_ways_stands_in_one_table(tmp_path: Path) -> None:
    names = ("a <b>", "c")
    rows = tuple(row(name, 0.5, metric) for metric in ("success_rate", "spl", "steps") for name in names)
    rows += (row("c, 1-3 m", 0.25, "spl"),)
    report = Report(command="x", checkpoint="nano", checkpoint_hash="0123456789abcdef", seed=0, rows=rows)
    write_report(report, tmp_path / "closed_loop.json")
    page = write_page(tmp_path).read_text()
    assert "<tr><th><th>n<th>Success rate<th>SPL<th>Steps<tr><td>a &lt;b&gt;<td>10<td>0.5<small>0.4 .. 0.6</small>" in page
    assert page.count("overview>") == 1
    assert re.findall("<h3>([^<]*)</h3>", page) == ["SPL"]
    assert "<td>c, 1-3 m<td>10<td>0.25" in page

"""A page: everything that evaluations left in a folder, as one HTML file that needs nothing else: no script, no other file."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bagel_world.errors import RecordingError
from bagel_world.evaluation.closed.curve import curves_of, draw_curve
from bagel_world.evaluation.closed.walk_movies import MOVIES
from bagel_world.evaluation.report import Report, Row, by_metric, read_report
from bagel_world.files import replace_text

_LOG = logging.getLogger(__name__)

PAGE = "report.html"

_FEW_MEASURES = 2
_ACRONYM = 4  # letters: SPL, PSNR
_KINDS = {".png": "image/png", ".gif": "image/gif"}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fafaf8;max-width:76em;margin:2em auto;padding:0 1em}
h1{font-size:1.6em}h2{margin-top:2em;border-bottom:1px solid #ccc}h3{margin-bottom:.3em}
table{border-collapse:collapse;margin:.5em 0 1.5em}td,th{padding:.15em .8em;text-align:right;font-variant-numeric:tabular-nums}
td:first-child,th:first-child{text-align:left}tr:nth-child(even) td{background:#f1f1ec}th{border-bottom:1px solid #999}
code{background:#eee;padding:.1em .3em;overflow-wrap:anywhere}dt{font-weight:600}figure{display:inline-block;margin:.4em}
figcaption{font-size:.85em;color:#555}img{max-width:100%;image-rendering:pixelated}svg text{font:11px system-ui,sans-serif}
.overview th,.overview td{padding:.2em .6em;vertical-align:top}.overview small{display:block;color:#777;white-space:nowrap}
.overview th{font-size:.85em;vertical-align:bottom}details{margin:.5em 0}.beside{display:flex;flex-wrap:wrap;gap:1em}
"""


def write_page(folder: str | Path) -> Path:
    """Write `report.html` into a folder of reports; returns its path.

    Args:
        folder: holds JSON files that `bagel-world eval` wrote, and their pictures; folders in it are looked through too.

    Raises:
        RecordingError: no report in there, or the page cannot be written.
    """
    folder = Path(folder)
    found = list(find_reports(folder))
    if not found:
        raise RecordingError(f"Expected reports (*.json) of `bagel-world eval` in {folder}, found none. Run one with --out.")
    path = folder / PAGE
    try:
        replace_text(path, draw_page(folder, found))
    except OSError as error:
        raise RecordingError(f"Could not write {path}: {error}. Free some space or make the folder writable.") from error
    return path


def find_reports(folder: Path) -> Iterator[tuple[Path, Report]]:
    """Every report in a folder and those below; other JSON files are passed over, damaged ones with a warning."""
    for path in sorted(folder.rglob("*.json")):
        try:
            yield path, read_report(path)
        except RecordingError as error:
            if _may_be_report(path):
                _LOG.warning("left out: %s", error)


def _may_be_report(path: Path) -> bool:
    """Whether a file that is none was one once: it is no whole JSON any more, or has rows."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True
    return isinstance(content, dict) and "rows" in content


def draw_page(folder: Path, reports: Sequence[tuple[Path, Report]]) -> str:
    """The page as text."""
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><title>bagel-world report</title>", f"<style>{_STYLE}</style>"]
    parts.append("<h1>What was measured</h1>")
    for path, report in reports:
        parts += _section(path, report, folder)
    return "\n".join(parts) + "</html>\n"


def _section(path: Path, report: Report, folder: Path) -> Iterator[str]:
    yield f"<h2>{_text(path.relative_to(folder))}</h2>"
    yield f"<p><code>{_text(report.command)}</code></p>"
    told = {"checkpoint": f"{report.checkpoint} ({report.checkpoint_hash[:12]})", "data": report.data, "seed": report.seed}
    yield "<p>" + "; ".join(f"{name}: {_text(value)}" for name, value in told.items() if value is not None) + "</p>"
    yield from (f"<p>Note: {_text(note)}</p>" for note in report.notes)
    groups: dict[str, list[Row]] = {}
    for row in by_metric(report.rows):
        groups.setdefault(row.metric, []).append(row)
    shown = _overview_names(groups)
    if shown:
        yield _overview(groups, shown)
    for metric, rows in groups.items():
        if all(row.name in shown for row in rows) and not curves_of(rows):
            continue
        yield f"<h3>{_title(metric)}</h3><div class=beside>"
        yield _table(rows)
        yield from (f"<figure>{draw_curve(curve)}</figure>" for curve in curves_of(rows))
        yield "</div>"
    movies = sorted((path.parent / MOVIES).glob("*.gif"))
    for verdict in ("win", "failure"):
        kept = [movie for movie in movies if f"_{verdict}_" in movie.name]
        if kept:
            yield f"<h3>{verdict.capitalize()}s</h3>"
            yield from (_figure(movie) for movie in kept)
    yield from (_figure(picture) for picture in _pictures(path))
    yield f"<details><summary>Setting and compute</summary><dl>{_pairs(report.setting)}{_pairs(report.compute)}</dl></details>"


def _pictures(path: Path) -> list[Path]:
    """The curves, movies and contact sheets that were written beside a report."""
    own = [path.with_suffix(ending) for ending in (".png", ".gif")]
    return [*(each for each in own if each.is_file()), *sorted(path.parent.glob(f"{path.stem}_*.png"))]


def _overview_names(groups: Mapping[str, Sequence[Row]]) -> list[str]:
    """Whoever is measured in several ways and as often in each: they can stand in one table."""
    counts: dict[str, list[int]] = {}
    for row in (row for rows in groups.values() for row in rows):
        counts.setdefault(row.name, []).append(row.n)
    names = [name for name, found in counts.items() if len(found) > _FEW_MEASURES and len(set(found)) == 1]
    return names if len(names) > 1 else []


def _overview(groups: Mapping[str, Sequence[Row]], names: Sequence[str]) -> str:
    """One line for everybody, one column for every measure."""
    measures = {metric: {row.name: row for row in rows} for metric, rows in groups.items()}
    measures = {metric: rows for metric, rows in measures.items() if any(name in rows for name in names)}
    lines = ["<table class=overview><tr><th><th>n" + "".join(f"<th>{_title(metric)}" for metric in measures)]
    for name in names:
        found = [rows.get(name) for rows in measures.values()]
        count = next(row.n for row in found if row)
        cells = "".join(f"<td>{_number(row.value)}<small>{_range(row)}</small>" if row else "<td>" for row in found)
        lines.append(f"<tr><td>{_text(name)}<td>{count}{cells}")
    return "".join(lines) + "</table><p>Small: 95 % intervals.</p>"


def _table(rows: Sequence[Row]) -> str:
    lines = [f"<tr><td>{_text(row.name)}<td>{row.n}<td>{_number(row.value)}<td>{_range(row)}" for row in rows]
    return "<table><tr><th><th>n<th>value<th>95 % interval" + "".join(lines) + "</table>"


def _figure(picture: Path) -> str:
    data = base64.b64encode(picture.read_bytes()).decode()
    words = _caption(picture.stem)
    source = f"data:{_KINDS[picture.suffix]};base64,{data}"
    return f'<figure><img alt="{_text(words)}" src="{source}"><figcaption>{_text(words)}</figcaption></figure>'


def _caption(stem: str) -> str:
    """The words for a picture's file name; a movie's tells who, how it ended, and on which mission."""
    movie = re.fullmatch(r"(.+)_(win|failure)_(\d+)", stem)
    if movie is None:
        return stem.replace("_", " ")
    who, verdict, mission = movie.groups()
    return f"{who.replace('_', ' ')}: {verdict}, mission {int(mission)}"


def _pairs(values: Mapping[str, object]) -> str:
    return "".join(f"<dt>{_text(name)}<dd><code>{_text(value)}</code>" for name, value in values.items())


def _title(metric: str) -> str:
    return _text(metric.replace("_", " ").capitalize() if len(metric) > _ACRONYM else metric.upper())


def _range(row: Row) -> str:
    return f"{_number(row.low)} .. {_number(row.high)}"


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _text(value: object) -> str:
    return html.escape(str(value))

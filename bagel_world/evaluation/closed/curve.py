"""Curves: rows whose names count something (steps, rollouts), drawn as SVG with their intervals."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bagel_world.evaluation.report import Row

_COUNTED = re.compile(r"^(?P<series>.+?),? (?:(?P<before>step) )?(?P<place>\d+)(?: (?P<after>rollouts?))?$")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 460, 260, 56, 14, 34
_COLORS = ("#c0392b", "#2471a3", "#1e8449", "#b9770e", "#7d3c98", "#616a6b", "#117a65", "#922b21")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Lines over one counted thing.

    Attributes:
        axis: what is counted.
        series: name -> places and rows, in the order of places.
    """

    axis: str
    series: dict[str, list[tuple[int, Row]]]


def curves_of(rows: Sequence[Row]) -> list[Curve]:
    """The curves among rows of one metric; lines of fewer than two points are left out."""
    found: dict[str, dict[str, list[tuple[int, Row]]]] = {}
    for row in rows:
        match = _COUNTED.match(row.name)
        axis = match and (match["before"] or (match["after"] and "rollouts"))
        if match and axis:
            found.setdefault(axis, {}).setdefault(match["series"], []).append((int(match["place"]), row))
    curves = []
    for axis, series in found.items():
        lines = {name: sorted(points, key=lambda point: point[0]) for name, points in series.items() if len(points) > 1}
        if lines:
            curves.append(Curve(axis=axis, series=lines))
    return curves


def draw_curve(curve: Curve) -> str:
    """The curve as an SVG element: a line and a band per series, a legend below."""
    points = [point for line in curve.series.values() for point in line]
    left, right = min(place for place, _ in points), max(place for place, _ in points)
    low, high = min(row.low for _, row in points), max(row.high for _, row in points)
    span = high - low or 1.0

    def across(place: float) -> float:
        return _LEFT + (place - left) / (right - left) * (_WIDTH - _LEFT - 12)

    def up(value: float) -> float:
        return _TOP + (high - value) / span * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<line x1="{_LEFT}" y1="{up(low):.1f}" x2="{_WIDTH - 12}" y2="{up(low):.1f}" stroke="#999"/>']
    for value in (low, (low + high) / 2, high):
        parts.append(f'<text x="{_LEFT - 6}" y="{up(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for place in sorted({place for place, _ in points}):
        parts.append(f'<text x="{across(place):.1f}" y="{_HEIGHT - 18}" text-anchor="middle">{place}</text>')
    parts.append(f'<text x="{(_LEFT + _WIDTH) / 2:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">{html.escape(curve.axis)}</text>')
    for number, (name, line) in enumerate(curve.series.items()):
        color = _COLORS[number % len(_COLORS)]
        band = [f"{across(place):.1f},{up(row.high):.1f}" for place, row in line]
        band += [f"{across(place):.1f},{up(row.low):.1f}" for place, row in reversed(line)]
        way = " ".join(f"{across(place):.1f},{up(row.value):.1f}" for place, row in line)
        parts.append(f'<polygon points="{" ".join(band)}" fill="{color}" opacity="0.15"/>')
        parts.append(f'<polyline points="{way}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{across(place):.1f}" cy="{up(row.value):.1f}" r="3" fill="{color}"/>' for place, row in line]
        parts.append(f'<text x="{_LEFT}" y="{_HEIGHT + 14 * (number + 1)}" fill="{color}">{html.escape(name)}</text>')
    height = _HEIGHT + 14 * len(curve.series) + 8
    return f'<svg width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img">' + "".join(parts) + "</svg>"

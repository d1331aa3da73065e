"""Figures: curves in panels side by side, as a PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.typing as npt

from bagel_world.errors import ConfigError, MissingExtraError, RecordingError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANEL_INCHES = (4.6, 3.4)
_PER_ROW = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """A line of a panel.

    Attributes:
        x, y: of its points, equally many.
        points: mark every point.
        faint: a background to the others.
    """

    x: npt.ArrayLike
    y: npt.ArrayLike
    points: bool = False
    faint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """One coordinate system.

    Attributes:
        title: what it shows, and the unit.
        x_label: below the axis.
        curves: by the name in the legend.
        levels: horizontal lines by their name: a bar, a reference.
        doubling: every doubling of x is one step to the right.
    """

    title: str
    x_label: str
    curves: Mapping[str, Curve]
    levels: Mapping[str, float] = field(default_factory=dict)
    doubling: bool = False


def check_figures() -> None:
    """Find out whether figures can be drawn, before hours go into what they would show.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    _figure_class()


def save_figure(panels: Sequence[Panel], path: str | Path, *, title: str = "") -> Path:
    """Draw the panels and write them as a PNG; returns its path.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigError: there are no panels.
        RecordingError: it could not be written.
    """
    if not panels:
        raise ConfigError("Expected one or more panels to draw, got none. Leave the figure out.")
    columns = min(_PER_ROW, len(panels))
    rows = -(-len(panels) // columns)
    figure = _figure_class()(figsize=(columns * _PANEL_INCHES[0], rows * _PANEL_INCHES[1]), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(places, panels, strict=False):
        for name, curve in panel.curves.items():
            style = {"alpha": 0.25, "linewidth": 0.8} if curve.faint else {"marker": "o" if curve.points else None}
            axes.plot(curve.x, curve.y, label=name, **style)
        for name, level in panel.levels.items():
            axes.axhline(level, color="gray", linestyle="--", linewidth=1, label=name)
        if panel.doubling:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:.0f}")
        axes.set_title(panel.title, fontsize=10)
        axes.set_xlabel(panel.x_label, fontsize=9)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle(title, fontsize=11)
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise RecordingError(f"Could not write the figure to {path}: {error}. Choose another folder with --out.") from error
    return path


def _figure_class() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "eval", "Drawing figures") from error
    return Figure

"""Figures: every curve is drawn, and what stands in the way is said."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bagel_world.errors import ConfigError, MissingExtraError, RecordingError
from bagel_world.evaluation.figures import Curve, Panel, check_figures, save_figure

PANELS = [
    Panel(title="one", x_label="step", curves={"line": Curve(x=[1, 2, 3], y=[3, 1, 2])}, levels={"bar": 2.0}),
    Panel(title="two", x_label="calls", curves={"dots": Curve(x=[1, 2, 16], y=[1, 2, 3], points=True)}, doubling=True),
    Panel(title="three", x_label="step", curves={"faint": Curve(x=[1, 2], y=[1, 2], faint=True)}),
]


def test_panels_share_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    one, three = save_figure(PANELS[:1], tmp_path / "a" / "one.png"), save_figure(PANELS, tmp_path / "three.png", title="all")
    with Image.open(one) as small, Image.open(three) as large:
        assert large.size[0] == 2 * small.size[0]
        assert large.size[1] == 2 * small.size[1]


def test_another_curve_is_another_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    higher = Panel(title="one", x_label="step", curves={"line": Curve(x=[1, 2, 3], y=[3, 1, 9])}, levels={"bar": 2.0})
    paths = [save_figure([panel], tmp_path / f"{place}.png") for place, panel in enumerate((PANELS[0], PANELS[0], higher))]
    first, same, other = (np.asarray(Image.open(path)) for path in paths)
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="--out"):
        save_figure(PANELS, tmp_path / "file" / "figure.png")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"bagel-world\[eval\]"):
        save_figure(PANELS, tmp_path / "figure.png")
    with pytest.raises(MissingExtraError, match=r"bagel-world\[eval\]"):
        check_figures()


def test_a_figure_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one or more panels"):
        save_figure([], tmp_path / "figure.png")
    assert not (tmp_path / "figure.png").exists()

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bagel_world.types import Frame
from bagel_world.video.reader import read_pictures
from bagel_world.video.sources import Source, find_sources
from bagel_world.video.timeline import Timeline, read_chapters
from tests.video.films import write_film

MakeTimeline = Callable[[Sequence[Frame]], Timeline]


def source_of(path: Path) -> Source:
    """The one source that a path leads to."""
    (source,) = find_sources([path]).sources
    return source


@pytest.fixture
def timeline(tmp_path: Path) -> MakeTimeline:
    """Encodes frames at 24 a second and looks at the film."""

    def make(frames: Sequence[Frame]) -> Timeline:
        path = write_film(tmp_path / f"film{len(list(tmp_path.iterdir()))}.mp4", frames)
        (chapter,) = read_chapters(read_pictures(source_of(path), fps=10.0), black_level=20)
        return chapter

    return make

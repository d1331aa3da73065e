from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bagel_world.types import Frame
from bagel_world.video.clips import Clip, survey
from bagel_world.video.config import ClipConfig, DuplicateConfig
from bagel_world.video.duplicates import SeenClips
from bagel_world.video.reader import read_pictures
from bagel_world.video.timeline import read_chapters
from tests.video.conftest import source_of
from tests.video.films import boxed, pan, write_film


def clip_of(path: Path, frames: Sequence[Frame], **encoding: int) -> Clip:
    film = write_film(path, frames, **encoding)
    (clip,) = survey(read_chapters(read_pictures(source_of(film), fps=10), black_level=20), ClipConfig()).clips
    return clip


def test_copies_are_found_whatever_was_done_to_them(tmp_path: Path) -> None:
    frames = pan(0, 72, step=1)
    seen = SeenClips(DuplicateConfig())
    assert seen.take(clip_of(tmp_path / "a.mp4", pan(9, 72)))
    assert seen.take(clip_of(tmp_path / "b.mp4", frames))
    copies = {
        "the same": clip_of(tmp_path / "c.mp4", frames),
        "worse": clip_of(tmp_path / "d.mp4", frames, crf=32),
        "smaller": clip_of(tmp_path / "e.mp4", [np.asarray(Image.fromarray(each).resize((112, 66))) for each in frames]),
        "boxed": clip_of(tmp_path / "f.mp4", boxed(frames, top=24, bottom=24)),
        "a part": clip_of(tmp_path / "g.mp4", frames[24:60]),
        "darker": clip_of(tmp_path / "h.mp4", [(each * 0.93).astype(np.uint8) for each in frames]),
    }
    assert {name: seen.copied_from(copy) for name, copy in copies.items()} == dict.fromkeys(copies, 1)


def test_what_only_resembles_is_kept(tmp_path: Path) -> None:
    frames = pan(1, 48)
    seen = SeenClips(DuplicateConfig())
    assert seen.take(clip_of(tmp_path / "a.mp4", frames))
    others = {
        "another": pan(2, 48),
        "further on": pan(1, 200)[120:168],
        "mirrored": [each[:, ::-1] for each in frames],
        "other colors": [each[..., ::-1] for each in frames],
    }
    assert [name for name, other in others.items() if not seen.take(clip_of(tmp_path / f"{name}.mp4", other))] == []


def test_copies_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "a.mp4", pan(3, 48))
    seen = SeenClips(DuplicateConfig(remove=False))
    assert seen.take(clip)
    assert seen.take(clip)

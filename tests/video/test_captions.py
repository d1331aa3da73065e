from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bagel_world.errors import CapabilityError, ConfigError
from bagel_world.types import Frame
from bagel_world.video.captions import (
    TEMPLATES,
    CaptionError,
    Change,
    FunctionCaptioner,
    SidecarCaptioner,
    TemplateCaptioner,
)
from bagel_world.video.sidecar import Word

BLACK = np.zeros((16, 16, 3), dtype=np.uint8)
WHITE = np.full((16, 16, 3), 255, dtype=np.uint8)


def change(start: float = 1.0, end: float = 1.5, place: int = 0) -> Change:
    words = (Word(start=1.0, end=1.5, text=" Look left "),)
    return Change(before=BLACK, after=WHITE, start=start, end=end, place=place, film="a.mp4", words=words)


def test_a_sidecar_says_its_words_and_needs_them() -> None:
    assert SidecarCaptioner().needs_words
    assert SidecarCaptioner().caption(change()) == "Look left"
    assert SidecarCaptioner().caption(change(5.0, 6.0)) == ""


def test_a_template_is_filled_in() -> None:
    template = TemplateCaptioner(["{film} {place} {start:.1f} {end:.1f} {seconds:.2f}"])
    assert template.caption(change(place=2)) == "a.mp4 2 1.0 1.5 0.50"


def test_a_phrasing_is_drawn_for_every_change_whatever_came_before() -> None:
    changes = [change(start / 10, start / 10 + 1) for start in range(100)]
    captioner = TemplateCaptioner(seed=3)
    forwards = [captioner.caption(each) for each in changes]
    backwards = [TemplateCaptioner(seed=3).caption(each) for each in reversed(changes)][::-1]
    assert forwards == backwards
    assert len(set(forwards)) == len(TEMPLATES)
    assert forwards != [TemplateCaptioner(seed=4).caption(each) for each in changes]


@pytest.mark.parametrize("wrong", ["", "  ", "{second}", "{seconds", "{seconds.real.x}", "{0}", "{}"])
def test_a_template_that_cannot_be_filled_in_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError):
        TemplateCaptioner([wrong])


def test_a_function_sees_both_frames() -> None:
    def brighter(before: Frame, after: Frame) -> str:
        return "brighter" if after.mean() > before.mean() else "darker"

    assert FunctionCaptioner(brighter).caption(change()) == "brighter"
    assert not FunctionCaptioner(brighter).needs_words


def test_what_a_function_raises_is_counted_and_our_errors_pass() -> None:
    def broken(before: Frame, after: Frame) -> str:
        raise KeyError("no such thing")

    def incapable(before: Frame, after: Frame) -> str:
        raise CapabilityError("cannot write")

    with pytest.raises(CaptionError, match="KeyError: 'no such thing'"):
        FunctionCaptioner(broken).caption(change())
    with pytest.raises(CapabilityError, match="cannot write"):
        FunctionCaptioner(incapable).caption(change())
    with pytest.raises(CaptionError, match="got int"):
        FunctionCaptioner(lambda before, after: 3).caption(change())  # pyright: ignore[reportArgumentType]
    assert FunctionCaptioner(lambda before, after: None).caption(change()) == ""  # pyright: ignore[reportArgumentType]


def test_a_function_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_words.py").write_text("number = 3\ndef say(before, after):\n    return 'a change'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert FunctionCaptioner.named("my_words:say").caption(change()) == "a change"
    for wrong, said in (("my_words:sya", "sya"), ("my_word:say", "my_word"), (":say", "Expected"), ("my_words:number", "int")):
        with pytest.raises(ConfigError, match=said):
            FunctionCaptioner.named(wrong)
    sys.modules.pop("my_words")

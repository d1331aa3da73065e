from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bagel_world.actions import (
    MAX_TEXT_LENGTH,
    NAVIGATE_WORDS,
    ROLLOUT_WORDS,
    ROTATE_WORDS,
    TASK_WORDS,
    action_from_id,
    action_from_text,
    goal_question,
)
from bagel_world.errors import ActionError
from bagel_world.types import Action


def test_the_navigation_words_and_their_ids() -> None:
    assert NAVIGATE_WORDS == ("Move forward", "Look left", "Look right", "Stay")


def test_the_rotation_words_and_their_ids() -> None:
    sides = [f"Rotate the camera to the {side} by {degrees} degrees" for side in ("left", "right") for degrees in (15, 30, 45)]
    assert (*sides, "Stay") == ROTATE_WORDS


def test_the_rollout_words_and_their_ids() -> None:
    assert ROLLOUT_WORDS == ("Wait one moment", "Wait two moments", "Wait four moments")


@pytest.mark.parametrize("index", [2, np.int64(2), np.uint8(2), 2.0, np.array(2)])
def test_an_id_of_any_whole_type_finds_its_words(index: int) -> None:
    action = action_from_id(index, NAVIGATE_WORDS)
    assert action == Action(text="Look right", id=2)
    assert type(action.id) is int


@pytest.mark.parametrize("index", [4, -1, 1.5, True, "1.5", "left", None, float("nan"), float("inf"), [1, 2], 10**30])
def test_other_ids_are_refused_with_the_table(index: object) -> None:
    with pytest.raises(ActionError, match=r"in 0\.\.3 \(0 = 'Move forward', .* 3 = 'Stay'\), got "):
        action_from_id(index, NAVIGATE_WORDS)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("text", ["Look left", "look LEFT", "  Look left\n"])
def test_known_words_get_their_id_however_they_are_written(text: str) -> None:
    assert action_from_text(text, NAVIGATE_WORDS) == Action(text="Look left", id=1)


def test_free_words_stay_as_they_are_and_have_no_id() -> None:
    assert action_from_text(" Öffne die Tür ", NAVIGATE_WORDS) == Action(text="Öffne die Tür")
    assert action_from_text("Look left") == Action(text="Look left")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "got NoneType"),
        (3, "got int: 3"),
        (b"Stay", "got bytes"),
        ("", "empty text. Say what to do, for example 'Move forward'"),
        (" \t\n", "empty text"),
        ("x" * (MAX_TEXT_LENGTH + 1), "at most 512 characters of action text, got 513"),
    ],
)
def test_other_texts_are_refused_with_a_reason(text: object, words: str) -> None:
    with pytest.raises(ActionError, match=words):
        action_from_text(text, NAVIGATE_WORDS)


def test_an_error_shows_the_start_of_what_came() -> None:
    with pytest.raises(ActionError) as caught:
        action_from_text([0] * 10_000, NAVIGATE_WORDS)
    assert len(str(caught.value)) < 300


def test_spaces_around_the_longest_text_do_not_count() -> None:
    longest = "x" * MAX_TEXT_LENGTH
    assert action_from_text(f"  {longest}  ").text == longest


@given(st.text())
def test_any_text_is_an_action_or_an_action_error(text: str) -> None:
    try:
        action = action_from_text(text, NAVIGATE_WORDS)
    except ActionError:
        assert not text.strip() or len(text.strip()) > MAX_TEXT_LENGTH
    else:
        assert action.text.lower() == text.strip().lower() or action.id is not None


@given(st.one_of(st.integers(), st.floats(), st.text(), st.none(), st.booleans(), st.lists(st.integers(), max_size=3)))
def test_anything_is_an_id_or_an_action_error(index: object) -> None:
    try:
        action = action_from_id(index, NAVIGATE_WORDS)  # pyright: ignore[reportArgumentType]
    except ActionError:
        return
    assert action.id is not None
    assert action.text == NAVIGATE_WORDS[action.id]
    assert action.id == index


@pytest.mark.parametrize("goal", ["stand by the door", "Stand by the door.", "  stand by the door?! "])
def test_a_goal_is_asked_in_one_way(goal: str) -> None:
    assert goal_question(goal) == "Is the goal reached: stand by the door?"


def test_tasks_have_different_words_each() -> None:
    assert list(TASK_WORDS) == ["navigate", "rotate", "rollout"]
    assert all(len({word.lower() for word in words}) == len(words) for words in TASK_WORDS.values())

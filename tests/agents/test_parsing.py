"""Model text becomes a value, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bagel_world.agents import Malformed, Proposal
from bagel_world.agents.parsing import KEPT_CHARACTERS, MAX_ACTIONS, read_proposal
from bagel_world.types import Thought

WORDS = ("Move forward", "Look left", "Look right", "Stay")

READABLE = {
    "Look left": (1,),
    "look LEFT, move forward.": (1, 0),
    "1. Move forward\n2) Look right\n- Stay": (0, 2, 3),
    "Step 1: Move forward; Step 2: Look right": (0, 2),
    '["Look left", "Stay"]': (1, 3),
    '{"actions": ["Look left", "Stay"], "why": "so"}': (1, 3),
    "Look left -> Look left \u2192 Stay => Stay": (1, 1, 3, 3),
    "Move   forward then **Look right**": (0, 2),
    "'Look left'": (1,),
}


@pytest.mark.parametrize("text", READABLE)
def test_actions_are_read_however_they_are_listed(text: str) -> None:
    read = read_proposal(text, WORDS)
    assert isinstance(read, Proposal)
    assert tuple(action.id for action in read.actions) == READABLE[text]
    assert read.words == tuple(WORDS[place] for place in READABLE[text])
    assert not read.stops


ODD = ("Jump!", "Turn (left)", "Turn [right]", "-5 degrees", "2. go", "_noop_", "Move  forward", "Go back, then left", "then")


@pytest.mark.parametrize("place", range(len(ODD)))
@pytest.mark.parametrize("form", ["{}", "1. {}", "- {}\n{}", "'{}'", '["{}", "{}"]', "<think>So.</think>\n{}\nStop"])
def test_an_action_is_read_as_the_environment_writes_it(place: int, form: str) -> None:
    read = read_proposal(form.replace("{}", ODD[place]), ODD)
    assert isinstance(read, Proposal)
    assert {action.id for action in read.actions} == {place}
    assert {action.text for action in read.actions} == {ODD[place]}


def test_marks_may_be_left_out_where_nothing_else_is_called_so() -> None:
    read = read_proposal("jump, turn (left)", ODD)
    assert isinstance(read, Proposal)
    assert read.words == ("Jump!", "Turn (left)")
    read = read_proposal("Stay!", ("Stay", "Stay!"))
    assert isinstance(read, Proposal)
    assert read.words == ("Stay!",)


def test_a_thought_is_kept_apart() -> None:
    read = read_proposal("<think>The duck is to the left.</think>Look left", WORDS)
    assert read == read_proposal("Look left", WORDS, thought=Thought(text="The duck is to the left."))
    assert isinstance(read, Proposal)
    assert read.thought == Thought(text="The duck is to the left.")


@pytest.mark.parametrize(("text", "count"), [("Stop", 0), ("stop.", 0), ("Move forward, Stop", 1)])
def test_stop_ends_a_proposal(text: str, count: int) -> None:
    read = read_proposal(text, WORDS)
    assert isinstance(read, Proposal)
    assert read.stops
    assert len(read.actions) == count


UNREADABLE = {
    "": "Expected actions, got none",
    "<think>I wonder": "never closed",
    "<think>I wonder</think>": "Expected actions, got none",
    "Move forwards, please": "'Move forwards' is not an action. Did you mean 'Move forward'",
    "Stop, Move forward": "Stop ends the list, got actions after it",
    "\u53bb\u5de6\u8fb9": "is not an action",
    "[1, 2": "is not an action",
    ", ".join(["Stay"] * (MAX_ACTIONS + 1)): f"at most {MAX_ACTIONS} actions",
}


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_cannot_be_read_says_why_and_keeps_the_text(text: str) -> None:
    read = read_proposal(text, WORDS)
    assert isinstance(read, Malformed)
    assert read.text == text
    assert UNREADABLE[text] in read.reason
    assert "Look right" in read.reason  # the model is told what it may write


def test_a_thought_without_an_action_is_kept() -> None:
    read = read_proposal("", WORDS, thought=Thought(text="hm"))
    assert isinstance(read, Malformed)
    assert read.text == "hm"


def test_an_endless_text_is_cut() -> None:
    read = read_proposal("I wonder. " * 1_000_000, WORDS)
    assert isinstance(read, Malformed)
    assert len(read.text) == KEPT_CHARACTERS


@pytest.mark.parametrize("text", [None, 7, b"Look left", ["Look left"], object()])
def test_what_is_no_text_is_malformed(text: object) -> None:
    read = read_proposal(text, WORDS)
    assert isinstance(read, Malformed)
    assert type(text).__name__ in read.reason


def test_free_words_are_actions_where_nothing_is_fixed() -> None:
    read = read_proposal("open the door, walk in", ())
    assert isinstance(read, Proposal)
    assert read.words == ("open the door", "walk in")
    assert isinstance(read_proposal("x" * 600, ()), Malformed)
    assert isinstance(read_proposal("go \ud800", ()), Malformed)


parts = st.sampled_from(["<think>", "</think>", *WORDS, "Stop", ",", "\n", "[", '"', "{", "]", "}", "1.", "->", "\ud800", "\x00"])


@given(text=st.text() | st.lists(parts | st.text(max_size=3)).map("".join), free=st.booleans())
def test_no_text_raises(text: str, free: bool) -> None:
    words = () if free else WORDS
    read = read_proposal(text, words)
    assert isinstance(read, Proposal | Malformed)
    if isinstance(read, Proposal):
        assert read.actions or read.stops
        assert all(action.text in words and words[action.id or 0] == action.text for action in read.actions if words)


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", "  ```JSON {} ```  "])
@pytest.mark.parametrize("answer", ['["Look left", "Stay"]', "Look left, Stay"])
def test_a_fence_around_an_answer_is_no_part_of_it(fence: str, answer: str) -> None:
    found = read_proposal(fence.replace("{}", answer), ("Move forward", "Look left", "Stay"))
    assert isinstance(found, Proposal)
    assert [action.text for action in found.actions] == ["Look left", "Stay"]

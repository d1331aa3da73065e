"""Text while it is written: pieces add up to the answer, in a batch and alone; what is uncertain is held back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bagel_world import BagelWorld
from bagel_world.errors import ConfigError
from bagel_world.model.bagel import Bagel
from bagel_world.types import Frame
from bagel_world.world.config import WritingConfig
from bagel_world.world.prompts import PROMPTS, split_thought
from bagel_world.world.writing import Draft, Piece, settle
from tests.model.folder import write_folder

FRAGMENTS = ["a", "é", " ", "\n", "<", "<th", "<think>", "</think>", "</", "ink>", "<|im_", "stop", "st", "op", "\ufffd"]
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=12)


def play(pieces: list[str], *, closed: bool = True, **settings: Any) -> tuple[Draft, list[Piece]]:
    """A draft that these pieces were written to, and what it made of them; the end mark comes last."""
    draft = Draft(WritingConfig(**{"max_tokens": len(pieces) + 1, **settings}))
    shown = [draft.grow("".join(pieces[: count + 1])) for count in range(len(pieces))]
    return draft, [*shown, draft.grow("".join(pieces), closed=True)] if closed else shown


@given(texts)
@example(["\ufffd", "<th", "ink>"])
@example(["\ufffd", "<think>", "</think>", "\ufffd", "a"])
def test_pieces_add_up_to_the_text_and_its_thought(pieces: list[str]) -> None:
    draft, shown = play(pieces)
    thought, words = split_thought("".join(pieces))
    assert (draft.thought, draft.words) == (thought, words)
    assert "".join(piece.words for piece in shown) == words
    assert "".join(piece.thought for piece in shown) == (thought or "")
    assert sum(piece.tokens for piece in shown) == draft.tokens == len(pieces) + 1
    assert [piece.ending for piece in shown] == [None] * len(pieces) + ["stop"]


@given(texts, st.sampled_from([("stop",), ("op", "<"), ("\n", "a st")]))
@example(["st", "<th", "ink>", "</think>", "op"], ("stop",))
def test_a_stop_word_ends_the_answer_where_it_begins(pieces: list[str], stop: tuple[str, ...]) -> None:
    draft, shown = play(pieces, stop=stop)
    assert "".join(piece.words for piece in shown) == draft.words
    assert not any(word in draft.words for word in stop)
    assert shown[-1].tokens == (1 if draft.tokens == len(pieces) + 1 else 0), "nothing is counted behind a stop word"
    whole = settle(draft.text, stop)
    assert (whole.thought, whole.words) == (draft.thought, draft.words)


@given(texts, texts)
def test_what_is_settled_stays(before: list[str], behind: list[str]) -> None:
    early, late = settle("".join(before), final=False), settle("".join([*before, *behind]))
    # The replacement character stands for half a letter: what comes behind it may change it.
    assert late.words.startswith(early.words)
    assert (late.thought or "").startswith(early.thought or "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It is re", "It is re"),
        ("It is ", "It is"),
        ("It is <", "It is"),
        ("It is <thin", "It is"),
        ("It is <thing", "It is <thing"),
        ("It is caf\ufffd", "It is caf"),
        ("It is <|im_en", "It is"),
        ("<think>I see </thi", ""),
    ],
)
def test_what_may_still_turn_into_something_else_is_held_back(text: str, shown: str) -> None:
    assert settle(text, final=False).words == shown


def test_a_text_ends_at_its_limit() -> None:
    draft, shown = play(["one ", "two ", "three "], closed=False, max_tokens=2)
    assert [(piece.words, piece.tokens, piece.ending) for piece in shown] == [
        ("one", 1, None),
        (" two", 1, "length"),
        ("", 0, None),
    ]
    assert (draft.answer, draft.answer.tokens, draft.answer.ending) == ("one two", 2, "length")


def test_an_empty_stop_word_is_refused() -> None:
    with pytest.raises(ValueError, match="stop"):
        WritingConfig(stop=("",))


# --- the loaded model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", params=[0.0, 0.8], ids=["likeliest", "drawn"])
def world(request: pytest.FixtureRequest, folder: Path) -> BagelWorld:
    return BagelWorld.from_pretrained(folder, writing={"max_tokens": 24, "temperature": request.param})


def picture(seed: int) -> Frame:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_streaming_gives_the_answer_piece_by_piece(world: BagelWorld) -> None:
    context = world.observe(picture(0)).say("go")
    for seed in range(3):
        answer = world.ask(context, "What is left?", seed=seed)
        pieces = [piece for (piece,) in world.write([context.say("What is left?")], seeds=[seed])]
        assert "".join(piece.words for piece in pieces) == answer
        assert sum(piece.tokens for piece in pieces) == answer.tokens == len(pieces)
        assert pieces[-1].ending == answer.ending
        assert sum(bool(piece.words) for piece in pieces) > 1, "it comes in pieces"


def test_questions_in_a_batch_are_answered_as_alone(world: BagelWorld) -> None:
    near, far = world.observe(picture(0)).say("go"), world.observe(picture(1)).say("on").observe(picture(2))
    contexts, questions, seeds = [near, far, near, near], ["What?", "Where to?", "Is it?", "What?"], [1, 2, 3, 4]
    together = world.ask_many(contexts, questions, seeds=seeds)
    alone = [world.ask(*asked, seed=seed) for *asked, seed in zip(contexts, questions, seeds, strict=True)]
    assert together == alone
    assert [answer.tokens for answer in together] == [answer.tokens for answer in alone]
    assert len(set(together)) >= 3


def test_a_batch_of_answers_takes_as_many_passes_as_the_longest(world: BagelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    hidden = Bagel.hidden

    def counted(self: Bagel, packed: Any, *arguments: Any, **settings: Any) -> Any:
        passes.append(len(packed.layouts))
        return hidden(self, packed, *arguments, **settings)

    monkeypatch.setattr(Bagel, "hidden", counted)
    context = world.observe(picture(0)).say("go")
    answers = world.ask_many([context] * 3, ["What?", "Where to?", "Is it?"], seeds=[1, 2, 3])
    assert passes == [3] * max(answer.tokens for answer in answers)


def test_thinking_in_a_batch_rebuilds_a_shared_context_once(world: BagelWorld) -> None:
    context = world.observe(picture(0))
    together = world.ask_many([context, context], ["What?", "Where?"], think=True, seeds=[5, 6])
    assert together == [world.ask(context, "What?", think=True, seed=5), world.ask(context, "Where?", think=True, seed=6)]
    assert together[0] != world.ask(context, "What?", seed=5)


def test_an_answer_can_be_made_to_begin_with_given_words(world: BagelWorld) -> None:
    context = world.observe(picture(0)).say("go")
    plain, led = (
        "".join(piece.words for (piece,) in world.write([context], seeds=[0], starts=starts)) for starts in (None, ["Yes, it"])
    )
    assert led.startswith("Yes, it")
    assert len(led) > len("Yes, it")
    assert not plain.startswith("Yes")


def test_settings_of_one_text_go_over_those_of_the_world(world: BagelWorld) -> None:
    context = world.observe(picture(0)).say("go")
    pieces = list(world.write([context], seeds=[0], settings={"max_tokens": 3}))
    assert len(pieces) == 3
    with pytest.raises(ConfigError, match="Did you mean 'max_tokens'"):
        world.write([context], seeds=[0], settings={"max_token": 3})


def test_whoever_reads_is_shown_every_frame_as_ask_shows_the_last(folder: Path) -> None:
    world = BagelWorld.from_pretrained(folder, context={"see": "latents"}, writing={"max_tokens": 8})
    (answer,) = [world.ask(world.observe(picture(0)), "What is left?", think=True)]
    context = world.read(think=True).observe(picture(0)).say("What is left?")
    assert "".join(piece.words for (piece,) in world.write([context], seeds=[0])) == answer
    assert world.read("Be brief.", think=True).prompt.text == PROMPTS["answer"] + "\n\nBe brief."  # type: ignore[union-attr]
    assert world.read().observe(picture(0)).tokens > world.begin().observe(picture(0)).tokens


def test_questions_and_contexts_come_in_pairs(world: BagelWorld) -> None:
    with pytest.raises(ConfigError, match="one question per context"):
        world.ask_many([world.begin()], ["a", "b"])
    assert world.ask_many([], []) == []

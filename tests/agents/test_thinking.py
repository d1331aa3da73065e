"""Proposers that think, with scripted thinkers: what they are asked, what is made of the answers, what it costs."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bagel_world.agents import Budget, ChainOfThought, Exhaustive, FromCallable, FromChat, Planner, Proposal, Together
from bagel_world.errors import ActionError, CapabilityError, ConfigError, UnknownNameError
from bagel_world.types import Action, Thought
from bagel_world.world.scoring import Goal
from tests.agents.tape import WORDS, TapeWorld, by_tape, empty_tape, matches, read_tape


class ThinkingTape(TapeWorld):
    """Answers with what the script has for the tape that it sees and for the seed's place among the seeds of that tape."""

    def __init__(self, script: dict[tuple[int, ...], Sequence[str]]) -> None:
        super().__init__()
        self.script = script
        self.asked: list[tuple[tuple[int, ...], str]] = []
        self.calls = 0

    def ask_many(
        self, contexts: Sequence[Any], questions: Sequence[str], *, think: bool = False, seeds: Sequence[int] | None = None
    ) -> list[str]:
        assert think
        assert seeds is not None
        assert len(set(seeds)) == len(seeds)
        self.calls += 1
        turns: dict[tuple[int, ...], Iterator[str]] = {tape: iter(answers) for tape, answers in self.script.items()}
        answers = []
        for context, question in zip(contexts, questions, strict=True):
            tape = read_tape(context.frames[-1])
            self.asked.append((tape, question))
            answers.append(next(turns[tape]))
        return answers


def think(world: TapeWorld, proposer: Any, score: Any = None, goal: Any = "the duck", **settings: Any) -> Any:
    return Planner(world, proposer, score or matches((1, 1)), **settings).plan(empty_tape(), goal, seed=1)


def test_every_sample_is_a_proposal_with_its_thought() -> None:
    script = {
        (): ["<think>It is left.</think>Look left", "<think>No, right.</think>Look right", "<think>It is left.</think>Look left"]
    }
    world = ThinkingTape(script)
    plan = think(world, ChainOfThought(count=3))
    assert world.asked == [((), "Find the duck.")] * 3
    assert world.calls == 1
    assert {each.words for each in plan.candidates} == {("Look left",), ("Look right",)}
    assert plan.actions == (Action(text="Look left", id=1),)
    assert plan.chosen.thought == Thought(text="It is left.")
    assert "It is left." in plan.reason
    assert [thought.text for thought in plan.thoughts] == ["It is left.", "No, right.", "It is left."]


def test_it_looks_at_what_it_imagines_and_thinks_on() -> None:
    world = ThinkingTape({(): ["Look left", "Move forward"], (1,): ["<think>on</think>Look left"], (0,): ["Stay"]})
    plan = think(world, ChainOfThought(count=2, depth=2))
    assert [tape for tape, _ in world.asked] == [(), (), (1,), (0,)]
    assert {each.words for each in plan.candidates} == {("Look left", "Look left"), ("Move forward", "Stay")}
    assert plan.actions[0].text == "Look left"
    # The search found the frames of the proposer: nothing was imagined twice.
    assert sum(world.batches) == plan.cost.imagined_frames == 4
    assert world.batches == [2, 2]


def test_a_longer_answer_needs_no_second_question_and_is_cut_at_the_depth() -> None:
    world = ThinkingTape({(): ["Look left, Look left, Stay"]})
    plan = think(world, ChainOfThought(count=1, depth=2))
    assert world.calls == 1
    assert plan.chosen.words == ("Look left", "Look left")
    assert not plan.stops


def test_the_budget_ends_a_train_of_thought() -> None:
    world = ThinkingTape({(): ["Look left, Look left, Stay"]})
    plan = think(world, ChainOfThought(count=1, depth=3), budget=Budget(frames=2))
    assert plan.chosen.words == ("Look left", "Look left")
    assert plan.cost.imagined_frames == 2


def test_it_may_think_that_it_is_there() -> None:
    plan = think(ThinkingTape({(): ["<think>I am there.</think>Stop"]}), ChainOfThought(count=1))
    assert plan.actions == ()
    assert plan.stops
    assert plan.cost.imagined_frames == 0


def test_nonsense_is_kept_and_single_actions_are_weighed() -> None:
    plan = think(ThinkingTape({(): ["<think>so many", "bananas"]}), ChainOfThought(count=2))
    assert [each.text for each in plan.malformed] == ["<think>so many", "bananas"]
    assert {each.words for each in plan.candidates} == {(word,) for word in WORDS}
    assert plan.actions[0].text == "Look left"
    assert "2 proposals could not be read" in plan.reason
    assert "single actions" in plan.reason


class Mute(TapeWorld):
    @property
    def can_write(self) -> bool:
        return False


def test_a_world_that_cannot_write_cannot_think() -> None:
    world = Mute()
    with pytest.raises(CapabilityError, match=r"'thought' needs a world that was taught to write"):
        think(world, "thought")
    with pytest.raises(CapabilityError, match="think=True needs a world"):
        Planner(world, scorer=matches((1,)), think=True).plan(empty_tape(), "the duck")
    assert world.batches == []


def test_a_thought_about_the_present_becomes_part_of_the_plan() -> None:
    plan = Planner(TapeWorld(), scorer=matches((1,)), think=True).plan(empty_tape(), "the duck")
    assert len(plan.thoughts) == 1
    assert plan.thoughts[0].text.startswith("The view is mostly")


# --- chat models


class Chat:
    """Says one line after the other and remembers what it was told."""

    def __init__(self, *lines: Any) -> None:
        self.lines = iter(lines)
        self.heard: list[list[dict[str, Any]]] = []

    def invoke(self, messages: list[dict[str, Any]]) -> Any:
        self.heard.append(messages)
        return next(self.lines)


def test_a_chat_model_sees_the_frame_the_goal_and_the_actions() -> None:
    goal = np.full((16, 16, 3), 200, np.uint8)
    chat = Chat(SimpleNamespace(content="<think>left twice</think>Look left, Look left"))
    plan = think(TapeWorld(), FromChat(model=chat, depth=2), goal=Goal(image=goal, text="the duck"))
    assert plan.chosen.words == ("Look left", "Look left")
    assert plan.chosen.thought == Thought(text="left twice")
    assert plan.cost.model_calls == 1 + 2  # the chat and two imagined steps; a scoring function calls no model
    (message,) = chat.heard[0]
    told = " ".join(block["text"] for block in message["content"] if block["type"] == "text")
    assert "Find the duck." in told
    assert all(word in told for word in WORDS)
    assert "next 2 actions" in told
    pictures = [block["image_url"]["url"] for block in message["content"] if block["type"] == "image_url"]
    shown = [np.array(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))) for url in pictures]
    np.testing.assert_array_equal(shown, [empty_tape(), goal])


def test_blocks_of_text_are_joined() -> None:
    chat = Chat(SimpleNamespace(content=[{"type": "text", "text": "Look left, "}, {"type": "other"}, "Stay", 7]))
    assert think(TapeWorld(), chat).chosen.words == ("Look left", "Stay")


def test_nonsense_is_sent_back_with_the_reason_and_may_be_mended() -> None:
    chat = Chat("fly to the moon", "Look left")
    plan = think(TapeWorld(), FromChat(model=chat, pictures=False))
    assert plan.chosen.words == ("Look left",)
    assert [each.text for each in plan.malformed] == ["fly to the moon"]
    roles = [message["role"] for message in chat.heard[1]]
    assert roles == ["user", "assistant", "user"]
    assert "'fly to the moon' is not an action" in chat.heard[1][2]["content"]
    assert not any(block["type"] == "image_url" for block in chat.heard[0][0]["content"])


def test_a_chat_model_that_only_says_nonsense_leaves_single_actions() -> None:
    plan = think(TapeWorld(), FromChat(model=Chat("", None, {"no": "text"}, "Stop it"), count=2))
    assert len(plan.malformed) == 4
    assert {each.words for each in plan.candidates} == {(word,) for word in WORDS}


def test_errors_of_a_chat_model_are_its_own() -> None:
    class Broken:
        def invoke(self, messages: Any) -> Any:
            raise TimeoutError("no answer")

    with pytest.raises(TimeoutError, match="no answer"):
        think(TapeWorld(), Broken())


# --- functions


def test_a_function_may_return_ids_words_texts_and_proposals() -> None:
    def ideas(tree: Any) -> list[Any]:
        assert tree.words == WORDS
        return [[1, 1], ["look right"], "Stay, Stay", Proposal(actions=(tree.actions[0],)), "gibberish"]

    plan = think(TapeWorld(), ideas, by_tape({(1, 1): 0.9}))
    assert {each.words for each in plan.candidates} == {
        ("Look left", "Look left"),
        ("Look right",),
        ("Stay", "Stay"),
        ("Move forward",),
    }
    assert [each.text for each in plan.malformed] == ["gibberish"]
    assert plan.chosen.words == ("Look left", "Look left")


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        ("Look left", ConfigError, "Expected a list of sequences"),
        (None, ConfigError, "Expected a list of sequences"),
        ([None], ConfigError, "Expected a sequence of actions"),
        ([[9]], ActionError, "0..3"),
        ([["fly"]], ActionError, "'fly'"),
    ],
)
def test_what_a_function_must_not_return(returned: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        think(TapeWorld(), FromCallable(lambda tree: returned))


def test_proposers_together_weigh_every_sequence_once_and_keep_the_first_thought() -> None:
    world = ThinkingTape({(): ["<think>It is left.</think>Look left", "bananas"]})
    plan = think(world, Together((ChainOfThought(count=2), Exhaustive(depth=1))))
    assert sorted(each.words for each in plan.candidates) == sorted((word,) for word in WORDS)
    assert plan.chosen.thought == Thought(text="It is left.")
    assert [each.text for each in plan.malformed] == ["bananas"]
    assert plan.cost.imagined_frames == 4


def test_what_is_no_proposer_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"no proposer named 'exaustive'.*'exhaustive'"):
        Planner(TapeWorld(), "exaustive")
    with pytest.raises(ConfigError, match="Expected a proposer"):
        Planner(TapeWorld(), 7)
    with pytest.raises(ConfigError, match="invoke"):
        FromChat(model=object())
    with pytest.raises(ConfigError, match="at most 65536 sequences"):
        think(TapeWorld(), Exhaustive(depth=9))

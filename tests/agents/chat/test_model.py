"""ChatBagel: what is streamed is what is answered, in a batch and alone; every token is counted; calls, thoughts, pictures."""

from __future__ import annotations

import asyncio
import base64
import copy
import itertools
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage, trim_messages
from langchain_core.tools import tool
from pydantic import BaseModel

from bagel_world import BagelWorld, FakeWorld
from bagel_world.agents import ChatBagel
from bagel_world.agents.chat.messages import picture_block
from bagel_world.agents.chat.tools import write_call
from bagel_world.errors import (
    ActionError,
    CapabilityError,
    ConfigError,
    ImageError,
    MessageError,
    UnknownNameError,
    UnknownSettingError,
)
from bagel_world.images import read_image
from bagel_world.types import Frame
from bagel_world.world.weights import shipped
from tests.agents.chat.obedient import Obedient, Scripted
from tests.model.folder import write_folder

QUESTION = "What do you see?"


def picture(seed: int = 0) -> Frame:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def asked(seed: int = 0, question: str = QUESTION) -> list[HumanMessage]:
    return [HumanMessage([picture_block(picture(seed)), question])]


def joined(chunks: Sequence[AIMessageChunk]) -> AIMessageChunk:
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return first


@tool
def walk(steps: int, where: str = "on") -> str:
    """Walk."""
    return f"{steps} steps {where}"


@tool
def look() -> str:
    """Look."""
    return "A duck."


CALL = write_call("walk", {"steps": 2})


# --- text


@pytest.mark.parametrize("size", [1, 2, 7, 100])
@pytest.mark.parametrize("think", [False, True])
def test_what_is_streamed_is_what_is_answered(size: int, think: bool) -> None:
    text = f"<think>\nLeft is\n a wall. </think>\n I go left. {CALL}\n And on.{CALL} "
    model = ChatBagel(world=Scripted(text, size=size), think=think).bind_tools([walk])
    answer, streamed = model.invoke(asked()), joined(list(model.stream(asked())))
    assert isinstance(answer, AIMessage)
    assert answer.content == streamed.content == "I go left. \n And on."
    assert answer.additional_kwargs == streamed.additional_kwargs == {"reasoning_content": "Left is\n a wall."}
    for message in (answer, streamed):
        assert [(call["name"], call["args"]) for call in message.tool_calls] == [("walk", {"steps": 2})] * 2
        assert len({call["id"] for call in message.tool_calls}) == 2
        assert message.invalid_tool_calls == []
    assert answer.usage_metadata == streamed.usage_metadata
    assert answer.response_metadata["finish_reason"] == "tool_calls"
    assert [block["type"] for block in answer.content_blocks] == ["reasoning", "text", "tool_call", "tool_call"]


def test_text_comes_token_by_token_as_it_is_written() -> None:
    world = Scripted("It is a yellow duck.", size=3)
    chunks = ChatBagel(world=world).stream(asked())
    assert [next(chunks).content for _ in range(3)] == ["It", " is", " a y"]
    assert world.fed == 3, "nothing is written ahead"


def test_calls_are_text_where_no_tools_were_bound() -> None:
    answer = ChatBagel(world=Scripted(CALL)).invoke(asked())
    assert (answer.content, answer.tool_calls) == (CALL, [])


def test_a_stop_word_and_a_limit_end_the_answer() -> None:
    model = ChatBagel(world=Scripted("A duck. Then a wall. Then a door.", size=1), stop=["Then"])
    answer = model.invoke(asked())
    assert (answer.content, answer.response_metadata["finish_reason"]) == ("A duck.", "stop")
    assert model.invoke(asked(), stop=["wall", "door"]).content == "A duck. Then a"
    assert model.invoke(asked(), stop="wall").content == "A duck. Then a"  # type: ignore[arg-type]
    assert model.invoke(asked(), stop=[]).content == "A duck. Then a wall. Then a door."
    short = model.invoke(asked(), max_tokens=4)
    assert (short.content, short.response_metadata["finish_reason"]) == ("A du", "length")
    assert short.usage_metadata is not None
    assert short.usage_metadata["output_tokens"] == 4


def test_what_was_bound_goes_over_what_the_model_was_made_with() -> None:
    model = ChatBagel(world=Scripted("one two three", size=4), max_tokens=3)
    assert model.invoke(asked()).content == "one two thre"
    assert model.bind(max_tokens=1).invoke(asked()).content == "one"
    assert model.bind(max_tokens=1).with_config(tags=["a"]).invoke(asked(), max_tokens=2).content == "one two"


def test_the_conversation_is_what_the_world_is_told() -> None:
    world = Scripted("Yes.")
    ChatBagel(world=world).bind_tools([look]).invoke(
        [SystemMessage("Be brief."), *asked(), AIMessage("A duck."), HumanMessage("Sure?")]
    )
    (context,) = world.heard
    assert context.prompt is not None
    assert context.prompt.startswith("Be brief.\n\n")
    assert '"look"' in context.prompt
    assert [item for item in context.items if isinstance(item, str)] == [QUESTION, "A duck.", "Sure?"]
    assert '"look"' not in (world.begin().prompt or "")
    ChatBagel(world=world).bind_tools([look], tool_choice="none").invoke(asked())
    assert world.heard[1].prompt is None


# --- tools


@pytest.mark.parametrize(
    ("written", "valid", "invalid"),
    [
        (f"{CALL}<tool_call>{{go", 1, 1),
        ('<tool_call>{"name": "walk", "arguments": {"steps": 2', 0, 1),
        ('<tool_call>{"name": "walk", "arguments": [2]}</tool_call>', 0, 1),
        ('<tool_call>{"name": "fly", "arguments": {}}</tool_call>', 1, 0),
        ("<tool_call>", 0, 1),
        ("</tool_call>", 0, 0),
        ("", 0, 0),
    ],
)
def test_a_malformed_call_is_no_error_but_an_invalid_call(written: str, valid: int, invalid: int) -> None:
    model = ChatBagel(world=Scripted(written)).bind_tools([walk])
    answer, streamed = model.invoke(asked()), joined(list(model.stream(asked())))
    for message in (answer, streamed):
        assert (len(message.tool_calls), len(message.invalid_tool_calls)) == (valid, invalid)
    assert all("Expected" in (call["error"] or "") for call in answer.invalid_tool_calls)
    # It goes on from there: the model is told what it wrote.
    assert ChatBagel(world=Scripted("Well.")).invoke([*asked(), answer, HumanMessage("Again.")]).content == "Well."


@pytest.mark.parametrize(("choice", "name"), [("any", "walk"), ("look", "look"), ("walk", "walk")])
def test_a_forced_call_begins_like_one_whatever_the_model_wants(choice: str, name: str) -> None:
    world = Scripted('{"steps": 1}}</tool_call>' if choice != "any" else 'walk", "arguments": {"steps": 1}}</tool_call>')
    (call,) = ChatBagel(world=world, think=True).bind_tools([walk, look], tool_choice=choice).invoke(asked()).tool_calls
    assert (call["name"], call["args"]) == (name, {"steps": 1})
    assert "<think>" not in (world.heard[0].prompt or ""), "a call that is forced leaves no room for a thought"


def test_tools_that_are_not_there_are_refused_when_they_are_bound() -> None:
    with pytest.raises(UnknownNameError, match="'wallk'"):
        ChatBagel(world=FakeWorld()).bind_tools([walk], tool_choice="wallk")
    with pytest.raises(ConfigError, match="name of a tool"):
        ChatBagel(world=FakeWorld()).bind_tools([walk], tool_choice={"function": "walk"})
    with pytest.raises(ConfigError, match="Tools are called in text"):
        ChatBagel(world=FakeWorld(), modalities=["image"]).bind_tools([walk]).invoke("Look left")


class Seen(BaseModel):
    """What is seen."""

    thing: str
    count: int


def test_structured_output_comes_through_a_forced_call() -> None:
    reader = ChatBagel(world=Obedient()).with_structured_output(Seen)
    assert reader.invoke("There are 3 of 'duck'.") == Seen(thing="duck", count=3)
    both = [Seen(thing="duck", count=3), Seen(thing="cat", count=5)]
    assert reader.batch(["There are 3 of 'duck'.", "There are 5 of 'cat'."]) == both


def test_structured_output_that_is_none_is_kept_beside_its_error() -> None:
    model = ChatBagel(world=Scripted('{"thing": "duck"}}</tool_call>'))
    found: Any = model.with_structured_output(Seen, include_raw=True).invoke(asked())
    assert found["parsed"] is None
    assert "count" in str(found["parsing_error"])
    found = ChatBagel(world=Scripted("a duck")).with_structured_output(Seen, include_raw=True).invoke(asked())
    assert (found["parsed"], found["parsing_error"], len(found["raw"].invalid_tool_calls)) == (None, None, 1)


def test_an_agent_that_calls_and_is_told_goes_on() -> None:
    model = ChatBagel(world=Obedient()).bind_tools([walk])
    first = model.invoke("Walk 4 steps")
    (call,) = first.tool_calls
    result = walk.invoke(call)
    assert isinstance(result, ToolMessage)
    assert model.invoke([HumanMessage("Walk 4 steps"), first, result]).content == "Hello to you."


# --- pictures


def test_a_picture_is_the_next_frame_of_the_world() -> None:
    world = FakeWorld()
    messages = [HumanMessage([picture_block(picture()), "Look left"])]
    answer = ChatBagel(world=world, modalities=["image"], seed=5).invoke(messages)
    (block,) = answer.content_blocks
    assert block["type"] == "image"
    context = world.begin().observe(picture()).say("Look left")
    frame = read_image(base64.b64decode(block["base64"]))  # type: ignore[typeddict-item]
    np.testing.assert_array_equal(frame, world.imagine([context], seeds=[5])[0])
    used = {"input_tokens": context.tokens, "output_tokens": world.observe(frame).tokens}
    assert answer.usage_metadata == {**used, "total_tokens": sum(used.values())}
    # The picture is part of the conversation from there on.
    following = Scripted("A wall.")
    ChatBagel(world=following).invoke([*messages, answer, HumanMessage("And now?")])
    for seen, shown in zip(following.heard[0].frames, [picture(), frame], strict=True):
        np.testing.assert_array_equal(seen, shown)


def test_words_can_come_before_the_picture_and_lead_to_it() -> None:
    world = Scripted("I look left.")
    answer = ChatBagel(world=world, modalities=["text", "image"]).invoke(asked())
    assert [block["type"] for block in answer.content_blocks] == ["text", "image"]
    assert answer.text == "I look left."
    (alone,) = ChatBagel(world=world, modalities=["image"]).invoke(asked()).content_blocks
    assert answer.content_blocks[1] != alone


def test_a_thought_can_come_before_the_picture() -> None:
    world = FakeWorld()
    answer = ChatBagel(world=world, modalities=["image"], think=True).invoke(asked())
    context = world.begin().observe(picture()).say(QUESTION)
    (thought,) = world.think([context], seeds=[0])
    assert answer.additional_kwargs == {"reasoning_content": thought.text}
    frame = world.imagine([context.say(thought)], seeds=[0])[0]
    assert answer.content == [picture_block(frame)]


# --- batches, threads, time


def test_a_batch_is_one_batch_and_answers_as_each_alone() -> None:
    world = Obedient()
    model = ChatBagel(world=world).bind_tools([walk])
    questions = [f"Walk {steps} steps" for steps in (3, 1, 2)]
    together = ChatBagel(world=world).batch(questions, tools=model.kwargs["tools"])  # type: ignore[attr-defined]
    assert world.model_calls == 1
    assert [call["args"] for answer in together for call in answer.tool_calls] == [{"steps": steps} for steps in (3, 1, 2)]
    assert [answer.usage_metadata for answer in together] == [model.invoke(each).usage_metadata for each in questions]


def test_a_batch_is_as_large_as_the_config_allows() -> None:
    world = Obedient()
    questions = [f"Walk {steps} steps" for steps in (3, 1, 2, 1, 3)]
    model = ChatBagel(world=world).bind_tools([walk])
    answers = model.batch(questions, {"max_concurrency": 2})
    assert world.model_calls == 3
    assert [call["args"]["steps"] for answer in answers for call in answer.tool_calls] == [3, 1, 2, 1, 3]


def test_a_bad_conversation_in_a_batch_is_its_own_error_alone() -> None:
    model = ChatBagel(world=Scripted("Hello."))
    answers: list[Any] = model.batch(["Hi", "", "Ho"], return_exceptions=True)
    assert [str(getattr(answer, "content", type(answer))) for answer in answers] == ["Hello.", str(MessageError), "Hello."]
    with pytest.raises(MessageError):
        model.batch(["Hi", ""])
    assert model.batch([]) == []


def test_asynchronous_answers_are_the_same_ones() -> None:
    model = ChatBagel(world=Scripted("It is a duck."))

    async def every() -> list[Any]:
        streamed = joined([chunk async for chunk in model.astream(asked())])
        return [await model.ainvoke(asked()), streamed, *await model.abatch([asked(), asked(1)])]

    assert [answer.content for answer in asyncio.run(every())] == ["It is a duck."] * 4


def test_a_cancelled_answer_is_not_written_to_its_end() -> None:
    world = Scripted("A very long story. " * 100, size=1)
    slow = world._played

    def paced(*arguments: Any) -> Any:
        for step in slow(*arguments):
            import time

            time.sleep(0.01)
            yield step

    world._played = paced  # type: ignore[method-assign]

    async def cut_short() -> None:
        await asyncio.wait_for(ChatBagel(world=world).ainvoke(asked()), timeout=0.2)

    with pytest.raises(TimeoutError):
        asyncio.run(cut_short())
    assert 0 < world.fed < 100


# --- limits and settings


def test_a_conversation_beyond_its_limits_is_refused() -> None:
    model = ChatBagel(world=FakeWorld(max_frames=2))
    with pytest.raises(MessageError, match="at most 3 tokens, got 4"):
        model.bind(max_input_tokens=3).invoke("one two three four")
    with pytest.raises(MessageError, match="more pictures than"):
        model.invoke([*asked(0), *asked(1), *asked(2)])
    with pytest.raises(MessageError, match="empty messages alone"):
        model.invoke([AIMessage("")])


@pytest.mark.parametrize(
    ("settings", "error", "complaint"),
    [
        ({"max_token": 3}, UnknownSettingError, "Did you mean 'max_tokens'"),
        ({"temperature": -1}, ConfigError, "temperature"),
        ({"max_tokens": 0}, ConfigError, "max_tokens"),
        ({"modalities": ["audio"]}, ConfigError, "modalities"),
        ({"modalities": []}, ConfigError, "modalities"),
        ({"seed": "lucky"}, ConfigError, "seed"),
        ({"seed": 10**30}, ConfigError, "seed"),
    ],
)
def test_settings_that_cannot_be_are_refused_here_and_there(
    settings: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        ChatBagel(**settings)
    with pytest.raises(error, match=complaint):
        ChatBagel(world=FakeWorld()).invoke("Hi", **settings)


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_settings_are_written_down_and_read_again() -> None:
    model = ChatBagel(checkpoint=Path("walks/nano"), device="cpu", sampling={"evaluations": 3}, stop=["\n"], think=True, seed=3)
    again = load(dumpd(model), allowed_objects=[ChatBagel], valid_namespaces=["bagel_world"])
    assert isinstance(again, ChatBagel)
    assert again.asdict() == model.asdict()
    assert again.asdict()["checkpoint"] == "walks/nano"
    assert dumpd(ChatBagel(world=FakeWorld()))["type"] == "not_implemented", "a world cannot be named"


def test_importing_agents_costs_neither_langchain_nor_torch() -> None:
    code = (
        "import sys, bagel_world.agents as agents\n"
        "assert 'langchain_core' not in sys.modules and 'torch' not in sys.modules\n"
        "agents.ChatBagel(); assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- a loaded model


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> BagelWorld:
    folder = write_folder(tmp_path_factory.mktemp("tiny"))
    settings: dict[str, Any] = {"sampling": {"evaluations": 2}, "context": {"see": "latents", "max_frames": 3, "keep_frames": 2}}
    return BagelWorld.from_pretrained(folder, writing={"max_tokens": 16}, **settings)


def test_a_loaded_model_answers_as_its_world_does_and_counts_its_tokens(world: BagelWorld) -> None:
    model = ChatBagel(world=world)
    answer = model.invoke(asked())
    expected = world.ask(world.observe(picture()), QUESTION)
    assert answer.content == expected
    context = world.read().observe(picture()).say(QUESTION)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == expected.tokens
    assert answer.usage_metadata["input_tokens"] == context.tokens == model.get_num_tokens_from_messages(asked())
    list(world.write([context], seeds=[0]))
    assert context.node.full is not None
    assert len(context.node.full.cache) == context.tokens, "what the model really read"
    assert joined(list(model.stream(asked()))).content == expected
    assert answer.response_metadata["model_name"] == world.checkpoint.folder.name  # type: ignore[union-attr]


def test_a_loaded_model_answers_a_batch_as_each_alone_and_draws_by_its_seed(world: BagelWorld) -> None:
    model = ChatBagel(world=world, temperature=0.9, seed=4)
    inputs = [asked(0), asked(1, "Where is the door, and what is to the left of it?"), [HumanMessage("Hi")]]
    alone = [model.invoke(each).content for each in inputs]
    assert [answer.content for answer in model.batch(inputs)] == alone
    assert [answer.content for answer in model.bind(seed=5).batch(inputs)] != alone


def test_a_loaded_model_is_forced_to_call(world: BagelWorld) -> None:
    answer = ChatBagel(world=world, max_tokens=70).bind_tools([look], tool_choice="look").invoke(asked())
    (call,) = [*answer.tool_calls, *answer.invalid_tool_calls]
    assert str(call["args"]).startswith('<tool_call>\n{"name": "look", "arguments":')


def test_a_loaded_model_imagines_behind_the_conversation(world: BagelWorld) -> None:
    answer = ChatBagel(world=world, modalities=["image"], seed=2).invoke(asked(0, "Look left"))
    frame = world.imagine([world.observe(picture()).say("Look left")], seeds=[2])[0]
    assert answer.content == [picture_block(frame)]


def test_what_a_loaded_model_cannot_read_it_refuses(world: BagelWorld) -> None:
    model = ChatBagel(world=world)
    with pytest.raises(ActionError, match="300000 characters"):
        model.invoke("go " * 100_000)
    with pytest.raises(ImageError, match="Nothing is fetched"):
        model.invoke([HumanMessage([{"type": "image", "url": "https://a.example/duck.png"}])])
    with pytest.raises(MessageError, match="more pictures than"):
        model.invoke(list(itertools.chain(*(asked(seed) for seed in range(4)))))
    assert model.invoke(asked()).content == world.ask(world.observe(picture()), QUESTION)


@pytest.mark.skipif("nano-worlds" not in shipped(), reason="the checkpoint nano-worlds is not in the package")
def test_the_shipped_checkpoint_that_writes_streams_what_it_answers() -> None:
    world = BagelWorld.from_pretrained("nano-worlds", device="cpu")
    model = ChatBagel(world=world, max_tokens=8)
    question = [("human", [picture_block(world.starts[0].frames[0]), "Which object is ahead?"])]
    answer = model.invoke(question)
    assert joined(list(model.stream(question))).content == answer.content
    assert answer.usage_metadata is not None
    assert 0 < answer.usage_metadata["output_tokens"] <= 8


@pytest.mark.skipif("nano" not in shipped(), reason="the checkpoint nano is not in the package")
def test_nano_says_that_it_cannot_write() -> None:
    model = ChatBagel(world=BagelWorld.from_pretrained("nano", device="cpu"))
    with pytest.raises(CapabilityError, match="not to write"):
        model.invoke(asked())


# --- what LangChain does with models


def test_caches_tell_worlds_and_settings_apart() -> None:
    cache = InMemoryCache()
    first, other = Scripted("A duck."), Scripted("A wall.")
    models = [
        ChatBagel(world=first, cache=cache),
        ChatBagel(world=other, cache=cache),
        ChatBagel(world=first, max_tokens=1, cache=cache),
    ]
    answers = [[model.invoke(asked()).content for _ in range(2)] for model in models]
    assert answers[:2] == [["A duck."] * 2, ["A wall."] * 2]
    assert answers[2] != answers[0]
    fed = first.fed
    models[0].invoke(asked())
    assert first.fed == fed, "the same model is remembered"
    moved = models[0].model_copy(update={"world": other})
    assert moved.invoke(asked()).content == "A wall."


def test_what_is_too_long_to_answer_is_counted_all_the_same() -> None:
    model = ChatBagel(world=FakeWorld(), max_input_tokens=50)
    long = [HumanMessage("word " * 40), AIMessage("answer " * 10), HumanMessage("last")]
    counted = model.get_num_tokens_from_messages(long)
    with pytest.raises(MessageError, match=f"at most 50 tokens, got {counted}"):
        model.invoke(long)
    (kept,) = trim_messages(long, max_tokens=30, token_counter=model, strategy="last", start_on="human")
    assert kept.content == "last"
    assert model.get_num_tokens("") == 0
    shown = [HumanMessage([picture_block(picture(place)) for place in range(5)])]
    one = ChatBagel(world=FakeWorld()).get_num_tokens_from_messages([HumanMessage([picture_block(picture())])])
    assert ChatBagel(world=FakeWorld(max_frames=2)).get_num_tokens_from_messages(shown) == 5 * one


@pytest.mark.parametrize("most", [1, 2])
def test_a_batch_of_pictures_asks_the_world_no_more_often_at_a_time_than_it_may(most: int) -> None:
    inside, seen = 0, []

    class Slow(FakeWorld):
        def imagine(self, *arguments: Any, **settings: Any) -> Any:
            nonlocal inside
            inside += 1
            seen.append(inside)
            time.sleep(0.02)
            inside -= 1
            return super().imagine(*arguments, **settings)

    model = ChatBagel(world=Slow(), modalities=["image"])
    answers = asyncio.run(model.abatch([asked(place) for place in range(6)], {"max_concurrency": most}))
    assert len(answers) == len(seen) == 6
    assert max(seen) <= most
    told = asyncio.run(model.abatch([asked(), []], {"max_concurrency": most}, return_exceptions=True))
    assert isinstance(told[0], AIMessage)
    assert isinstance(told[1], MessageError)


def test_models_are_copied_and_sent() -> None:
    model = pickle.loads(pickle.dumps(ChatBagel(checkpoint="nano-worlds", max_tokens=7)))
    assert (model.checkpoint, model.max_tokens) == ("nano-worlds", 7)
    copied = copy.deepcopy(ChatBagel(world=FakeWorld(), max_tokens=7))
    assert copied.invoke("Hi").content


def test_tools_are_read_where_they_are_given_to_a_call() -> None:
    model = ChatBagel(world=Scripted(CALL))
    assert model.invoke(asked(), tools=[walk]).tool_calls
    assert model.invoke(asked(), tools=[{"name": "walk"}]).tool_calls, "the short form that LangChain takes"


def test_errors_stay_in_the_list_where_that_is_asked_for() -> None:
    chat = ChatBagel(world=FakeWorld())
    broken, answer = chat.batch([None, "Hello"], return_exceptions=True)  # type: ignore[list-item]
    assert isinstance(broken, ValueError)
    assert answer.text == chat.invoke("Hello").text
    for asked in ({"max_tokens": 0}, {"tools": [{"type": "web_search"}]}):
        found: Any = chat.batch(["a", "b"], return_exceptions=True, **asked)
        assert [type(each) for each in found] == [ConfigError, ConfigError]
        with pytest.raises(ConfigError):
            chat.batch(["a", "b"], **asked)


@pytest.mark.parametrize("tools", [[{"type": "web_search"}], [{"type": "function", "function": {}}], [5], None])
def test_tools_that_nobody_here_could_run_are_refused_when_they_are_bound(tools: Any) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        ChatBagel(world=FakeWorld()).bind_tools(tools)


@pytest.mark.parametrize("world", ["nano", 5])
def test_a_name_is_no_loaded_world(world: Any) -> None:
    with pytest.raises(ConfigError, match="from_pretrained"):
        ChatBagel(world=world)


def test_token_ids_are_those_of_the_world_and_never_fetched(world: BagelWorld) -> None:
    assert ChatBagel(world=world).get_token_ids("Hello") == list(world.checkpoint.tokenizer.encode("Hello"))
    assert ChatBagel(world=FakeWorld(), custom_get_token_ids=lambda text: [7]).get_token_ids("Hello") == [7]
    with pytest.raises(CapabilityError, match="tokenizer"):
        ChatBagel(world=FakeWorld()).get_token_ids("Hello")

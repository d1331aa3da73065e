"""Proposers that think: the world's own chain of thought, or a chat model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import Field

from bagel_world.agents.imagination import Draw, Imagination, Node
from bagel_world.agents.parsing import read_proposal
from bagel_world.agents.plan import Malformed, Proposal, Proposals
from bagel_world.agents.prompts import decision_prompt, goal_sentence, image_block
from bagel_world.agents.setting import Setting
from bagel_world.errors import ConfigError
from bagel_world.types import Action, Thought
from bagel_world.world.protocol import Thinker
from bagel_world.world.scoring import check_writes


class ChainOfThought(Setting):
    """The world thinks for itself: `<think>`, then what to do; then it imagines that, looks, and thinks again.

    It is asked `count` times. The answers differ where the world writes with a temperature above 0, for example
    `BagelWorld.from_pretrained(..., writing={"temperature": 0.7})`.
    """

    count: int = Field(default=3, ge=1, description="How often to think it through.")
    depth: int = Field(default=1, ge=1, description="Steps to look ahead; answers that are shorter are thought on from.")
    question: str = Field(default="{goal}", min_length=1, description="What is asked; {goal} stands for the goal as a sentence.")

    def propose(self, tree: Imagination) -> Proposals:
        """Thoughts and what follows from them; all trains of thought share their batches.

        Raises:
            CapabilityError: the world cannot write.
        """
        check_writes(tree.world, "The proposer 'thought'")
        # A world that writes follows both protocols, which Thinker alone does not say.
        thinker = cast(Thinker, tree.world)
        question = self.question.replace("{goal}", goal_sentence(tree.goal))
        trains = [_Train(sample, tree.root) for sample in range(self.count)]
        calls = 0
        while asked := [train for train in trains if not train.done and train.node.depth < self.depth]:
            if calls and tree.late:
                break
            answers = thinker.ask_many(
                [train.node.context for train in asked],
                [question] * len(asked),
                think=True,
                seeds=[tree.seed_for(Draw.THOUGHT, train.sample, train.node.depth) for train in asked],
            )
            calls += 1
            for train, answer in zip(asked, answers, strict=True):
                train.hear(read_proposal(answer, tree.words, thought=getattr(answer, "thought", None)), self.depth)
            _imagine(tree, asked)
        return Proposals(
            items=tuple(train.proposal for train in trains if train.moved),
            malformed=tuple(train.malformed for train in trains if train.malformed is not None),
            model_calls=calls,
        )


@dataclass(slots=True, eq=False)
class _Train:
    """A train of thought through imagined frames."""

    sample: int
    node: Node
    thought: Thought | None = None
    malformed: Malformed | None = None
    ahead: list[Action] = field(default_factory=list)
    stops: bool = False
    done: bool = False

    @property
    def moved(self) -> bool:
        """Whether it came to anything."""
        return self.stops or self.node.parent is not None

    @property
    def proposal(self) -> Proposal:
        """What it came to."""
        return Proposal(actions=self.node.actions, thought=self.thought, stops=self.stops)

    def hear(self, read: Proposal | Malformed, depth: int) -> None:
        """Take what was thought; at what cannot be read, the train ends where it is."""
        if isinstance(read, Malformed):
            self.malformed, self.done = read, True
            return
        self.thought = self.thought or read.thought
        self.ahead = list(read.actions[: depth - self.node.depth])
        self.stops = self.done = read.stops and len(self.ahead) == len(read.actions)


def _imagine(tree: Imagination, trains: Sequence[_Train]) -> None:
    """Follow what was thought, step by step, as far as the budget goes; the first step of it in any case."""
    while moving := [train for train in trains if train.ahead]:
        if tree.late:
            for train in moving:
                if train.node.parent is not None:
                    train.ahead, train.stops, train.done = [], False, True
            moving = [train for train in moving if train.ahead]
        fitting = {(node, action.text) for node, action, _ in tree.fitting([(each.node, each.ahead[0], 0) for each in moving])}
        for train in moving:
            if (train.node, train.ahead[0].text) not in fitting:
                train.ahead, train.stops, train.done = [], False, True
        going = [train for train in moving if train.ahead]
        for train, node in zip(going, tree.grow([(each.node, each.ahead.pop(0), 0) for each in going]), strict=True):
            train.node = node


@dataclass(frozen=True, slots=True, kw_only=True)
class FromChat:
    """A chat model, LangChain's or any other with `invoke(messages)`.

    It is shown the present frame (and the goal picture), told the goal and the actions, and asked for a thought and actions. What
    cannot be read is sent back with the reason, `repairs` times; then it is kept as malformed.

    Attributes:
        model: `invoke` gets a list of {"role", "content"} messages with text and image blocks, and returns a text or an object
            with `content` (a text, or blocks with a "text").
        count: how often it is asked.
        depth: actions to ask for.
        repairs: how often it may mend what could not be read.
        pictures: whether to send images; False for models that only read.
    """

    model: Any
    count: int = 1
    depth: int = 3
    repairs: int = 1
    pictures: bool = True

    def __post_init__(self) -> None:
        if not callable(getattr(self.model, "invoke", None)):
            raise ConfigError(f"Expected a chat model with a method invoke(messages), got {type(self.model).__name__}.")
        if min(self.count, self.depth) < 1 or self.repairs < 0:
            given = f"count={self.count}, depth={self.depth}, repairs={self.repairs}"
            raise ConfigError(f"Expected count and depth of at least 1 and repairs of at least 0, got {given}.")

    def propose(self, tree: Imagination) -> Proposals:
        """What the model says; its own errors (network, quota) are not caught."""
        items: list[Proposal] = []
        malformed: list[Malformed] = []
        calls = 0
        for _ in range(self.count):
            messages: list[dict[str, Any]] = [{"role": "user", "content": self._opening(tree)}]
            for attempt in range(self.repairs + 1):
                text = _text_of(self.model.invoke(messages))
                calls += 1
                read = read_proposal(text, tree.words)
                if isinstance(read, Proposal):
                    items.append(read)
                    break
                malformed.append(read)
                if attempt < self.repairs:
                    messages = [
                        messages[0],
                        {"role": "assistant", "content": read.text or "(nothing)"},
                        {"role": "user", "content": read.reason},
                    ]
        return Proposals(items=tuple(items), malformed=tuple(malformed), model_calls=calls)

    def _opening(self, tree: Imagination) -> Sequence[dict[str, Any]]:
        blocks: list[dict[str, Any]] = [{"type": "text", "text": decision_prompt(tree.goal, tree.words, self.depth)}]
        if self.pictures:
            blocks += [{"type": "text", "text": "What you see:"}, image_block(tree.root.frame)]
            if tree.goal.image is not None:
                blocks += [{"type": "text", "text": "The goal:"}, image_block(tree.goal.image)]
        return blocks


def _text_of(response: Any) -> object:
    """The text of a chat model's response; whatever else it is comes back as it is, to be called malformed."""
    content = getattr(response, "content", response)
    if not isinstance(content, list):
        return content
    parts = [each if isinstance(each, str) else each.get("text", "") for each in content if isinstance(each, str | dict)]
    return "".join(part for part in parts if isinstance(part, str))

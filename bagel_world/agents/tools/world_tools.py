"""The tools: what an agent can do with a world. `TOOLS` is the one list; every export is made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from bagel_world.actions import ROLLOUT_WORDS, WAITS
from bagel_world.agents.tools.changes import change_between
from bagel_world.agents.tools.reply import Picture, Reply
from bagel_world.agents.tools.session import WorldSession
from bagel_world.agents.tools.telling import UNMOVED, counted, doubts, numbered, tell_future, tell_place
from bagel_world.agents.tools.tool import ToolInputError, WorldTool
from bagel_world.errors import nearest

MAX_ANSWER = 8_000
"""Characters of an answer that are handed on."""

MAX_LISTED = 8
"""Candidates of a plan that are listed."""

_GOAL_IMAGE = "Picture file of what should be seen at the goal. Leave out for the goal of this session."
_GOAL_TEXT = "The goal in words, where the world can judge words. Leave out for the goal of this session."
_DRAW = "0 is the future that comes first; 1, 2, ... draw others of the same actions, where the world is uncertain."


class Observe(WorldTool):
    """Look at the present view of the live world, or open a picture file.

    Without arguments nothing changes. With image and begin=true, a new walk begins at that picture.
    """

    tool_name: ClassVar[str] = "observe"
    changes: ClassVar[bool] = True

    image: str | None = Field(default=None, description="Picture file to open; leave out for the present view.")
    begin: bool = Field(default=False, description="Begin a new walk at this picture instead of only looking at it.")

    def run(self, session: WorldSession) -> Reply:
        """Look, or open a picture."""
        if self.image is None:
            if self.begin:
                raise ToolInputError("begin=true needs image: the picture file to begin at.")
            return tell_place(session, session.place, "You stand here.")
        frame = session.gallery.open(self.image)
        if self.begin:
            return tell_place(session, session.begin(frame), f"A new walk begins at {self.image!r}.")
        height, width = frame.shape[:2]
        text = f"This is {self.image!r}, {width} x {height} pixels. The live walk has not moved; begin=true begins one here."
        return Reply(text=text, pictures=(Picture(label=self.image, frame=frame),), facts={"image": self.image})


class Imagine(WorldTool):
    """Imagine what a sequence of actions would show, one picture per action.

    The live world does not move. Use it to look ahead before you commit.
    """

    tool_name: ClassVar[str] = "imagine"

    actions: list[str] = Field(min_length=1, description="Action words in order, for example ['Look left', 'Move forward'].")
    draw: int = Field(default=0, ge=0, lt=2**31, description=_DRAW)

    def run(self, session: WorldSession) -> Reply:
        """Imagine one future."""
        return _imagine(session, self.actions, self.draw)


class Compare(WorldTool):
    """Imagine several futures and score where each of them ends against the goal; higher is nearer.

    The live world does not move. Use it to choose, then commit the first action of the best future.
    """

    tool_name: ClassVar[str] = "compare"

    futures: list[list[str]] = Field(
        min_length=1, description="Sequences of action words, for example [['Look left'], ['Move forward', 'Move forward']]."
    )
    goal_image: str | None = Field(default=None, description=_GOAL_IMAGE)
    goal_text: str | None = Field(default=None, description=_GOAL_TEXT)
    draw: int = Field(default=0, ge=0, lt=2**31, description=_DRAW)

    def run(self, session: WorldSession) -> Reply:
        """Imagine and score."""
        if not all(self.futures):
            raise ToolInputError(
                "Every future needs at least one action, got an empty one. Leave it out: standing still is scored."
            )
        goal = session.goal(self.goal_image, self.goal_text)
        now, paths, scores = session.compare(self.futures, goal, draw=self.draw)
        best = max(range(len(scores)), key=scores.__getitem__)
        words = [[action.text for action in path[-1].actions] for path in paths]
        pictures = numbered([", ".join(each) for each in words], [path[-1].frame for path in paths])
        text = "\n".join(
            [
                f"{UNMOVED} Standing still scores {now:.4f}.",
                *(f"{picture.label}: {score:.4f}" for picture, score in zip(pictures, scores, strict=True)),
                f"Future {best + 1} comes nearest." if scores[best] > now else "None of them comes nearer than standing still.",
                session.scorer_for(goal).calibration,
                *doubts(session, [word for each in words for word in each]),
            ]
        )
        return Reply(text=text, pictures=pictures, facts={"now": now, "scores": scores, "best": best + 1})


class Rotate(WorldTool):
    """Imagine how the thing in view looks when the camera goes around it.

    The live world does not move.
    """

    tool_name: ClassVar[str] = "rotate"

    direction: Literal["left", "right"] = Field(description="Where the camera goes.")
    degrees: int = Field(default=30, ge=1, le=180, description="How far around; 15, 30 and 45 are taught.")

    def run(self, session: WorldSession) -> Reply:
        """Imagine one turn."""
        return _imagine(session, [f"Rotate the camera to the {self.direction} by {self.degrees} degrees"])


class Future(WorldTool):
    """Imagine what happens next if nobody does anything.

    The live world does not move.
    """

    tool_name: ClassVar[str] = "future"

    moments: Literal[1, 2, 4] = Field(default=1, description="How long to wait.")

    def run(self, session: WorldSession) -> Reply:
        """Imagine a wait."""
        return _imagine(session, [ROLLOUT_WORDS[WAITS.index(self.moments)]])


class Ask(WorldTool):
    """Ask the world a question about what has been seen so far, in plain words.

    The live world does not move.
    """

    tool_name: ClassVar[str] = "ask"

    question: str = Field(min_length=1, max_length=512, description="One question.")
    think: bool = Field(default=False, description="Let the world reason before it answers; slower.")

    def run(self, session: WorldSession) -> Reply:
        """Ask."""
        if not self.question.strip():
            raise ToolInputError("Expected a question, got blanks. Ask about what is to be seen.")
        answer = session.ask(self.question.strip(), think=self.think).strip()[:MAX_ANSWER]
        return Reply(text=answer or "The world gave no answer. Ask in other words.", facts={"answer": answer})


class Plan(WorldTool):
    """Let a planner look through many futures and say which actions lead nearest to the goal.

    The live world does not move: commit the actions you agree with.
    """

    tool_name: ClassVar[str] = "plan"

    goal_image: str | None = Field(default=None, description=_GOAL_IMAGE)
    goal_text: str | None = Field(default=None, description=_GOAL_TEXT)
    depth: int = Field(default=2, ge=1, le=4, description="Actions to look ahead.")
    search: Literal["best-of", "beam", "mcts", "cem"] = Field(default="best-of", description="How to look through futures.")

    def run(self, session: WorldSession) -> Reply:
        """Plan."""
        plan = session.plan(session.goal(self.goal_image, self.goal_text), depth=self.depth, search=self.search)
        order = sorted(range(len(plan.candidates)), key=lambda place: -plan.candidates[place].value)
        lines = [f"- {plan.candidates[place]}: {plan.candidates[place].value:.4f}" for place in order[:MAX_LISTED]]
        actions = [action.text for action in plan.actions]
        text = "\n".join(
            [
                f"{plan.reason} {plan.cost.imagined_frames} frames were imagined; the live world has not moved.",
                *lines,
                f"Commit next: {actions[0]}." if actions else "There is nothing left to do.",
            ]
        )
        chosen = plan.chosen
        pictures = () if chosen is None else numbered(chosen.words, chosen.frames)
        facts = {"actions": actions, "now": plan.now, "value": None if chosen is None else chosen.value, "reason": plan.reason}
        return Reply(text=text, pictures=pictures, facts=facts)


class Commit(WorldTool):
    """Do one action in the live world and see what really comes of it. This moves the live world."""

    tool_name: ClassVar[str] = "commit"
    changes: ClassVar[bool] = True

    action: str = Field(description="One action in words, for example 'Move forward'.")

    def run(self, session: WorldSession) -> Reply:
        """Act."""
        before = session.place.frame
        place = session.commit(self.action)
        word = session.read_action(self.action).text
        notes = [] if session.walk.in_environment else doubts(session, [word])
        return tell_place(session, place, f"Done: {word}; {change_between(before, place.frame)}.", *notes)


class Undo(WorldTool):
    """Take back the last actions in the live world, where it can go back."""

    tool_name: ClassVar[str] = "undo"
    changes: ClassVar[bool] = True

    steps: int = Field(default=1, ge=1, description="How many actions to take back.")

    def run(self, session: WorldSession) -> Reply:
        """Go back."""
        return tell_place(session, session.undo(self.steps), f"Took back {counted(self.steps, 'step')}.")


class Reset(WorldTool):
    """Begin the walk in the live world again. Limits of the session are not refilled."""

    tool_name: ClassVar[str] = "reset"
    changes: ClassVar[bool] = True

    seed: int | None = Field(default=None, ge=0, lt=2**31, description="Begins elsewhere; leave out to begin as the last time.")

    def run(self, session: WorldSession) -> Reply:
        """Begin again."""
        place = session.reset(self.seed)
        if place is None:
            return Reply(text="The walk is empty. Begin it: observe with a picture file and begin=true.", facts={"step": 0})
        return tell_place(session, place, "The walk begins again.")


TOOLS: tuple[type[WorldTool], ...] = (Observe, Imagine, Compare, Rotate, Future, Ask, Plan, Commit, Undo, Reset)
"""Every tool, in the order that a model is told of them."""


def find_tool(name: str) -> type[WorldTool]:
    """The tool of this name.

    Raises:
        ToolInputError: there is none.
    """
    for tool in TOOLS:
        if tool.tool_name == name:
            return tool
    raise ToolInputError(f"There is no tool {name!r:.80}. {nearest(str(name), [tool.tool_name for tool in TOOLS])}")


def call_tool(session: WorldSession, name: str, arguments: Mapping[str, Any] | str | None = None) -> Reply:
    """Call a tool by name, as a chat completion's `tool_calls` entry asks for it.

    Args:
        session: where it acts.
        name: of the tool.
        arguments: a mapping, or the JSON text of one.

    Raises:
        BagelWorldError: one of `tool.FIXABLE` for what the caller can mend; its text says how.
    """
    with session.turn():  # a call that cannot be read is a call: a model that never gets it right runs out too
        return find_tool(name).read(arguments).run(session)


def openai_tools() -> list[dict[str, Any]]:
    """Every tool as chat completion APIs take them in `tools`."""
    return [tool.openai_schema() for tool in TOOLS]


def _imagine(session: WorldSession, words: Sequence[str], draw: int = 0) -> Reply:
    (path,) = session.imagine([words], draw=draw)
    return tell_future(session, path)

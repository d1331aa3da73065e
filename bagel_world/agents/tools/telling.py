"""What tools tell a language model about places and futures."""

from __future__ import annotations

from collections.abc import Sequence

from bagel_world.agents.imagination import Node
from bagel_world.agents.tools.changes import change_between
from bagel_world.agents.tools.place import Place
from bagel_world.agents.tools.reply import Picture, Reply
from bagel_world.agents.tools.session import WorldSession
from bagel_world.errors import nearest
from bagel_world.types import Frame

UNMOVED = "Imagined; the live world has not moved."
"""Said after every look ahead."""

_NAMED = 8  # most strange words that are named


def tell_place(session: WorldSession, place: Place, opening: str, *notes: str) -> Reply:
    """The view from a place, and what can be done there."""
    left = session.limits.steps - session.meter.steps
    lines = [f"{opening} This is step {place.step} of the walk; {counted(left, 'live step')} left in this session."]
    if place.reward is not None:
        lines.append(f"The environment paid {place.reward:.4g}.")
    lines.append(_ending(place) if place.over else f"Actions: {', '.join(session.words)}.")
    facts = {
        "step": place.step,
        "actions": list(session.words),
        "reward": place.reward,
        "over": place.over,
        "success": place.success,
        "steps_back": session.walk.steps_back,
    }
    picture = Picture(label=f"view at step {place.step}", frame=place.frame)
    return Reply(text=" ".join([*lines, *notes]), pictures=(picture,), facts=facts)


def tell_future(session: WorldSession, path: Sequence[Node]) -> Reply:
    """What a sequence of actions would show, step by step."""
    words, frames = [action.text for action in path[-1].actions], [node.frame for node in path]
    changes = [change_between(*pair) for pair in zip([session.place.frame, *frames], frames, strict=False)]
    lines = [f"{place}. {word}: {change}." for place, (word, change) in enumerate(zip(words, changes, strict=True), 1)]
    return Reply(
        text="\n".join([UNMOVED, *lines, *doubts(session, words)]),
        pictures=numbered(words, frames),
        facts={"actions": words, "changed": [change.share for change in changes]},
    )


def doubts(session: WorldSession, words: Sequence[str]) -> list[str]:
    """A warning about actions that the world was never taught; nothing where it was taught all of them."""
    strange = [word for word in dict.fromkeys(words) if not session.taught(word)]
    if not strange:
        return []
    named = ", ".join(repr(word) for word in strange[:_NAMED])
    return [f"This world was not taught {named}: do not trust what it shows. {nearest(strange[0], session.words)}"]


def numbered(labels: Sequence[str], frames: Sequence[Frame]) -> tuple[Picture, ...]:
    """Pictures that a text can refer to by number."""
    pairs = zip(labels, frames, strict=True)
    return tuple(Picture(label=f"{place}. {label}", frame=frame) for place, (label, frame) in enumerate(pairs, 1))


def counted(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _ending(place: Place) -> str:
    how = "the environment broke it off" if place.truncated and not place.terminated else "the environment ended it"
    outcome = {True: ", the goal is reached", False: ", the goal is not reached", None: ""}[place.success]
    return f"The episode is over: {how}{outcome}. Reset begins again."

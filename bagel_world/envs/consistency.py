"""The self-check: the world reads from a new frame which action led to it, and may draw the frame again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bagel_world.envs.session import Draw, Session
from bagel_world.types import Action
from bagel_world.world.protocol import Context, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What the world read from a frame.

    Attributes:
        action_read: the action that it reads from the two frames; the one that was done where no other is likelier.
        agreement: the probability that it gives to the action that was done, 0..1.
        agrees: whether no other action is likelier.
        redraws: how often the frame was drawn again.
        draw: which of the draws was kept; 0 is the first.
    """

    action_read: str
    agreement: float
    agrees: bool
    redraws: int = 0
    draw: int = 0

    @property
    def model_calls(self) -> int:
        """Calls of the world beside the first drawing: one reading per drawing, and the drawings."""
        return 1 + 2 * self.redraws


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A frame that was just drawn, and all that drawing it again takes.

    Attributes:
        session: before the step.
        action: what was done.
        said: the context in which it is said; it ends before the frame.
        context: the same with the frame.
    """

    session: Session
    action: Action
    said: Context
    context: Context


def settle(world: World, drawings: Sequence[Drawing], words: tuple[str, ...], redraws: int) -> list[tuple[Context, Check]]:
    """The contexts to go on from, and what was read from their newest frames.

    Frames from which another action is read are drawn again, all of them in one batch, up to `redraws` times; the draw with the
    highest agreement stays.

    Args:
        world: imagines and explains.
        drawings: one per session.
        words: the discrete actions; free words are held against them.
        redraws: how often a frame may be drawn again.
    """
    kept = list(drawings)
    checks = _read(world, drawings, words)
    for draw in range(1, redraws + 1):
        doubtful = [place for place, check in enumerate(checks) if not check.agrees]
        if not doubtful:
            break
        seeds = [kept[place].session.seed_for(Draw.FRAME, draw) for place in doubtful]
        contexts = world.advance([kept[place].said for place in doubtful], seeds=seeds)
        again = [replace(kept[place], context=context) for place, context in zip(doubtful, contexts, strict=True)]
        for place, drawing, check in zip(doubtful, again, _read(world, again, words), strict=True):
            if check.agreement > checks[place].agreement:
                kept[place], checks[place] = drawing, replace(check, draw=draw)
            checks[place] = replace(checks[place], redraws=draw)
    return [(drawing.context, check) for drawing, check in zip(kept, checks, strict=True)]


def _read(world: World, drawings: Sequence[Drawing], words: tuple[str, ...]) -> list[Check]:
    """One call of the world for all drawings whose actions are known words, and one per text that is not."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, drawing in enumerate(drawings):
        text = drawing.action.text
        groups.setdefault(words if text in words else (*words, text), []).append(place)
    checks: dict[int, Check] = {}
    for choices, places in groups.items():
        chances = world.explain(
            [drawings[place].session.context for place in places],
            [drawings[place].context.frames[-1] for place in places],
            words=choices,
            seeds=[drawings[place].session.seed_for(Draw.CHECK) for place in places],
        )
        for place, row in zip(places, chances, strict=True):
            checks[place] = _check(row.tolist(), choices, drawings[place].action.text)
    return [checks[place] for place in range(len(drawings))]


def _check(chances: Sequence[float], words: Sequence[str], done: str) -> Check:
    ours, best = chances[words.index(done)], max(chances)
    read = done if ours >= best else words[chances.index(best)]
    return Check(action_read=read, agreement=ours, agrees=read == done)


def check_info(check: Check | None) -> dict[str, Any]:
    """What the info says of a check; of none where nothing was drawn."""
    if check is None:
        return {"action_read": None, "agreement": None, "redraws": 0, "draw": 0}
    return {"action_read": check.action_read, "agreement": check.agreement, "redraws": check.redraws, "draw": check.draw}

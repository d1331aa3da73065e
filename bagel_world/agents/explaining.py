"""Reasons in words: why a plan was chosen."""

from __future__ import annotations

from collections.abc import Sequence

from bagel_world.agents.plan import Future, Malformed

_SAME = 1e-9


def arrived_reason(now: float, stop_at: float, scorer: str) -> str:
    """Why nothing was imagined."""
    return f"The goal is reached: {scorer} scores the present frame {now:.3f}, at least {stop_at:.3f}."


def choice_reason(
    candidates: Sequence[Future],
    choice: int,
    *,
    now: float,
    scorer: str,
    trust: float,
    malformed: Sequence[Malformed],
    fell_back: bool,
) -> str:
    """Why this future was chosen among the others."""
    chosen = candidates[choice]
    others = [each for place, each in enumerate(candidates) if place != choice]
    parts = [_verdict(chosen, others, now, scorer)]
    if trust < 1.0:
        parts.append(f"Trust in what is imagined is {trust:.2f}, so near gains count more.")
    if chosen.thought is not None:
        parts.append(f"The thought behind it: {chosen.thought.text}")
    if malformed:
        count = len(malformed)
        parts.append(f"{count} proposal{'s' if count > 1 else ''} could not be read ({malformed[0].reason})")
    if fell_back:
        parts.append("As nothing else was proposed, single actions were weighed.")
    return " ".join(parts)


def _verdict(chosen: Future, others: Sequence[Future], now: float, scorer: str) -> str:
    here = f"the present frame is worth {now:.3f}"
    if not others:
        return f"'{chosen}' is the only candidate, worth {chosen.value:.3f} by {scorer}; {here}."
    weighed = f"of {len(others) + 1} candidates"
    equal = sum(abs(each.value - chosen.value) <= _SAME and each.visits == chosen.visits for each in others)
    if equal:
        return f"'{chosen}' was drawn from the {equal + 1} best {weighed}, all worth {chosen.value:.3f} by {scorer}; {here}."
    second = max(others, key=lambda each: (each.visits, each.value))
    tried = f" (tried {chosen.visits} times)" if chosen.visits else ""
    return (
        f"'{chosen}' is worth {chosen.value:.3f} by {scorer}{tried}, the best {weighed}; "
        f"'{second}' comes next with {second.value:.3f}, {here}."
    )

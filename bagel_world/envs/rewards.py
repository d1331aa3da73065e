"""From scores to rewards and success: scorers say how near, environments say what that pays and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bagel_world.envs.config import EnvConfig
from bagel_world.envs.session import Draw, Session
from bagel_world.world.protocol import World
from bagel_world.world.scoring import Candidate, Scorer, ask_scorer


def score_sessions(world: World, sessions: Sequence[Session], scorers: Sequence[Scorer | None]) -> list[Session]:
    """The sessions with the scores of their newest frames: one call per scorer, whatever the number of sessions."""
    scored = list(sessions)
    groups: dict[int, tuple[Scorer, list[int]]] = {}
    for place, scorer in enumerate(scorers):
        if scorer is not None:
            groups.setdefault(id(scorer), (scorer, []))[1].append(place)
    for scorer, places in groups.values():
        scores = ask_scorer(scorer, world, [_candidate(sessions[place]) for place in places])
        for place, score in zip(places, scores, strict=True):
            calls = sessions[place].model_calls + scorer.model_calls
            scored[place] = replace(sessions[place], score=score, reward_source=scorer.source, model_calls=calls)
    return scored


def reward_of(before: Session, after: Session, config: EnvConfig) -> float:
    """What the step from `before` to `after` pays: 0 without a scorer."""
    if after.score is None:
        return 0.0
    if not config.progress or before.score is None:
        return after.score
    return after.score - before.score


def is_success(session: Session, scorer: Scorer | None, config: EnvConfig) -> bool:
    """Whether the goal is reached, as far as the scorer can tell."""
    distance = session.goal_distance
    if scorer is None or not scorer.judges_success or distance is None:
        return False
    return distance <= (scorer.success_distance if config.success_distance is None else config.success_distance)


def _candidate(session: Session) -> Candidate:
    return Candidate(frame=session.frame, goal=session.goal, seed=session.seed_for(Draw.SCORE), context=session.context)

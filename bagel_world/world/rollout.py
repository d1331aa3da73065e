"""Rollout: a policy in a world gives an episode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from bagel_world.actions import action_from_text
from bagel_world.types import Action, Episode, Transition
from bagel_world.world.protocol import Context, World
from bagel_world.world.provenance import IMAGINED, PROVENANCE, Provenance

Policy = Callable[[Context], Action | str]
"""Chooses the next action from what has been seen and said."""

STEP_SEED = 1_000_003
"""Distance between the noise seeds of two rollouts; a prime, so that steps of neighbors do not meet."""


def step_seed(seed: int, step: int) -> int:
    """The noise seed of a step: its own for every step, as one fixed seed every turn oversaturates pictures."""
    return seed * STEP_SEED + step


def follow(actions: Iterable[Action | str]) -> Policy:
    """The policy that does these actions one after the other."""
    queue = iter(actions)

    def policy(context: Context) -> Action | str:
        del context
        return next(queue)

    return policy


def walk(world: World, context: Context, policy: Policy, *, steps: int, seed: int = 0) -> Iterator[tuple[Context, Transition]]:
    """Step by step: the context after each step and what happened.

    Args:
        world: imagines the frames.
        context: where to begin; it stays as it is.
        policy: chooses each action.
        steps: how many.
        seed: decides the noise of all steps.
    """
    for step in range(steps):
        chosen = policy(context)
        action = chosen if isinstance(chosen, Action) else action_from_text(chosen, world.action_words)
        (context,) = world.advance([context.say(action.text)], seeds=[step_seed(seed, step)])
        yield context, Transition(action=action, frame=context.frames[-1])


def rollout(
    world: World, context: Context, policy: Policy | Sequence[Action | str], *, steps: int | None = None, seed: int = 0
) -> Episode:
    """An imagined episode.

    Args:
        world: imagines the frames.
        context: where to begin; its last frame is the first of the episode.
        policy: chooses each action, or the actions themselves.
        steps: how many; as many as there are actions where None.
        seed: decides the noise of all steps.

    Returns:
        steps + 1 frames, and in its metadata the provenance that imagines them again.

    Raises:
        ValueError: a context without a frame, or a policy without a number of steps.
    """
    if not context.frames:
        raise ValueError("A rollout begins at a frame. Call world.observe(image) first.")
    if not callable(policy):
        steps = len(policy) if steps is None else min(steps, len(policy))
        policy = follow(policy)
    if steps is None:
        raise ValueError("Say how many steps the policy should take: steps=16.")
    provenance = Provenance.of(world, context, seeds=[step_seed(seed, step) for step in range(steps)], seed=seed)
    transitions = [transition for _, transition in walk(world, context, policy, steps=steps, seed=seed)]
    return Episode(
        frames=np.stack([context.frames[-1], *(each.frame for each in transitions)]),
        actions=tuple(each.action for each in transitions),
        metadata={"source": IMAGINED, PROVENANCE: provenance.to_json()},
    )

"""Footage: one episode of each simulator under its policy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bagel_world.actions import action_from_id
from bagel_world.sims.drops import Drops
from bagel_world.sims.house import House, draw_start
from bagel_world.sims.naming import public_name
from bagel_world.sims.plans import HousePlan, draw_plan
from bagel_world.sims.spinner import Spinner
from bagel_world.sims.table_plans import YAW_PERIOD, draw_degrees
from bagel_world.sims.turntable import Turntable
from bagel_world.sims.visitor import Visitor
from bagel_world.sims.waiter import Waiter
from bagel_world.sims.walker import Walker
from bagel_world.types import Episode

FACING_OBJECT_SHARE = 0.85
"""Walks that begin with an object in view."""

_DIGITS = 6  # of what metadata tell about bodies: micrometers are enough


def record_walk(
    house: House,
    *,
    steps: int,
    seed: int,
    episode_id: str,
    rng: np.random.Generator,
    policy: Callable[[HousePlan, np.random.Generator], Walker | Visitor] = Walker,
) -> Episode:
    """Let a walker explore a house and write down what it sees.

    Args:
        house: the simulator, of any split.
        steps: how many actions.
        seed: which house of the split.
        episode_id: the name under which the episode is stored.
        rng: decides the start pose and every choice of the walker.
        policy: makes the walker.
    """
    start = draw_start(draw_plan(house.split, seed), rng, facing_object=rng.random() < FACING_OBJECT_SHARE)
    frame, _ = house.reset(options={"house": seed, "pose": start})
    walker = policy(house.plan, rng)
    frames, poses, visible, actions = [frame], [house.pose], [house.visible()], []
    for _ in range(steps):
        action = walker.act(house.pose)
        frames.append(house.step(action)[0])
        poses.append(house.pose)
        visible.append(house.visible())
        actions.append(action_from_id(action, house.action_words))
    return Episode(
        frames=np.stack(frames),
        actions=tuple(actions),
        poses=np.stack(poses),
        visible=tuple(visible),
        metadata={
            "episode_id": episode_id,
            "source": public_name(House),
            "split": house.split,
            "seed": seed,
            "house": house.plan.number,
            "style": walker.style,
        },
    )


def record_visits(house: House, *, steps: int, seed: int, episode_id: str, rng: np.random.Generator) -> Episode:
    """Let a visitor go up to the objects of a house and write down what it sees; see `record_walk`."""
    return record_walk(house, steps=steps, seed=seed, episode_id=episode_id, rng=rng, policy=Visitor)


def record_spin(table: Turntable, *, steps: int, seed: int, episode_id: str, rng: np.random.Generator) -> Episode:
    """Let a spinner go around the object of a turntable and write down what it sees.

    Args:
        table: the simulator, of any split.
        steps: how many actions.
        seed: which turntable of the split.
        episode_id: the name under which the episode is stored.
        rng: decides the first yaw and every choice of the spinner.
    """
    spinner = Spinner(rng)
    frame, _ = table.reset(options={"table": seed, "yaw": draw_degrees(table.split, YAW_PERIOD, rng)})
    frames, poses, actions = [frame], [table.pose], []
    for _ in range(steps):
        action = spinner.act()
        frames.append(table.step(action)[0])
        poses.append(table.pose)
        actions.append(action_from_id(action, table.action_words))
    return Episode(
        frames=np.stack(frames),
        actions=tuple(actions),
        poses=np.stack(poses),
        visible=(table.visible(),) * (steps + 1),
        metadata={
            "episode_id": episode_id,
            "source": public_name(Turntable),
            "split": table.split,
            "seed": seed,
            "table": table.plan.number,
            "object": table.plan.exhibit,
            "style": spinner.style,
        },
    )


def record_fall(drops: Drops, *, steps: int, seed: int, episode_id: str, rng: np.random.Generator) -> Episode:
    """Let bodies fall while a waiter waits, and write down what it sees.

    The metadata tell the bodies' names ("bodies") and, for every frame, the time in seconds ("times"), the bodies' poses
    ("body_poses": x, y, z, and a quaternion each) and where their middles appear ("centers": pixels x, y).

    Args:
        drops: the simulator, of any split.
        steps: how many actions.
        seed: which drop of the split.
        episode_id: the name under which the episode is stored.
        rng: decides every choice of the waiter.
    """
    waiter = Waiter(rng)
    frame, info = drops.reset(options={"drop": seed})
    frames, infos, visible, actions = [frame], [info], [drops.visible()], []
    for _ in range(steps):
        action = waiter.act()
        frame, *_, info = drops.step(action)
        frames.append(frame)
        infos.append(info)
        visible.append(drops.visible())
        actions.append(action_from_id(action, drops.action_words))
    return Episode(
        frames=np.stack(frames),
        actions=tuple(actions),
        visible=tuple(visible),
        metadata={
            "episode_id": episode_id,
            "source": public_name(Drops),
            "split": drops.split,
            "seed": seed,
            "drop": drops.plan.number,
            "style": waiter.style,
            "bodies": list(drops.plan.names),
            "times": [round(each["time"], _DIGITS) for each in infos],
            "body_poses": [each["poses"].round(_DIGITS).tolist() for each in infos],
            "centers": [each["centers"].round(_DIGITS).tolist() for each in infos],
        },
    )

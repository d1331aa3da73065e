"""Tasks: what a checkpoint was taught to be stepped through, by name, and which of its starting episodes belong to which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bagel_world.actions import TASK_WORDS
from bagel_world.errors import CapabilityError, UnknownNameError, nearest
from bagel_world.types import Episode

Tasks = Mapping[str, tuple[str, ...]]
"""Action words by task; the first task is the default one."""


def pick_task(name: str | None, taught: Tasks) -> str:
    """The task of this name; the default one for None.

    Args:
        name: "navigate", "rotate", "rollout", or whatever else the checkpoint was taught.
        taught: the tasks of the checkpoint.

    Raises:
        CapabilityError: a task of this package that the checkpoint was never taught.
        UnknownNameError: no task of this name anywhere.
    """
    if name is None:
        return next(iter(taught))
    if isinstance(name, str) and name in taught:
        return name
    known = " and ".join(repr(each) for each in taught)
    if name in TASK_WORDS:
        raise CapabilityError(f"This checkpoint was never taught the task {name!r}, only {known}. Load one that was.")
    raise UnknownNameError(
        f"There is no task {name!r}. {nearest(str(name), {*taught, *TASK_WORDS})} This checkpoint knows {known}."
    )


def task_of(episode: Episode, taught: Tasks) -> str:
    """The task that an episode shows: what its metadata say under "task", else the first one that knows all its words.

    Episodes that are steered by other words belong to the default task.
    """
    named = episode.metadata.get("task")
    if isinstance(named, str) and named in taught:
        return named
    said = {action.text for action in episode.actions}
    return next((name for name, words in taught.items() if said <= set(words)), next(iter(taught)))


def episodes_of(task: str, episodes: Iterable[Episode], taught: Tasks) -> tuple[Episode, ...]:
    """The episodes that show this task."""
    return tuple(episode for episode in episodes if task_of(episode, taught) == task)

"""bagel_world: worlds you can step into, dreamt by a unified multimodal model.

Importing this package registers the environment ids with Gymnasium and costs no torch: the names below load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bagel_world.envs.registry import register_all

if TYPE_CHECKING:
    from bagel_world.types import Action, Episode, Thought, Transition
    from bagel_world.world.fake import FakeWorld
    from bagel_world.world.simulator import BagelWorld

__version__ = "0.1.0"

__all__ = ["Action", "BagelWorld", "Episode", "FakeWorld", "Thought", "Transition", "__version__"]

_HOMES = {
    "Action": "bagel_world.types",
    "BagelWorld": "bagel_world.world.simulator",
    "Episode": "bagel_world.types",
    "FakeWorld": "bagel_world.world.fake",
    "Thought": "bagel_world.types",
    "Transition": "bagel_world.types",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # the next use finds it without this function
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


register_all()

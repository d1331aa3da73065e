"""What footage can be recorded in: every simulator with the policy that explores it, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bagel_world.actions import NAVIGATE_WORDS, ROLLOUT_WORDS, ROTATE_WORDS
from bagel_world.episodes.manifest import AssetLicense
from bagel_world.errors import UnknownNameError, nearest
from bagel_world.sims.drops import Drops
from bagel_world.sims.footage import record_fall, record_spin, record_visits, record_walk
from bagel_world.sims.house import House
from bagel_world.sims.naming import public_name
from bagel_world.sims.turntable import Turntable
from bagel_world.types import Episode

_MINIWORLD = AssetLicense(
    name="miniworld",
    license="MIT (license file and README of the project; the license field of its package says Apache)",
    source="https://github.com/Farama-Foundation/Miniworld/blob/master/LICENSE",
)
_OWN = AssetLicense(
    name="bagel-world",
    license="Apache-2.0",
    source="toys, bodies and patterns are drawn by this package",
)
_PACKAGES = ("gymnasium", "numpy", "pillow", "pyarrow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordable:
    """A simulator and how it is recorded.

    Attributes:
        open: makes the simulator from `split` and `size`.
        record: one episode, from the simulator and `steps`, `seed` (of its scene), `episode_id` and `rng`.
        action_words: what its actions are called.
        steps: actions of an episode, unless somebody says otherwise.
        episodes_per_scene: consecutive episodes of the same scene, unless somebody says otherwise.
        licenses: of whose pictures and meshes are in the frames.
        packages: whose versions matter.
        salt: what sets its random choices apart from those of the others.
    """

    open: type[House] | type[Turntable] | type[Drops]
    record: Callable[..., Episode]
    action_words: tuple[str, ...]
    steps: int
    episodes_per_scene: int
    licenses: tuple[AssetLicense, ...]
    packages: tuple[str, ...]
    salt: tuple[int, ...]

    @property
    def simulator(self) -> str:
        """The public name of the simulator."""
        return public_name(self.open)


RECORDABLES = {
    "house": Recordable(
        open=House,
        record=record_walk,
        action_words=NAVIGATE_WORDS,
        steps=32,
        episodes_per_scene=3,
        licenses=(_MINIWORLD,),
        packages=("bagel-world", "miniworld", "pyglet", *_PACKAGES),
        salt=(),
    ),
    "visits": Recordable(
        open=House,
        record=record_visits,
        action_words=NAVIGATE_WORDS,
        steps=24,
        episodes_per_scene=2,
        licenses=(_MINIWORLD,),
        packages=("bagel-world", "miniworld", "pyglet", *_PACKAGES),
        salt=(4,),
    ),
    "turntable": Recordable(
        open=Turntable,
        record=record_spin,
        action_words=ROTATE_WORDS,
        steps=24,
        episodes_per_scene=1,
        licenses=(_MINIWORLD, _OWN),
        packages=("bagel-world", "miniworld", "mujoco", *_PACKAGES),
        salt=(1,),
    ),
    "drops": Recordable(
        open=Drops,
        record=record_fall,
        action_words=ROLLOUT_WORDS,
        steps=12,
        episodes_per_scene=1,
        licenses=(_OWN,),
        packages=("bagel-world", "mujoco", *_PACKAGES),
        salt=(2,),
    ),
}
"""What `bagel-world record --sim` takes."""


def recordable_of(name: str) -> Recordable:
    """The simulator of this name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in RECORDABLES:
        raise UnknownNameError(f"Expected a simulator to record in, got {name!r}. {nearest(name, RECORDABLES)}")
    return RECORDABLES[name]

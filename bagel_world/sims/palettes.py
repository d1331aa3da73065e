"""Palettes: which textures and objects the houses of each split draw from."""

from __future__ import annotations

from dataclasses import dataclass

from bagel_world.errors import UnknownNameError, nearest

SPLITS = ("train", "validation", "test", "unseen")
"""`unseen` has textures and objects that no other split has; the other three share theirs but no house."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKind:
    """A mesh and how it stands in a house: what people call it, its height and collision radius in meters."""

    name: str
    mesh: str
    height: float
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """The textures and objects that the houses of a split draw from."""

    walls: tuple[str, ...]
    floors: tuple[str, ...]
    ceilings: tuple[str, ...]
    objects: tuple[ObjectKind, ...]

    @property
    def textures(self) -> frozenset[str]:
        """Every texture of this palette."""
        return frozenset(self.walls + self.floors + self.ceilings)


def _kind(name: str, mesh: str, height: float, radius: float) -> ObjectKind:
    return ObjectKind(name=name, mesh=mesh, height=height, radius=radius)


FAMILIAR = Palette(
    walls=("brick_wall", "marble", "wood", "cinder_blocks", "wood_planks", "cardboard", "rock"),
    floors=("floor_tiles_bw", "wood_planks", "concrete_tiles", "grass", "asphalt", "cardboard"),
    ceilings=("ceiling_tiles", "concrete_tiles", "white"),
    objects=(
        _kind("duck", "duckie", 1.2, 0.70),
        _kind("chair", "office_chair", 1.4, 0.55),
        _kind("barrel", "barrel", 1.2, 0.58),
        _kind("cone", "cone", 1.2, 0.52),
        _kind("medkit", "medkit", 1.1, 0.65),
        _kind("potion", "potion", 1.4, 0.50),
        _kind("pine tree", "tree_pine", 1.8, 0.70),
        _kind("building", "building", 1.4, 0.85),
        _kind("purple ball", "ball_purple", 1.0, 0.60),
        _kind("blue ball", "ball_blue", 1.0, 0.60),
    ),
)

NOVEL = Palette(
    walls=("metal_grill", "picket_fence", "airduct_grate"),
    floors=("water", "slime", "lava"),
    ceilings=("ceiling_tile_noborder",),
    objects=(
        _kind("desk", "office_desk", 1.2, 0.75),
        _kind("tree", "tree", 1.8, 0.70),
        _kind("keycard", "keycard", 1.2, 0.50),
        _kind("barrier", "barrier", 0.9, 0.80),
        _kind("yellow key", "key_yellow", 1.0, 0.60),
        _kind("door", "doom_door", 1.8, 0.80),
    ),
)


def palette_of(split: str) -> Palette:
    """The palette of a split.

    Raises:
        UnknownNameError: no such split.
    """
    if split not in SPLITS:
        raise UnknownNameError(f"Expected a split, got {split!r}. {nearest(str(split), SPLITS)}")
    return NOVEL if split == "unseen" else FAMILIAR

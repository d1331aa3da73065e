"""House plans: what a house looks like, drawn from (split, seed) with numpy alone.

Axes follow MiniWorld: x to the east, z to the south, y up, all in meters; yaw in degrees, counter-clockwise seen from
above, 0 facing east. A house is 3 x 3 square rooms around the origin.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bagel_world.errors import ConfigError
from bagel_world.sims.palettes import SPLITS, ObjectKind, Palette, palette_of
from bagel_world.sims.walls import Walls, distance_ahead, distance_to_walls

SEEDS_PER_SPLIT = 2**40
"""Every split owns this many house numbers, in the order of `SPLITS`: no number belongs to two splits."""

ROOMS_PER_SIDE = 3
ROOM_SIZE = 5.0
ROOM_GAP = 0.25
WALL_HEIGHT = 2.74
DOOR_WIDTH = 2.0
DOOR_HEIGHT = 2.2
OBJECTS_PER_HOUSE = 6
AGENT_RADIUS = 0.4

_PITCH = ROOM_SIZE + ROOM_GAP
_DOOR_SHIFT = 1.0
_EXTRA_DOOR_CHANCE = 0.6
_OBJECT_TRIES = 10_000
_WELL_INSIDE = 22.0
_SIGHT_RANGE = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomPlan:
    """One room: its center and the names of its textures."""

    x: float
    z: float
    wall: str
    floor: str
    ceiling: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorway:
    """An opening between two neighbor rooms; `along_x` when its wall runs along x, `center` is the place on that axis."""

    rooms: tuple[int, int]
    along_x: bool
    center: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedObject:
    """An object of a house: where it stands and where it faces (degrees)."""

    kind: ObjectKind
    x: float
    z: float
    yaw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HousePlan:
    """A whole house.

    Attributes:
        split: the split it belongs to.
        number: its number over all splits; equal numbers are equal houses.
        rooms: nine, row by row from the north-west.
        doorways: every room can be reached through them.
        objects: six of different kinds.
        walls: float64, shape (n, 2, 2): segments as (start, end) x (x, z) that nobody can walk through.
    """

    split: str
    number: int
    rooms: tuple[RoomPlan, ...]
    doorways: tuple[Doorway, ...]
    objects: tuple[PlacedObject, ...]
    walls: Walls = field(repr=False)

    @property
    def bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The lowest and the highest (x, z) of its floor in meters."""
        half = (ROOMS_PER_SIDE * ROOM_SIZE + (ROOMS_PER_SIDE - 1) * ROOM_GAP) / 2
        return (-half, -half), (half, half)

    def clearance(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Distance in meters from each point (n, 2) of (x, z) to the nearest wall or object surface; shape (n,)."""
        at = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        nearest_wall = distance_to_walls(self.walls, at)
        centers = np.array([(each.x, each.z) for each in self.objects]).reshape(-1, 2)
        radii = np.array([each.kind.radius for each in self.objects])
        if not len(radii):
            return nearest_wall
        nearest_object = (np.linalg.norm(at[:, None] - centers[None], axis=-1) - radii).min(axis=1)
        return np.minimum(nearest_wall, nearest_object)

    def is_free(self, x: float, z: float) -> bool:
        """Whether an agent can stand here."""
        return bool(self.clearance([(x, z)])[0] >= AGENT_RADIUS)

    def in_room(self, x: float, z: float) -> bool:
        """Whether a point lies inside a room, not in the gap between two."""
        return any(max(abs(x - room.x), abs(z - room.z)) < ROOM_SIZE / 2 for room in self.rooms)

    def sight(self, x: float, z: float, yaw: float) -> float:
        """Distance in meters to the first wall straight ahead; infinite where there is none."""
        return distance_ahead(self.walls, x, z, yaw)

    def sees(self, x: float, z: float, yaw: float) -> tuple[int, ...]:
        """Which objects (places in `objects`) someone here has well inside the picture, with no wall in between."""
        seen = []
        for place, each in enumerate(self.objects):
            distance = float(np.hypot(each.x - x, each.z - z))
            toward = float(np.rad2deg(np.arctan2(z - each.z, each.x - x)))
            aside = abs((toward - yaw + 180.0) % 360.0 - 180.0)
            if aside < _WELL_INSIDE and 1.5 < distance < _SIGHT_RANGE and self.sight(x, z, toward) > distance:
                seen.append(place)
        return tuple(seen)


def house_number(split: str, seed: int) -> int:
    """The number of a split's house: splits own disjoint ranges.

    Raises:
        UnknownNameError: no such split.
        ConfigError: the seed is negative or larger than a split's range.
    """
    palette_of(split)
    if not 0 <= seed < SEEDS_PER_SPLIT:
        raise ConfigError(f"Expected a house seed in 0..2**40 - 1, got {seed!r}. Use a smaller whole number.")
    return SPLITS.index(split) * SEEDS_PER_SPLIT + int(seed)


def draw_plan(split: str, seed: int) -> HousePlan:
    """The house of this split and seed: always the same one.

    Raises:
        UnknownNameError: no such split.
        ConfigError: the seed is out of range.
    """
    number = house_number(split, seed)
    rng = np.random.default_rng(number)
    palette = palette_of(split)
    rooms = tuple(_draw_room(index, palette, rng) for index in range(ROOMS_PER_SIDE**2))
    doorways = _draw_doorways(rooms, rng)
    walls = _wall_segments(rooms, doorways)
    bare = HousePlan(split=split, number=number, rooms=rooms, doorways=doorways, objects=(), walls=walls)
    objects = _draw_objects(bare, palette, rng)
    return HousePlan(split=split, number=number, rooms=rooms, doorways=doorways, objects=objects, walls=walls)


def _pick(names: tuple[str, ...], rng: np.random.Generator) -> str:
    return names[int(rng.integers(len(names)))]


def _draw_room(index: int, palette: Palette, rng: np.random.Generator) -> RoomPlan:
    row, column = divmod(index, ROOMS_PER_SIDE)
    middle = (ROOMS_PER_SIDE - 1) / 2
    wall = _pick(palette.walls, rng)
    floor = _pick(palette.floors, rng)
    ceiling = _pick(tuple(name for name in palette.ceilings if name != floor), rng)
    return RoomPlan(x=(column - middle) * _PITCH, z=(row - middle) * _PITCH, wall=wall, floor=floor, ceiling=ceiling)


def _draw_doorways(rooms: tuple[RoomPlan, ...], rng: np.random.Generator) -> tuple[Doorway, ...]:
    """A random spanning tree over the rooms, and most of the other openings too, so that there are loops."""
    side = ROOMS_PER_SIDE
    pairs = [(i, i + 1) for i in range(side**2) if i % side < side - 1] + [(i, i + side) for i in range(side * (side - 1))]
    group = list(range(side**2))
    doorways = []
    for place in rng.permutation(len(pairs)):
        first, second = pairs[place]
        center_shift = float(rng.uniform(-_DOOR_SHIFT, _DOOR_SHIFT))
        is_extra = rng.random() < _EXTRA_DOOR_CHANCE
        if group[first] == group[second] and not is_extra:
            continue
        group = [group[first] if each == group[second] else each for each in group]
        along_x = second == first + side
        center = (rooms[first].x if along_x else rooms[first].z) + center_shift
        doorways.append(Doorway(rooms=(first, second), along_x=along_x, center=center))
    return tuple(sorted(doorways, key=lambda door: door.rooms))


def _wall_segments(rooms: tuple[RoomPlan, ...], doorways: tuple[Doorway, ...]) -> npt.NDArray[np.float64]:
    segments: list[tuple[tuple[float, float], tuple[float, float]]] = []
    half = ROOM_SIZE / 2
    for index, room in enumerate(rooms):
        for along_x in (True, False):
            middle, across = (room.x, room.z) if along_x else (room.z, room.x)
            for sign in (-1, 1):
                facing = [
                    door
                    for door in doorways
                    if door.along_x == along_x and index in door.rooms and (door.rooms[0] == index) == (sign == 1)
                ]
                cuts = [middle - half, *(edge for door in facing for edge in _door_edges(door)), middle + half]
                line = across + sign * half
                for start, end in zip(cuts[::2], cuts[1::2], strict=True):
                    segments.append(_oriented((start, line), (end, line), along_x))
    for door in doorways:
        first = rooms[door.rooms[0]]
        near = (first.z if door.along_x else first.x) + half
        segments.extend(_oriented((edge, near), (edge, near + ROOM_GAP), door.along_x) for edge in _door_edges(door))
    return np.array(segments, dtype=np.float64)


def _door_edges(door: Doorway) -> tuple[float, float]:
    return door.center - DOOR_WIDTH / 2, door.center + DOOR_WIDTH / 2


def _oriented(
    start: tuple[float, float], end: tuple[float, float], along_x: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    return (start, end) if along_x else ((start[1], start[0]), (end[1], end[0]))


def _draw_objects(plan: HousePlan, palette: Palette, rng: np.random.Generator) -> tuple[PlacedObject, ...]:
    """Objects of different kinds in different rooms, with room to walk around them and never in front of a doorway."""
    kinds = [palette.objects[i] for i in rng.permutation(len(palette.objects))[:OBJECTS_PER_HOUSE]]
    homes = rng.permutation(len(plan.rooms))[: len(kinds)]
    return tuple(_place(kind, plan.rooms[home], plan, rng) for kind, home in zip(kinds, homes, strict=True))


def _place(kind: ObjectKind, room: RoomPlan, plan: HousePlan, rng: np.random.Generator) -> PlacedObject:
    reach = ROOM_SIZE / 2 - kind.radius
    for _ in range(_OBJECT_TRIES):
        x, z = room.x + rng.uniform(-reach, reach), room.z + rng.uniform(-reach, reach)
        yaw = float(rng.integers(360))
        centers = [(door.center, _door_line(door, plan)) for door in plan.doorways]
        spots = [spot if door.along_x else spot[::-1] for spot, door in zip(centers, plan.doorways, strict=True)]
        if all(np.hypot(x - at[0], z - at[1]) > DOOR_WIDTH / 2 + kind.radius for at in spots):
            return PlacedObject(kind=kind, x=float(x), z=float(z), yaw=yaw)
    return PlacedObject(kind=kind, x=room.x, z=room.z, yaw=0.0)


def _door_line(door: Doorway, plan: HousePlan) -> float:
    first = plan.rooms[door.rooms[0]]
    return (first.z if door.along_x else first.x) + ROOM_SIZE / 2 + ROOM_GAP / 2

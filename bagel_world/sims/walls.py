"""Walls as segments on the floor: how near they are, and how far one sees before the first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Walls = npt.NDArray[np.float64]
"""float64, shape (n, 2, 2): segments as (start, end) x (x, z) in meters that nobody can walk through."""


def distance_to_walls(walls: Walls, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Distance in meters from each point (n, 2) of (x, z) to the nearest wall; shape (n,)."""
    at = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    starts, ends = walls[:, 0], walls[:, 1]
    spans = ends - starts
    offsets = at[:, None] - starts[None]
    along = np.clip((offsets * spans).sum(-1) / (spans * spans).sum(-1), 0.0, 1.0)
    return np.linalg.norm(offsets - along[..., None] * spans, axis=-1).min(axis=1)


def distance_ahead(walls: Walls, x: float, z: float, yaw: float) -> float:
    """Distance in meters to the first wall straight ahead; infinite where there is none."""
    heading = np.array(heading_of(yaw))
    starts, spans = walls[:, 0], walls[:, 1] - walls[:, 0]
    offsets = starts - np.array([x, z])
    cross = heading[0] * spans[:, 1] - heading[1] * spans[:, 0]
    safe = np.where(np.abs(cross) < 1e-12, np.nan, cross)
    reach = (offsets[:, 0] * spans[:, 1] - offsets[:, 1] * spans[:, 0]) / safe
    along = (offsets[:, 0] * heading[1] - offsets[:, 1] * heading[0]) / safe
    hits = reach[(reach > 0) & (along >= 0) & (along <= 1)]
    return float(hits.min()) if len(hits) else float("inf")


def heading_of(yaw: float) -> tuple[float, float]:
    """The unit step (x, z) of someone who faces this way; degrees, counter-clockwise seen from above, 0 facing east."""
    angle = np.deg2rad(yaw)
    return float(np.cos(angle)), float(-np.sin(angle))

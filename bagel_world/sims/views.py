"""Views: where a camera is, and where in its picture a point appears."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A camera that looks at `target` from `distance` meters away.

    Attributes:
        target: x, y, z in meters, z up.
        distance: in meters.
        pitch: degrees by which it looks down.
        yaw: degrees by which it went around the target to its left (clockwise seen from above); at 0 it looks along +y.
    """

    target: tuple[float, float, float]
    distance: float
    pitch: float
    yaw: float = 0.0

    @property
    def axes(self) -> npt.NDArray[np.float64]:
        """Unit vectors to the right, up and ahead: float64, shape (3, 3)."""
        turn, fall = np.deg2rad((self.yaw, self.pitch))
        ahead = np.array([np.sin(turn) * np.cos(fall), np.cos(turn) * np.cos(fall), -np.sin(fall)])
        right = np.array([np.cos(turn), -np.sin(turn), 0.0])
        return np.stack([right, np.cross(right, ahead), ahead])

    def distances(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Meters from the camera to each of (n, 3) points; shape (n,)."""
        return np.linalg.norm(self._seen(points), axis=1)

    def project(self, points: npt.ArrayLike, *, size: tuple[int, int], field_of_view: float) -> npt.NDArray[np.float64]:
        """Where points appear, in pixels from the picture's upper left corner.

        Args:
            points: shape (n, 3), in front of the camera.
            size: (height, width) of the picture in pixels.
            field_of_view: its height in degrees.

        Returns:
            float64, shape (n, 2): x to the right, y down.
        """
        height, width = size
        focal = height / 2 / np.tan(np.deg2rad(field_of_view) / 2)
        right, up, ahead = self._seen(points).T
        return np.stack([width / 2 + focal * right / ahead, height / 2 - focal * up / ahead], axis=1)

    def _seen(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        camera = np.array(self.target) - self.distance * self.axes[2]
        return (np.asarray(points, dtype=np.float64).reshape(-1, 3) - camera) @ self.axes.T

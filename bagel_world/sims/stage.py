"""The stage: MuJoCo models as OpenGL draws them. Importing this module needs MuJoCo."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bagel_world.sims.blueprint import Blueprint, mujoco

if TYPE_CHECKING:
    from bagel_world.sims.views import View
    from bagel_world.types import Frame

_contexts: Any = importlib.import_module("mujoco.rendering.classic.gl_context")

_MAX_GEOMS = 200
_STATE = mujoco.mjtState.mjSTATE_INTEGRATION


class Stage:
    """One OpenGL context that shows one model after the other.

    Args:
        height: height of the frames in pixels.
        width: width of the frames in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        self._drawing: Any = None
        self._context: Any = _contexts.GLContext(width, height)
        self.model: Any = None
        self.data: Any = None
        self.show(_nothing(height, width))

    def show(self, model: Any) -> None:
        """Replace the model; its data is new and at rest."""
        self._context.make_current()
        if self._drawing is not None:
            self._drawing.free()
        self.model, self.data = model, mujoco.MjData(model)
        mujoco.mj_forward(self.model, self.data)
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        self._drawing = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._drawing)

    def look(self, view: View) -> Frame:
        """The frame of this view: uint8, shape (height, width, 3)."""
        self._aim(view)
        return self._draw()

    def bodies(self, view: View) -> npt.NDArray[np.int32]:
        """Which body each pixel shows: int32, shape (height, width), MuJoCo's body ids; 0 is the world, -1 the sky."""
        self._aim(view)
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = 1
        try:
            colors = self._draw().astype(np.int32)
        finally:
            flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = 0
        numbers = colors[..., 0] + (colors[..., 1] << 8) + (colors[..., 2] << 16)
        owners = np.full(self._scene.ngeom + 1, -1, dtype=np.int32)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and geom.segid >= 0:
                owners[geom.segid + 1] = self.model.geom_bodyid[geom.objid]
        return owners[np.where(numbers < len(owners), numbers, 0)]

    @property
    def state(self) -> npt.NDArray[np.float64]:
        """Everything that decides what comes next: float64, one axis."""
        values = np.empty(mujoco.mj_stateSize(self.model, _STATE))
        mujoco.mj_getState(self.model, self.data, values, _STATE)
        return values

    def restore(self, state: npt.NDArray[np.float64]) -> None:
        """Go back to a state of this model."""
        mujoco.mj_setState(self.model, self.data, state, _STATE)
        mujoco.mj_kinematics(self.model, self.data)

    def start(self, poses: npt.ArrayLike, velocities: npt.ArrayLike) -> None:
        """Put the bodies somewhere, shape (n, 7), with these velocities, shape (n, 6), and set the time to 0."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = np.ravel(poses)
        self.data.qvel[:] = np.ravel(velocities)
        mujoco.mj_forward(self.model, self.data)

    def advance(self, steps: int) -> None:
        """Let the physics go on."""
        mujoco.mj_step(self.model, self.data, nstep=steps)
        mujoco.mj_kinematics(self.model, self.data)  # where things are drawn is else one step behind where they are

    @property
    def renderer(self) -> str:
        """The name that OpenGL gives its renderer."""
        opengl: Any = importlib.import_module("OpenGL.GL")
        self._context.make_current()
        return opengl.glGetString(opengl.GL_RENDERER).decode()

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._context is None:
            return
        self._context.make_current()
        self._drawing.free()
        self._context.free()
        self._context = None

    def _aim(self, view: View) -> None:
        camera = self._camera
        camera.lookat[:] = view.target
        camera.distance, camera.elevation, camera.azimuth = view.distance, -view.pitch, 90.0 - view.yaw
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, self.data, self._option, None, camera, every, self._scene)

    def _draw(self) -> Frame:
        self._context.make_current()
        mujoco.mjr_render(self._rectangle, self._scene, self._drawing)
        frame = np.empty((self._height, self._width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(frame, None, self._rectangle, self._drawing)
        return np.ascontiguousarray(frame[::-1])  # OpenGL's first row is the lowest


def _nothing(height: int, width: int) -> Any:
    empty = Blueprint()
    empty.prepare(height=height, width=width, behind=((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), field_of_view=45.0, shadow_reach=1.0)
    return empty.compile()

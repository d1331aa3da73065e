"""Episodes on disk: a folder of lossless frames and one JSON file; moving pictures as GIF and mp4 through imageio."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from bagel_world.errors import RecordingError
from bagel_world.images import read_image
from bagel_world.types import Action, Episode, Frame, Thought

EPISODE_FILE, FRAMES = "episode.json", "frames"
FORMAT = 1
SMALLEST_SIDE = 256
"""Moving pictures are enlarged by a whole factor until their sides reach this: players smear tiny ones."""


def save_episode(folder: str | Path, episode: Episode) -> Path:
    """Write an episode as `frames/0000.png, ...` and `episode.json`; returns the folder.

    All of it is written under a temporary name first. An episode that is there is replaced, and stays where the new one cannot
    be written; a folder that has the JSON is complete.

    Raises:
        RecordingError: the disk is full, the folder cannot be written, or the metadata are no JSON values.
    """
    folder = Path(folder)
    thoughts = [None if thought is None else thought.text for thought in episode.thoughts] if episode.thoughts else None
    content = {
        "format": FORMAT,
        "actions": [{"text": action.text, "id": action.id} for action in episode.actions],
        "poses": None if episode.poses is None else episode.poses.tolist(),
        "visible": episode.visible,
        "thoughts": thoughts,
        "metadata": dict(episode.metadata),
    }
    try:
        text = json.dumps(content, indent=1)
    except (TypeError, ValueError) as error:
        raise RecordingError(f"The metadata of an episode have to be JSON values, but: {error}.") from error
    unfinished = folder / ".unfinished"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / FRAMES).mkdir(parents=True)
        for place, frame in enumerate(episode.frames):
            iio.imwrite(unfinished / FRAMES / f"{place:04d}.png", frame)
        (unfinished / EPISODE_FILE).write_text(text, encoding="utf-8")
        (folder / EPISODE_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / FRAMES, ignore_errors=True)
        for name in (FRAMES, EPISODE_FILE):
            (unfinished / name).replace(folder / name)
        unfinished.rmdir()
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise RecordingError(
            f"The episode could not be written to {folder}: {error}. Free some space or choose another folder."
        ) from error
    return folder


def load_episode(folder: str | Path) -> Episode:
    """Read an episode that `save_episode` wrote.

    Raises:
        RecordingError: not such a folder, or a damaged one.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / EPISODE_FILE).read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"it is of format {content['format']!r}, this version reads format {FORMAT}")
        actions = tuple(Action(text=each["text"], id=each["id"]) for each in content["actions"])
        frames = np.stack([read_image(folder / FRAMES / f"{place:04d}.png") for place in range(len(actions) + 1)])
        thoughts = content["thoughts"]
        return Episode(
            frames=frames,
            actions=actions,
            poses=None if content["poses"] is None else np.asarray(content["poses"], dtype=np.float64),
            visible=None if content["visible"] is None else tuple(tuple(names) for names in content["visible"]),
            thoughts=None if thoughts is None else tuple(None if text is None else Thought(text=text) for text in thoughts),
            metadata=content["metadata"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"Expected a saved episode in {folder} ({EPISODE_FILE} and frames/), but: {error}") from error


def enlarge(frame: Frame, side: int = SMALLEST_SIDE) -> Frame:
    """The frame with every pixel repeated a whole number of times, until its shorter side reaches `side` pixels."""
    factor = max(1, -(-side // min(frame.shape[:2])))
    return frame.repeat(factor, axis=0).repeat(factor, axis=1)


def save_movie(path: str | Path, frames: Sequence[Frame] | Frame, *, fps: float = 4.0) -> Path:
    """Write frames as a moving picture; the ending chooses the format: `.gif` or `.mp4` (H.264). Returns the path.

    Args:
        path: where to.
        frames: uint8 (height, width, 3), all of one size.
        fps: frames per second.

    Raises:
        RecordingError: another ending, no frames, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".gif", ".mp4"):
        raise RecordingError(f"Expected a movie called *.gif or *.mp4, got {path.name!r}.")
    if not len(frames):
        raise RecordingError(f"There are no frames to write to {path}.")
    pictures = np.stack([enlarge(frame) for frame in frames])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gif":
            iio.imwrite(path, pictures, duration=1000 / fps, loop=0)
        else:
            even = pictures[:, : pictures.shape[1] // 2 * 2, : pictures.shape[2] // 2 * 2]
            iio.imwrite(path, even, plugin="pyav", codec="libx264", fps=fps, in_pixel_format="rgb24")
    except OSError as error:
        raise RecordingError(
            f"The movie could not be written to {path}: {error}. Free some space or choose another folder."
        ) from error
    return path

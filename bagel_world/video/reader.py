"""Reading pictures: a film or a folder of images as a stream of upright, timed pictures, one in memory at a time.

Pictures are converted late: a survey looks at all of them through thumbnails, and only the few that are kept become frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from bagel_world.errors import ImageError, RecordingError
from bagel_world.images import MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE, read_image
from bagel_world.video.pictures import DecodedPicture, ImagePicture, Picture, reason_of
from bagel_world.video.sources import Source

logger = logging.getLogger(__name__)

Problem = Callable[[str], None]
"""Takes one sentence about something that was skipped."""

FALLBACK_RATE = 25.0
"""Pictures per second of a film that does not say when they are shown."""

_SEEK_GAP = 15.0  # seconds; decoding a shorter stretch is cheaper than finding a key frame


def read_pictures(source: Source, *, fps: float, problem: Problem = logger.warning) -> Iterator[Picture]:
    """Every picture of a source, in the order of time.

    A film that breaks off or a folder with unreadable images gives what can be read; the rest is told to `problem`.

    Args:
        source: film or folder.
        fps: pictures per second of a folder.
        problem: takes a sentence about each thing that was skipped.

    Raises:
        RecordingError: it is no film, has no pictures, or pictures larger than any image that is read.
    """
    if source.kind == "images":
        yield from _read_images(source.images, fps=fps, problem=problem)
    else:
        with _Film(source.path) as film:
            yield from film.read(problem)


def pictures_at(source: Source, times: list[float], *, fps: float, problem: Problem = logger.warning) -> Iterator[Picture | None]:
    """For each time the picture nearest to it; None where that one cannot be read.

    Args:
        source: film or folder.
        times: seconds since the first picture, not falling.
        fps: pictures per second of a folder.
        problem: takes a sentence about each thing that was skipped.

    Raises:
        RecordingError: as for `read_pictures`.
    """
    if source.kind == "film":
        yield from _film_pictures_at(source.path, times, problem)
        return
    for time in times:
        place = min(round(time * fps), len(source.images) - 1)
        yield next(_read_images(source.images, fps=fps, problem=problem, places=range(place, place + 1)), None)


def film_seconds(source: Source, *, fps: float) -> float | None:
    """How long a source says it is, in seconds; None where it does not say or cannot be opened."""
    if source.kind == "images":
        return len(source.images) / fps
    try:
        with av.open(str(source.path)) as container:
            return None if container.duration is None else container.duration / av.time_base
    except (av.FFmpegError, OSError, ValueError):
        return None


def _read_images(paths: tuple[Path, ...], *, fps: float, problem: Problem, places: range | None = None) -> Iterator[ImagePicture]:
    for place in range(len(paths)) if places is None else places:
        try:
            yield ImagePicture(time=place / fps, pixels=read_image(paths[place]))
        except ImageError as error:
            problem(f"{paths[place].name} is passed over: {error}")


def _nearest(pictures: Iterator[DecodedPicture], times: list[float]) -> Iterator[DecodedPicture]:
    """For each time the picture before or after it, whichever is closer."""
    place, before = 0, None
    for picture in pictures:
        while place < len(times) and picture.time >= times[place]:
            after_is_closer = before is None or picture.time - times[place] < times[place] - before.time
            yield picture if after_is_closer or before is None else before
            place += 1
        if place == len(times):
            return
        before = picture
    for _ in times[place:]:
        if before is not None:
            yield before


def _film_pictures_at(path: Path, times: list[float], problem: Problem) -> Iterator[DecodedPicture]:
    """Reads on from where the last time was, or jumps ahead where the next one is far away."""
    stretches: list[list[float]] = []
    for time in times:
        if stretches and time - stretches[-1][-1] < _SEEK_GAP:
            stretches[-1].append(time)
        else:
            stretches.append([time])
    for stretch in stretches:
        with _Film(path) as film:
            yield from _nearest(film.read(problem, start=stretch[0] if stretch[0] > _SEEK_GAP else 0.0), stretch)


class _Film:
    """An open film: a stream of pictures whose clock starts at the first one."""

    def __init__(self, path: Path) -> None:
        try:
            self._container: InputContainer = av.open(str(path))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise RecordingError(f"It cannot be opened as a film ({reason_of(error)}). Convert it, or leave it out.") from error
        if not self._container.streams.video:
            self._container.close()
            raise RecordingError("It has no pictures, only other streams. Leave it out.")
        self._stream: VideoStream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"

    def __enter__(self) -> _Film:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def read(self, problem: Problem, *, start: float = 0.0) -> Iterator[DecodedPicture]:
        """The pictures, at the latest from `start` on (seconds after the first one)."""
        frames = self._decode(problem)
        first = next(frames, None)
        if first is None:
            raise RecordingError("No picture in it can be decoded: it is empty, damaged or cut short. Leave it out.")
        clock = _Clock(first.time or 0.0, 1.0 / float(self._stream.average_rate or FALLBACK_RATE))
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        frames = self._jump(first, start, problem) if start > 0 and first.time is not None else chain([first], frames)
        for raw in frames:
            width, height = max(1, round(raw.width * aspect)), raw.height
            if max(width, height) > MAX_IMAGE_SIDE or width * height > MAX_IMAGE_PIXELS:
                raise RecordingError(
                    f"Expected pictures of at most {MAX_IMAGE_PIXELS} pixels and {MAX_IMAGE_SIDE} a side, "
                    f"got {width} x {height}. Scale it down."
                )
            yield DecodedPicture(time=clock.read(raw), raw=raw, turns=round(raw.rotation / 90) % 4, pixel_aspect=aspect)

    def _jump(self, first: VideoFrame, start: float, problem: Problem) -> Iterator[VideoFrame]:
        """The pictures from the key frame before `start` on; all of them where the film's index leads past it."""
        origin = first.time or 0.0
        self._container.seek(round((origin + start) * av.time_base))
        frames = self._decode(problem)
        landed = next(frames, None)
        if landed is not None and landed.time is not None and landed.time <= origin + start:
            return chain([landed], frames)
        self._container.seek(round(origin * av.time_base))
        return self._decode(problem)

    def _decode(self, problem: Problem) -> Iterator[VideoFrame]:
        """What the decoder gives from here on; behind a damaged packet it starts again at the next key frame."""
        count, damaged, lost = 0, 0, False
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except (av.FFmpegError, ValueError):
                    damaged, lost = damaged + 1, True
                    continue
                for raw in frames:
                    if isinstance(raw, VideoFrame) and not raw.is_corrupt and (raw.key_frame or not lost):
                        count, lost = count + 1, False
                        yield raw
        except (av.FFmpegError, OSError, ValueError) as error:
            if count:
                problem(f"It breaks off after {count} pictures ({reason_of(error)}); what comes before is used.")
        if damaged and count:
            problem(f"Damaged packets are passed over ({damaged}), each up to the next key frame.")


class _Clock:
    """When pictures are shown: their own time stamps, or the film's rate where they have none or go backwards."""

    def __init__(self, origin: float, interval: float) -> None:
        self._origin = origin
        self._interval = interval
        self._last = -interval

    def read(self, raw: VideoFrame) -> float:
        """Seconds since the first picture; always rising."""
        stamp = None if raw.time is None else raw.time - self._origin
        self._last = self._last + self._interval if stamp is None or stamp <= self._last else stamp
        return self._last

"""Surveying: films are looked at once, several at a time, and what was found is kept beside the samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from bagel_world.errors import RecordingError
from bagel_world.video.account import MAX_PROBLEMS
from bagel_world.video.clips import Survey, survey
from bagel_world.video.config import ClipConfig
from bagel_world.video.journal import read_survey, write_survey
from bagel_world.video.reader import film_seconds, read_pictures
from bagel_world.video.sidecar import Sidecar, find_sidecar, read_sidecar, sidecar_key
from bagel_world.video.sources import Source
from bagel_world.video.timeline import read_chapters

_UNUSED = "The actions in {name} are not used. Take them as texts with captions from the sidecar file."
_WHOLE = 0.9  # share of the announced length that a film has at least; sound may go on a little

T = TypeVar("T")
R = TypeVar("R")


class Watch(Protocol):
    """Is told how far a conversion is."""

    def surveying(self, film: str, share: float) -> None:
        """This share of a film (0..1) was looked at."""
        ...

    def used(self, film: str, samples: int) -> None:
        """A film is done; so many samples so far."""
        ...


class Silent:
    """Watches nothing."""

    def surveying(self, film: str, share: float) -> None:
        """Nothing."""

    def used(self, film: str, samples: int) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A source that was surveyed, with a remark on the file beside it; or the sentence that says why it could not be."""

    source: Source
    key: str
    survey: Survey | None = None
    sidecar: Sidecar | None = None
    remark: str = ""
    failure: str = ""


class Surveyor:
    """Looks at films; may be called from several threads.

    Args:
        out: the folder that keeps what is found.
        clips: how films are cut.
        needs_words: whether a film without a sidecar file is of no use.
        watch: is told how far it is.
    """

    def __init__(self, out: Path, clips: ClipConfig, *, needs_words: bool, watch: Watch) -> None:
        self._out, self._clips, self._needs_words, self._watch = out, clips, needs_words, watch
        self._stopped = False

    def stop(self) -> None:
        """Let surveys that are under way end soon, without a result."""
        self._stopped = True

    def look_at(self, task: tuple[Source, str]) -> Film:
        """Survey one film, given with its key; what was found before is taken from the folder.

        Raises:
            RecordingError: the disk is full. What is wrong with the film is in the answer.
        """
        source, key = task
        known = read_survey(self._out, key)
        try:
            sidecar, remark = self._sidecar(source)
            new = self._survey(source) if known is None else None
        except RecordingError as error:
            return Film(source=source, key=key, failure=str(error))
        if new is not None:
            write_survey(self._out, key, new)
        whole = known or new
        if whole is None or sum(whole.pictures.values()) < 2:
            return Film(source=source, key=key, failure="It has a single picture. Footage needs two that follow each other.")
        return Film(source=source, key=key, survey=whole, sidecar=sidecar, remark=remark)

    def words_of(self, source: Source) -> str:
        """What tells the sidecar file of a film from another; "" where it has none, or none that is read."""
        path = self._sidecar_path(source)
        return "" if path is None else sidecar_key(path)

    def _sidecar_path(self, source: Source) -> Path | None:
        path = find_sidecar(source)
        return path if path is not None and (self._needs_words or path.suffix == ".json") else None

    def _sidecar(self, source: Source) -> tuple[Sidecar | None, str]:
        """What the file beside a film says, and what is to be remarked on it.

        Raises:
            RecordingError: words are needed, and there are none or they cannot be read.
        """
        path = self._sidecar_path(source)
        if self._needs_words:
            if path is None:
                raise RecordingError(
                    f"There are no action words for it. Put {source.path.stem}.csv (start,end,text) beside it, "
                    "or choose other captions."
                )
            return read_sidecar(path), ""
        if path is None:
            unread = find_sidecar(source)
            return None, "" if unread is None else _UNUSED.format(name=unread.name)
        try:
            found = read_sidecar(path)
        except RecordingError as error:  # a file of another tool may have this name
            return None, f"{error} It is not used."
        return found, _UNUSED.format(name=path.name) if found.words else ""

    def _survey(self, source: Source) -> Survey:
        clips = self._clips
        length = film_seconds(source, fps=clips.fps)
        problems: list[str] = []
        pictures = read_pictures(source, fps=clips.fps, problem=problems.append)

        def progress(reached: float) -> None:
            if self._stopped:
                raise RecordingError("The conversion was broken off. Run it again to go on.")
            self._watch.surveying(source.name, min(1.0, reached / length) if length else 0.0)

        found = survey(read_chapters(pictures, black_level=clips.black_level), clips, progress=progress)
        if not found.pictures:
            reason = f" {problems[0]}" if problems else ""
            raise RecordingError(f"No picture in it can be read.{reason}")
        if length and not problems and found.seconds < _WHOLE * length - 1.0:
            problems.append(f"It says that it lasts {length:.1f} s, but breaks off after {found.seconds:.1f} s; those are used.")
        return found.model_copy(update={"problems": tuple(problems[:MAX_PROBLEMS])})


def ahead(pool: ThreadPoolExecutor, work: Callable[[T], R], tasks: Iterable[T], count: int) -> Iterator[R]:
    """The results in the order of the tasks, of which `count` more than the one that is waited for are under way."""
    waiting: deque[Future[R]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()

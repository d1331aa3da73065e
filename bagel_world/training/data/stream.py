"""An endless, shuffled stream of samples from several sources, shared by processes, that can stop and go on anywhere.

What comes is a function of (seed, weights, sources, number of the draw). The position is a handful of numbers: restoring it costs
no reading, and the stream goes on exactly as if it had never stopped, whatever the number of threads that read ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.samples import Sample
from bagel_world.errors import BagelWorldError, ConfigError, RecordingError, TrainingError
from bagel_world.training.data.order import Choice, Order
from bagel_world.training.data.sources import Source

Made = TypeVar("Made")

_DRAWS, _READS = 3, 4
_AHEAD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One draw.

    Attributes:
        number: its place in the order that all shards share.
        seed: the seed of the stream.
        source: where the sample comes from.
        epoch: how often that source was gone through before.
        place: the sample's place in its source.
        sample: the sample.
    """

    number: int
    seed: int
    source: str
    epoch: int
    place: int
    sample: Sample

    def rng(self) -> np.random.Generator:
        """Numbers for whatever is random about this draw; they depend on nothing but seed and number."""
        return np.random.default_rng((self.seed, _DRAWS, self.number))


class Position(BaseModel):
    """Where a stream is. `shard` is None where the shards were at the same place and their number no longer matters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    shard: int | None
    shards: int = Field(gt=0)
    draws: int = Field(ge=0)
    counts: dict[str, int]
    lengths: dict[str, int]
    identities: dict[str, str] = Field(default_factory=dict)
    damaged: dict[str, tuple[int, ...]] = Field(default_factory=dict)


def join_positions(positions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The one position of shards that are equally far; a stream with any number of shards can go on from it.

    Raises:
        TrainingError: a shard is missing or comes twice, or one is ahead of another.
    """
    read = sorted((_read_position(each) for each in positions), key=lambda each: -1 if each.shard is None else each.shard)
    shards = read[0].shards if read else 0
    if not read or [each.shard for each in read] != list(range(shards)) or any(each.shards != shards for each in read):
        raise TrainingError(f"Expected the positions of all shards, got {[(each.shard, each.shards) for each in read]}.")
    last = max(read, key=lambda each: each.draws)
    if any(each.draws + (place - each.draws) % shards < last.draws for place, each in enumerate(read)):
        raise TrainingError(
            f"Expected shards that are equally far, got them before draws {[each.draws for each in read]}. "
            "Keep a position per shard, and the number of shards, where packs take different numbers of samples."
        )
    damaged: dict[str, tuple[int, ...]] = {}
    for each in read:
        for name, places in each.damaged.items():
            damaged[name] = tuple(sorted({*damaged.get(name, ()), *places}))
    return last.model_copy(update={"shard": None, "damaged": damaged}).model_dump(mode="json")


class SampleStream(Generic[Made], Iterator[Made]):
    """Draws samples without end.

    Args:
        sources: where they come from.
        seed: decides order and mixture.
        prepare: makes of every draw what the stream gives, in the reading threads: decodes, encodes, cuts. Errors of this package
            that it raises count as damage. `same` gives the draw itself.
        shard: which share of the draws this stream takes: `number % shards == shard`.
        shards: how many streams share the order; processes, or lanes of a batch whose number does not depend on the machine.
        workers: threads that read ahead; 0 reads when asked.
        damage: counts damaged samples, which are skipped up to its limit; by default the first one raises.
        mixed: shards of a folder that are shuffled into each other.

    Raises:
        ConfigError: sources of the same name, impossible weights or shares.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        prepare: Callable[[Drawn], Made],
        *,
        seed: int = 0,
        shard: int = 0,
        shards: int = 1,
        workers: int = 0,
        damage: Damage | None = None,
        mixed: int = 8,
    ) -> None:
        names = [each.name for each in sources]
        if len(set(names)) < len(names):
            raise ConfigError(f"Expected sources with different names, got {names}. Give them names of their own.")
        if not 0 <= shard < shards or workers < 0 or mixed < 1 or seed < 0:
            raise ConfigError(
                f"Expected 0 <= shard < shards, workers >= 0, mixed >= 1 and seed >= 0, got shard={shard}, shards={shards}, "
                f"workers={workers}, mixed={mixed}, seed={seed}."
            )
        self._sources = tuple(sources)
        self._orders = [
            Order(each.name, each.blocks or (each.count,), seed=seed, mixed=mixed if each.blocks else 1) for each in sources
        ]
        self._choice = Choice([each.weight for each in sources], seed=seed)
        self._prepare = prepare
        self._seed, self._shard, self._shards = seed, shard, shards
        self.damage = damage or Damage(0)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="samples") if workers else None
        self._length_ahead = workers * _AHEAD
        self._draws, self._counts = 0, [0] * len(sources)
        self._ahead: deque[tuple[Future[Made], int, tuple[int, ...], Source, int]] = deque()
        self._reached = self._draws, tuple(self._counts)

    def __iter__(self) -> SampleStream[Made]:
        """The stream is its own iterator."""
        return self

    def __next__(self) -> Made:
        """What `prepare` makes of the next draw of this shard.

        Raises:
            RecordingError: more samples are damaged than may be skipped, or all are.
        """
        barren: set[tuple[str, int]] = set()
        while True:
            while len(self._ahead) <= self._length_ahead:
                self._plan()
            future, draws, counts, source, place = self._ahead.popleft()
            self._reached = draws, counts
            try:
                return future.result()
            except BagelWorldError as error:
                self.damage.note(source.name, place, error)
                barren.add((source.name, place))
                if len(barren) == sum(self._lengths().values()):  # or there would be no end
                    raise RecordingError(
                        f"Expected samples to learn from, but all {len(barren)} are damaged. "
                        f"Look at them with `bagel-world data check`. The last one: {error}"
                    ) from error

    def position(self) -> dict[str, Any]:
        """Where the stream is, behind the last draw it gave, as JSON values."""
        draws, counts = self._reached
        return Position(
            seed=self._seed,
            shard=self._shard,
            shards=self._shards,
            draws=draws,
            counts={each.name: count for each, count in zip(self._sources, counts, strict=True)},
            lengths=self._lengths(),
            identities=self._identities(),
            damaged={name: tuple(sorted(places)) for name, places in self.damage.places.items()},
        ).model_dump(mode="json")

    def restore(self, position: Mapping[str, Any]) -> None:
        """Go on from a position. Weights may have changed since: they hold from here on.

        Raises:
            TrainingError: it belongs to another seed, share, or set of samples.
        """
        found = _read_position(position)
        if found.seed != self._seed:
            raise TrainingError(f"Expected a position of seed {self._seed}, got one of seed {found.seed}. Train with that seed.")
        if found.shard is not None and (found.shard, found.shards) != (self._shard, self._shards):
            raise TrainingError(
                f"Expected the position of shard {self._shard} of {self._shards}, got that of {found.shard} of {found.shards}. "
                "`join_positions` makes one that any number of shards can go on from."
            )
        if found.lengths != self._lengths():
            raise TrainingError(
                f"The samples have changed since this position was saved: {found.lengths} then, {self._lengths()} now. "
                "Bring back the folders as they were, or start the stream anew."
            )
        now = self._identities()
        others = [name for name, identity in found.identities.items() if now.get(name, identity) != identity]
        if others:
            raise TrainingError(
                f"The samples of {', '.join(others)} are as many as when this position was saved, but not the same, or in other "
                "shards. Bring back the folders as they were, or start the stream anew."
            )
        for waiting in self._ahead:
            waiting[0].cancel()
        self._ahead.clear()
        self._draws, self._counts = found.draws, [found.counts.get(each.name, 0) for each in self._sources]
        self._reached = self._draws, tuple(self._counts)
        # What shards have found together is counted on by the first of them.
        known = found.damaged if found.shard is not None or self._shard == 0 else {}
        self.damage.places = {name: set(places) for name, places in known.items()}

    def close(self) -> None:
        """End the reading threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _plan(self) -> None:
        """Walk the order up to this shard's next draw, and have it read."""
        while True:
            number = self._draws
            chosen = self._choice.source(number)
            count = self._counts[chosen]
            self._draws += 1
            self._counts[chosen] += 1
            if number % self._shards == self._shard:
                break
        source = self._sources[chosen]
        epoch, place = self._orders[chosen].place(count)
        if self._pool is None:
            future: Future[Made] = Future()
            try:
                future.set_result(self._draw(source, number, epoch, place))
            except BagelWorldError as error:
                future.set_exception(error)
        else:
            future = self._pool.submit(self._draw, source, number, epoch, place)
        self._ahead.append((future, self._draws, tuple(self._counts), source, place))

    def _draw(self, source: Source, number: int, epoch: int, place: int) -> Made:
        sample = source.read(place, np.random.default_rng((self._seed, _READS, number)))
        return self._prepare(Drawn(number=number, seed=self._seed, source=source.name, epoch=epoch, place=place, sample=sample))

    def _lengths(self) -> dict[str, int]:
        return {each.name: each.count for each in self._sources}

    def _identities(self) -> dict[str, str]:
        return {each.name: each.identity for each in self._sources if each.identity}


def same(drawn: Drawn) -> Drawn:
    """The draw itself."""
    return drawn


def _read_position(position: Mapping[str, Any]) -> Position:
    try:
        return Position.model_validate(position)
    except ValidationError as error:
        raise TrainingError(
            f"Expected the position of a sample stream, got {position!r:.200} ({error.error_count()} errors)."
        ) from error

"""Packs of samples that fill a budget of tokens, chosen from a few that lie ready, with an exact way back after a stop.

The oldest sample that waits opens every pack, so nothing waits for long; the rest is the choice whose lengths come closest to the
budget, the older ones first where several do. Everything that is drawn is used once: the mixture of sources stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bagel_world.errors import ConfigError, TrainingError


class Sized(Protocol):
    """Something that takes room in a pack."""

    @property
    def tokens(self) -> int:
        """How much."""
        ...


Item = TypeVar("Item", bound=Sized)
ItemAhead = TypeVar("ItemAhead", bound=Sized, covariant=True)


class Restorable(Protocol[ItemAhead]):
    """An endless stream that can tell where it is and go on from there, as `SampleStream` does."""

    def __next__(self) -> ItemAhead: ...

    def position(self) -> dict[str, Any]:
        """Where it is, as JSON values."""
        ...

    def restore(self, position: Mapping[str, Any]) -> None:
        """Go on from there."""
        ...


class PackConfig(BaseModel):
    """How samples are put together into packs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(default=4096, gt=0, description="Most tokens in a pack; a longer sample is damage.")
    look_ahead: int = Field(default=16, ge=0, description="Samples beyond a pack's worth that lie ready to choose from.")


class PackPosition(BaseModel):
    """Where a packer is: the stream before the oldest sample that waits, and which of the draws behind it are used up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: dict[str, Any]
    drawn: int = Field(ge=0)
    used: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Waiting(Generic[Item]):
    number: int
    before: dict[str, Any]
    item: Item


class Packer(Generic[Item], Iterator[list[Item]]):
    """Fills packs from a stream.

    Args:
        stream: gives samples that fit, see `fits`.
        config: how many tokens, and how many samples lie ready.

    Attributes:
        config: the same.
    """

    def __init__(self, stream: Restorable[Item], config: PackConfig) -> None:
        self.config = config
        self._stream = stream
        self._drawn = 0
        self._waiting: list[_Waiting[Item]] = []

    def __iter__(self) -> Packer[Item]:
        """The packer is its own iterator."""
        return self

    def __next__(self) -> list[Item]:
        """The samples of the next pack, in the order in which they were drawn."""
        while not self._choice_is_wide():
            self._draw()
        chosen = best_fill([each.item.tokens for each in self._waiting], self.config.tokens)
        taken = [self._waiting[place] for place in chosen]
        self._waiting = [each for each in self._waiting if each not in taken]
        return [each.item for each in taken]

    def position(self) -> dict[str, Any]:
        """Where the packer is, behind the last pack it gave, as JSON values."""
        if not self._waiting:
            return PackPosition(stream=self._stream.position(), drawn=0, used=()).model_dump(mode="json")
        first = self._waiting[0].number
        waiting = {each.number for each in self._waiting}
        used = tuple(number - first for number in range(first, self._drawn) if number not in waiting)
        found = PackPosition(stream=self._waiting[0].before, drawn=self._drawn - first, used=used)
        return found.model_dump(mode="json")

    def restore(self, position: Mapping[str, Any]) -> None:
        """Go on from a position: what waited then is drawn again.

        Raises:
            TrainingError: it is none, or belongs to another stream.
        """
        try:
            found = PackPosition.model_validate(position)
        except ValidationError as error:
            raise TrainingError(f"Expected the position of a packer, got {position!r:.200}.") from error
        self._stream.restore(found.stream)
        self._drawn, self._waiting = 0, []
        used = set(found.used)
        for number in range(found.drawn):
            self._draw()
            if number in used:
                self._waiting.pop()

    def _choice_is_wide(self) -> bool:
        worth = self._waiting[: max(0, len(self._waiting) - self.config.look_ahead)]
        return sum(each.item.tokens for each in worth) >= self.config.tokens

    def _draw(self) -> None:
        before = self._stream.position()
        item = next(self._stream)
        self._waiting.append(_Waiting(number=self._drawn, before=before, item=item))
        self._drawn += 1


def best_fill(lengths: Sequence[int], budget: int) -> list[int]:
    """The places whose lengths add up to the most that fits, the first place always among them.

    Args:
        lengths: of at least one item; the first fits.
        budget: the most they may add up to.

    Returns:
        Places in ascending order; among choices of equal sum one that avoids late places.

    Raises:
        ConfigError: the first does not fit.
    """
    if lengths[0] > budget:
        raise ConfigError(f"Expected a first item of at most {budget} tokens, got {lengths[0]}. Check samples with `fits`.")
    room = budget - lengths[0]
    inside = (1 << (room + 1)) - 1
    reachable = [1]  # bit s of entry k: the first k items behind the opening one can add up to s
    for length in lengths[1:]:
        reachable.append((reachable[-1] | (reachable[-1] << length if length <= room else 0)) & inside)
    total = reachable[-1].bit_length() - 1
    chosen = []
    for place in range(len(lengths) - 1, 0, -1):
        if not reachable[place - 1] >> total & 1:
            chosen.append(place)
            total -= lengths[place]
    return [0, *reversed(chosen)]


Given = TypeVar("Given")


def fits(prepare: Callable[[Given], Item], config: PackConfig, name: Callable[[Given], str] = str) -> Callable[[Given], Item]:
    """`prepare`, for which anything longer than a pack is damage.

    Args:
        prepare: makes an item, as a stream asks for.
        config: how many tokens a pack has.
        name: what the message calls a sample.
    """

    def checked(given: Given) -> Item:
        item = prepare(given)
        if item.tokens > config.tokens:
            raise TrainingError(
                f"Sample {name(given)!r} cannot be packed: it has {item.tokens} tokens, a pack holds {config.tokens}. "
                "Cut it into shorter samples, show its images smaller, or raise mot.pack.tokens."
            )
        return item

    return checked

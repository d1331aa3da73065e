"""The stream of samples: one order for all, shared without overlap, continued exactly from any place."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.sample_writer import SampleWriter, write_samples
from bagel_world.episodes.samples import Sample, TextPart
from bagel_world.errors import ConfigError, RecordingError, TrainingError
from bagel_world.training.data.order import Choice, Order, epoch_order
from bagel_world.training.data.sources import Source, SourceConfig
from bagel_world.training.data.stream import Drawn, SampleStream, join_positions, same
from tests.episodes.drawn import walk_sample

Identity = tuple[int, str, int, int, str]


def make_sample(name: str) -> Sample:
    part = TextPart(text=name, role="answer", loss=True)
    return Sample(sample_id=name, parts=(part,), source="tests", license="CC0-1.0")


class Broken(Sequence[Sample]):
    """Samples of which some cannot be read."""

    def __init__(self, count: int, broken: set[int]) -> None:
        self._count, self._broken = count, broken

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if index in self._broken:
            raise RecordingError(f"row {index}")
        return make_sample(f"s{index}")


def make_sources(lengths: Sequence[int], weights: Sequence[float] | None = None) -> list[Source]:
    return [
        Source.of([make_sample(f"{place}/{row}") for row in range(length)], name=f"source-{place}", weight=weight)
        for place, (length, weight) in enumerate(zip(lengths, weights or [1.0] * len(lengths), strict=True))
    ]


def identity(drawn: Drawn) -> Identity:
    return drawn.number, drawn.source, drawn.epoch, drawn.place, drawn.sample.sample_id


def take(stream: SampleStream[Drawn], count: int) -> list[Identity]:
    return [identity(drawn) for drawn in islice(stream, count)]


def plain(lengths: Sequence[int], count: int, seed: int = 0, weights: Sequence[float] | None = None) -> list[Identity]:
    """The order as one unbroken process sees it."""
    return take(SampleStream(make_sources(lengths, weights), same, seed=seed), count)


lengths = st.lists(st.integers(1, 9), min_size=1, max_size=3)
seeds = st.integers(0, 2**40)
quick = settings(max_examples=40, deadline=None, derandomize=True)


@quick
@given(
    lengths=lengths,
    seed=seeds,
    cuts=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    workers=st.lists(st.integers(0, 3), min_size=5),
)
def test_any_cuts_and_any_workers_continue_the_unbroken_order(
    lengths: list[int], seed: int, cuts: list[int], workers: list[int]
) -> None:
    found: list[Identity] = []
    position = None
    for place, cut in enumerate(cuts):
        stream = SampleStream(make_sources(lengths), same, seed=seed, workers=workers[place])
        if position is not None:
            stream.restore(json.loads(position))
        found += take(stream, cut)
        position = json.dumps(stream.position())
        stream.close()
    assert found == plain(lengths, sum(cuts), seed)


@quick
@given(lengths=lengths, seed=seeds, shards=st.integers(1, 5), workers=st.integers(0, 2), count=st.integers(0, 20))
def test_shards_deal_out_the_one_order(lengths: list[int], seed: int, shards: int, workers: int, count: int) -> None:
    dealt = []
    for shard in range(shards):
        stream = SampleStream(make_sources(lengths), same, seed=seed, shard=shard, shards=shards, workers=workers)
        dealt.append(take(stream, count))
        stream.close()
    assert [each for row in zip(*dealt, strict=True) for each in row] == plain(lengths, count * shards, seed)


@quick
@given(lengths=lengths, seed=seeds, shards=st.integers(1, 5), cut=st.integers(0, 25), rest=st.integers(0, 12))
def test_one_shard_continues_its_own_draws(lengths: list[int], seed: int, shards: int, cut: int, rest: int) -> None:
    for shard in range(shards):
        share = {"seed": seed, "shard": shard, "shards": shards}
        stream = SampleStream(make_sources(lengths), same, **share)
        begun = take(stream, cut)
        after = SampleStream(make_sources(lengths), same, **share)
        after.restore(stream.position())
        assert begun + take(after, rest) == take(SampleStream(make_sources(lengths), same, **share), cut + rest)


@quick
@given(lengths=lengths, seed=seeds, steps=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 9)), min_size=1, max_size=4))
def test_shards_can_be_joined_and_dealt_anew(lengths: list[int], seed: int, steps: list[tuple[int, int]]) -> None:
    """Go on with another number of shards several times: together they always see the one order."""
    found: list[Identity] = []
    joined = None
    for shards, count in steps:
        streams = [SampleStream(make_sources(lengths), same, seed=seed, shard=each, shards=shards) for each in range(shards)]
        for stream in streams:
            if joined is not None:
                stream.restore(joined)
        got = [each for stream in streams for each in take(stream, count)]
        found += sorted(got)
        joined = json.loads(json.dumps(join_positions([stream.position() for stream in streams])))
    assert found == plain(lengths, len(found), seed)


@quick
@given(lengths=lengths, seed=seeds, shards=st.integers(1, 4))
def test_an_epoch_shows_every_sample_once_among_all_shards(lengths: list[int], seed: int, shards: int) -> None:
    seen: Counter[tuple[str, int, int]] = Counter()
    for shard in range(shards):
        drawn = islice(SampleStream(make_sources(lengths), same, seed=seed, shard=shard, shards=shards), 60)
        seen.update((each.source, each.epoch, each.place) for each in drawn)
    assert set(seen.values()) == {1}
    for place, length in enumerate(lengths):
        name = f"source-{place}"
        whole = {epoch for source, epoch, _ in seen if source == name}
        for epoch in sorted(whole)[:-1]:
            assert {row for source, each, row in seen if (source, each) == (name, epoch)} == set(range(length))


def test_another_seed_and_another_epoch_are_another_order() -> None:
    one = [each[3] for each in plain([50], 100, seed=1)]
    assert sorted(one[:50]) == sorted(one[50:]) == list(range(50))
    assert one[:50] != one[50:]
    assert one != [each[3] for each in plain([50], 100, seed=2)]
    assert one[:50] != list(range(50))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_can_go_back_to_an_earlier_position(workers: int) -> None:
    stream = SampleStream(make_sources([9, 4]), same, workers=workers)
    take(stream, 3)
    position = stream.position()
    after = take(stream, 20)
    stream.restore(position)
    assert take(stream, 20) == after
    stream.close()


def test_sources_of_one_length_are_shuffled_differently() -> None:
    drawn = plain([30, 30], 400)
    first, second = ([each[3] for each in drawn if each[1] == name][:30] for name in ("source-0", "source-1"))
    assert sorted(first) == sorted(second) == list(range(30))
    assert first != second


def test_a_further_source_leaves_the_order_of_the_others() -> None:
    alone = [each[2:] for each in plain([7], 20)]
    together = [each[2:] for each in plain([7, 5], 60) if each[1] == "source-0"]
    assert together[:20] == alone[: len(together[:20])]
    assert len(together) > 20


def test_weights_are_the_shares_of_the_draws() -> None:
    weights = [0.5, 3.0, 1.5]
    counts = Counter(each[1] for each in plain([4, 4, 4], 8000, seed=3, weights=weights))
    for place, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(counts[f"source-{place}"] / 8000 - share) < 4 * np.sqrt(share * (1 - share) / 8000)


def test_weights_may_change_where_a_stream_goes_on() -> None:
    stream = SampleStream(make_sources([5, 5], [1.0, 1.0]), same)
    before = take(stream, 37)
    after = SampleStream(make_sources([5, 5], [1.0, 1e9]), same)
    after.restore(stream.position())
    first = take(after, 1)[0]
    drawn = sum(each[1] == "source-1" for each in before)
    assert (first[0], first[1], first[2]) == (37, "source-1", drawn // 5)


def test_the_numbers_of_a_draw_depend_on_seed_and_number_alone() -> None:
    def numbers(**share: int) -> dict[int, float]:
        stream = SampleStream(make_sources([5]), same, **share)
        return {each.number: each.rng().random() for each in islice(stream, 12)}

    whole = numbers(seed=4)
    assert len(set(whole.values())) == 12
    part = numbers(seed=4, shard=1, shards=3, workers=2)
    assert {number: whole[number] for number in (1, 4, 7, 10)} == {number: part[number] for number in (1, 4, 7, 10)}
    assert numbers(seed=5)[0] != whole[0]


@quick
@given(
    blocks=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    mixed=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_an_epoch_order_is_a_permutation_that_uses_few_blocks_at_a_time(blocks: list[int], mixed: int, seed: int) -> None:
    order = epoch_order(blocks, [seed], mixed=mixed)
    assert sorted(order) == list(range(sum(blocks)))
    block_of = np.repeat(np.arange(len(blocks)), blocks)
    used = [int(block_of[place]) for place in order]
    open_at = [{block for block in used[: k + 1] if block in used[k:]} for k in range(len(used))]
    assert max(len(each) for each in open_at) <= mixed


def test_order_and_choice_are_functions_of_the_number() -> None:
    order, choice = Order("a", [3, 2], seed=7, mixed=2), Choice([1, 2], seed=7)
    counts = [0, 1, 7, 23, 4, 5]
    assert [order.place(count) for count in counts] == [Order("a", [3, 2], seed=7, mixed=2).place(count) for count in counts]
    numbers = [0, 1023, 1024, 5000, 3]
    assert [choice.source(number) for number in numbers] == [Choice([1, 2], seed=7).source(number) for number in numbers]


# --- damage


@pytest.mark.parametrize("workers", [0, 3])
def test_damaged_samples_are_counted_and_skipped(workers: int) -> None:
    sources = [Source.of(Broken(6, {1, 4}), name="film")]
    stream = SampleStream(sources, same, workers=workers, damage=Damage(2))
    found = take(stream, 40)
    assert sorted(each[3] for each in found) == sorted([0, 2, 3, 5] * 10), "what is damaged in ten epochs is damaged once"
    assert stream.damage.places == {"film": {1, 4}}
    position = json.loads(json.dumps(stream.position()))
    assert position["damaged"] == {"film": [1, 4]}
    resumed = SampleStream(sources, same, damage=Damage(2))
    resumed.restore(position)
    assert resumed.damage.places == stream.damage.places
    assert take(resumed, 8) == take(stream, 8)
    stream.close()


def test_too_much_damage_ends_with_a_sentence() -> None:
    stream = SampleStream([Source.of(Broken(4, {0, 1, 2, 3}), name="film")], same, damage=Damage(2))
    with pytest.raises(RecordingError, match="3 samples are damaged, 2 may be skipped"):
        next(stream)


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_but_damage_ends_whatever_may_be_skipped(workers: int) -> None:
    sources = [Source.of(Broken(count, set(range(count))), name=f"film-{count}") for count in (3, 4)]
    with pytest.raises(RecordingError, match="all 7 are damaged"):
        next(SampleStream(sources, same, workers=workers, damage=Damage(99)))
    good = make_sources([4])
    assert {each[1] for each in take(SampleStream([*sources, *good], same, damage=Damage(99)), 20)} == {good[0].name}


@quick
@given(cut=st.integers(0, 9), workers=st.integers(0, 2))
def test_damage_does_not_move_what_comes_after_a_restart(cut: int, workers: int) -> None:
    def stream(threads: int) -> SampleStream[Drawn]:
        return SampleStream([Source.of(Broken(7, {2, 3}), name="film")], same, workers=threads, damage=Damage(99))

    first, second = stream(workers), stream(0)
    begun = take(first, cut)
    second.restore(first.position())
    first.close()
    assert begun + take(second, 10) == take(stream(0), cut + 10)


def test_what_prepare_refuses_is_damage_and_what_breaks_it_is_not() -> None:
    def refuse(drawn: Drawn) -> int:
        if drawn.place == 2:
            raise ConfigError("too long")
        return drawn.place

    stream = SampleStream(make_sources([4]), refuse, damage=Damage(5))
    assert sorted(islice(stream, 3)) == [0, 1, 3]

    def broken(drawn: Drawn) -> int:
        raise ZeroDivisionError

    for workers in (0, 1):
        with pytest.raises(ZeroDivisionError):
            next(SampleStream(make_sources([4]), broken, damage=Damage(5), workers=workers))


# --- what is refused


def test_a_position_of_something_else_is_refused() -> None:
    position = SampleStream(make_sources([4]), same, seed=1).position()
    with pytest.raises(TrainingError, match="seed 2"):
        SampleStream(make_sources([4]), same, seed=2).restore(position)
    with pytest.raises(TrainingError, match="shard 0 of 2"):
        SampleStream(make_sources([4]), same, seed=1, shards=2).restore(position)
    with pytest.raises(TrainingError, match="samples have changed"):
        SampleStream(make_sources([5]), same, seed=1).restore(position)
    with pytest.raises(TrainingError, match="Expected the position"):
        SampleStream(make_sources([4]), same, seed=1).restore({"draws": 3})


def test_a_position_among_as_many_other_samples_is_refused(tmp_path: Path) -> None:
    samples = [walk_sample(number) for number in range(12)]
    write_samples(tmp_path / "walks", samples)
    position = SampleStream([SourceConfig(folder=tmp_path / "walks").open()], same).position()
    with SampleWriter(tmp_path / "moved" / "walks", samples_per_shard=5) as writer:
        writer.add_all(samples)
    moved = SourceConfig(folder=tmp_path / "moved" / "walks").open()
    with pytest.raises(TrainingError, match=r"samples of walks are as many .*, but not the same, or in other shards"):
        SampleStream([moved], same).restore(position)
    shard = tmp_path / "walks" / "samples-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-9])  # damage keeps its places
    SampleStream([SourceConfig(folder=tmp_path / "walks").open()], same).restore(position)


def test_shards_that_are_not_equally_far_cannot_be_joined() -> None:
    streams = [SampleStream(make_sources([4]), same, shard=shard, shards=2) for shard in range(2)]
    take(streams[0], 2)
    with pytest.raises(TrainingError, match="equally far"):
        join_positions([stream.position() for stream in streams])
    with pytest.raises(TrainingError, match="all shards"):
        join_positions([streams[0].position()])
    with pytest.raises(TrainingError, match="all shards"):
        join_positions([])


@pytest.mark.parametrize(
    "wrong", [{"shard": 2, "shards": 2}, {"shards": 0}, {"workers": -1}, {"mixed": 0}, {"seed": -1}], ids=lambda each: str(each)
)
def test_impossible_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="Expected 0 <= shard"):
        SampleStream(make_sources([4]), same, **wrong)


def test_impossible_sources_are_refused() -> None:
    with pytest.raises(ConfigError, match="different names"):
        SampleStream([*make_sources([4]), *make_sources([4])], same)
    with pytest.raises(ConfigError, match="to have samples"):
        Source.of([], name="none")
    with pytest.raises(ConfigError, match="add up"):
        Source(name="odd", count=1, read=lambda place, rng: make_sample("a"), blocks=(2,))
    for weight in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="weights above 0"):
            SampleStream(make_sources([4], [weight]), same)
    with pytest.raises(ConfigError, match="sources with weights"):
        SampleStream([], same)

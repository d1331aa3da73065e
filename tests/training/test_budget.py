"""Packs that fill their budget, lose nothing, and go on exactly where they stopped."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bagel_world.episodes.damage import Damage
from bagel_world.errors import ConfigError, RecordingError, TrainingError
from bagel_world.training.data.budget import PackConfig, Packer, best_fill, fits
from bagel_world.training.data.stream import Drawn, SampleStream
from tests.training.test_stream import make_sources


@dataclass(frozen=True)
class Stick:
    number: int
    tokens: int


def make_packer(sizes: Sequence[int], config: PackConfig, seed: int = 0, workers: int = 0, skip: int = 0) -> Packer[Stick]:
    """Packs of two sources; the length of a draw depends on its number alone."""

    def prepare(drawn: Drawn) -> Stick:
        return Stick(drawn.number, sizes[drawn.number % len(sizes)])

    checked = fits(prepare, config, lambda drawn: drawn.sample.sample_id)
    return Packer(SampleStream(make_sources([5, 3]), checked, seed=seed, workers=workers, damage=Damage(skip)), config)


quick = settings(max_examples=60, deadline=None, derandomize=True)
lists_of_lengths = st.lists(st.integers(1, 12), min_size=1, max_size=8)


@quick
@given(lengths=lists_of_lengths, budget=st.integers(1, 40))
def test_best_fill_is_as_good_as_trying_everything(lengths: list[int], budget: int) -> None:
    if lengths[0] > budget:
        with pytest.raises(ConfigError, match="at most"):
            best_fill(lengths, budget)
        return
    rest = range(1, len(lengths))
    choices = [(0, *each) for count in range(len(lengths)) for each in itertools.combinations(rest, count)]
    most = max(total for each in choices if (total := sum(lengths[place] for place in each)) <= budget)
    chosen = best_fill(lengths, budget)
    assert chosen[0] == 0
    assert chosen == sorted(set(chosen))
    assert sum(lengths[place] for place in chosen) == most


def test_of_equal_choices_the_older_is_taken() -> None:
    assert best_fill([2, 3, 3, 3], 5) == [0, 1]
    assert best_fill([2, 4, 1, 5, 5], 7) == [0, 1, 2]


@quick
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=9),
    look_ahead=st.integers(0, 6),
    cuts=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    workers=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_a_restored_packer_gives_the_very_next_packs(
    sizes: list[int], look_ahead: int, cuts: list[int], workers: list[int], seed: int
) -> None:
    config = PackConfig(tokens=40, look_ahead=look_ahead)
    whole = list(islice(make_packer(sizes, config, seed), sum(cuts)))
    found: list[list[Stick]] = []
    position = None
    for cut, threads in zip(cuts, workers, strict=False):
        packer = make_packer(sizes, config, seed, threads)
        if position is not None:
            packer.restore(json.loads(position))
        found += islice(packer, cut)
        position = json.dumps(packer.position())
    assert found == whole


@quick
@given(sizes=st.lists(st.integers(1, 60), min_size=2, max_size=9).filter(lambda sizes: min(sizes) <= 40), seed=st.integers(0, 99))
def test_damage_is_counted_once_however_often_a_packer_goes_on(sizes: list[int], seed: int) -> None:
    config = PackConfig(tokens=40, look_ahead=3)
    whole = make_packer(sizes, config, seed, skip=10_000)
    packs = list(islice(whole, 6))
    parted = make_packer(sizes, config, seed, skip=10_000)
    found = list(islice(parted, 3))
    position = parted.position()
    parted = make_packer(sizes, config, seed, skip=10_000)
    parted.restore(position)
    found += islice(parted, 3)
    assert found == packs
    assert parted.position() == whole.position()


@quick
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=9), look_ahead=st.integers(0, 8))
def test_nothing_is_lost_or_used_twice_and_nothing_waits_for_long(sizes: list[int], look_ahead: int) -> None:
    packs = list(islice(make_packer(sizes, PackConfig(tokens=40, look_ahead=look_ahead)), 30))
    assert all(sum(each.tokens for each in pack) <= 40 for pack in packs)
    used = Counter(each.number for pack in packs for each in pack)
    assert set(used.values()) == {1}
    first = [min(each.number for each in pack) for pack in packs]
    assert first == sorted(first), "the oldest that waits opens every pack"
    assert set(range(first[-1])) <= set(used)


def test_a_mixed_set_of_short_samples_fills_97_percent() -> None:
    """Walks of 3 to 9 frames of 18 tokens, questions, captions with a picture, edits of native sizes."""
    rng = np.random.default_rng(0)
    walks = rng.integers(3, 10, 400) * 40 - 18
    questions = 18 + rng.integers(8, 60, 200)
    captions = rng.integers(6, 80, 200) + (rng.integers(2, 9, 200) * rng.integers(2, 9, 200) + 2)
    edits = rng.integers(120, 900, 100)
    sizes = [int(each) for each in rng.permutation(np.concatenate([walks, questions, captions, edits]))]
    for tokens in (1024, 4096):
        packs = list(islice(make_packer(sizes, PackConfig(tokens=tokens)), 200))
        fill = sum(each.tokens for pack in packs for each in pack) / (200 * tokens)
        assert fill >= 0.995, tokens


def test_a_sample_longer_than_a_pack_is_damage_in_clear_words() -> None:
    packer = make_packer([3, 50], PackConfig(tokens=40, look_ahead=2))
    with pytest.raises(RecordingError, match=r"Sample '.*' cannot be packed: it has 50 tokens, a pack holds 40\. Cut it"):
        next(packer)
    pack = next(make_packer([3, 50], PackConfig(tokens=40, look_ahead=2), skip=1000))
    assert {each.tokens for each in pack} == {3}


def test_a_foreign_position_is_refused() -> None:
    with pytest.raises(TrainingError, match="position of a packer"):
        make_packer([3], PackConfig()).restore({"seed": 3})

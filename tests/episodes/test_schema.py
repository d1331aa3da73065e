from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bagel_world.episodes.schema import SCHEMA, decode_png, encode_png, from_row, to_row
from bagel_world.errors import RecordingError
from bagel_world.types import Action, Episode

MakeEpisode = Callable[..., Episode]
Compare = Callable[[Episode, Episode], None]


@settings(max_examples=50, deadline=None)
@given(frame=st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda hw: arrays(np.uint8, (*hw, 3))))
def test_png_keeps_every_pixel_value(frame: np.ndarray) -> None:
    decoded = decode_png(encode_png(frame))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, frame)


def test_a_row_has_the_columns_of_the_schema(make_episode: MakeEpisode) -> None:
    assert list(to_row(make_episode(0))) == SCHEMA.names


def test_a_row_gives_the_episode_back(make_episode: MakeEpisode, assert_same_episode: Compare) -> None:
    episode = make_episode(7)
    assert_same_episode(from_row(to_row(episode)), episode)


def test_what_nobody_knows_stays_unknown(assert_same_episode: Compare) -> None:
    bare = Episode(frames=np.zeros((2, 4, 4, 3), np.uint8), actions=(Action(text="Dance"),), metadata={"episode_id": "bare"})
    row = to_row(bare)
    assert (row["poses"], row["visible"], row["thoughts"], row["seed"], row["split"]) == (None,) * 5
    assert_same_episode(from_row(row), bare)


@pytest.mark.parametrize("metadata", [{}, {"episode_id": 3}])
def test_an_episode_without_a_name_is_refused(make_episode: MakeEpisode, metadata: dict[str, object]) -> None:
    nameless = dataclasses.replace(make_episode(0), metadata=metadata)
    with pytest.raises(RecordingError, match='"episode_id"'):
        to_row(nameless)


@pytest.mark.parametrize("value", [float("nan"), np.zeros(2), {1, 2}])
def test_metadata_that_is_not_json_is_refused(make_episode: MakeEpisode, value: object) -> None:
    odd = dataclasses.replace(make_episode(0), metadata={"episode_id": "odd", "value": value})
    with pytest.raises(RecordingError, match="odd has metadata that is not JSON"):
        to_row(odd)


def test_unreadable_frames_are_refused() -> None:
    with pytest.raises(RecordingError, match="bytes of a PNG frame, got 9 unreadable bytes"):
        decode_png(b"not a png")


def test_columns_that_do_not_fit_together_are_refused(make_episode: MakeEpisode) -> None:
    row = to_row(make_episode(0))
    with pytest.raises(RecordingError, match="'episode-0' does not fit together"):
        from_row({**row, "poses": row["poses"][:-1]})

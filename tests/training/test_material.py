from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bagel_world.episodes.damage import Damage
from bagel_world.errors import RecordingError
from bagel_world.training.data.material import gather_pictures, gather_texts
from bagel_world.training.data.sources import SourceConfig
from tests.episodes.drawn import picture


@pytest.fixture
def source(tmp_path: Path) -> SourceConfig:
    """Captions of pictures of several shapes, two of five damaged."""
    images = [picture(0, (32, 32)), b"nothing", picture(1, (48, 16)), b"", picture(2, (16, 64))]
    captions = [json.dumps({"0": f"Picture {number}"}) for number in range(len(images))]
    (tmp_path / "captions").mkdir()
    pq.write_table(pa.table({"image": images, "captions": captions}), tmp_path / "captions" / "a.parquet")
    return SourceConfig(folder=tmp_path / "captions")


def test_damage_within_the_limit_is_left_out_and_pictures_are_their_centers(source: SourceConfig, tmp_path: Path) -> None:
    damage = Damage(2)
    found = gather_pictures([source], (16, 16), tmp_path / "cache", damage=damage)
    assert found.frames.shape == (3, 16, 16, 3)
    assert damage.places == {"captions": {1, 3}}
    sample = source.open().read(2, np.random.default_rng(0))
    assert np.array_equal(found.frames[1], next(iter(sample.images)).frame()[:, 16:32])
    assert gather_texts([source]) == ["Picture 0", "Picture 2", "Picture 4"]


def test_pictures_are_decoded_again_where_the_files_are_others(source: SourceConfig, tmp_path: Path) -> None:
    first = gather_pictures([source], (16, 16), tmp_path / "cache", damage=Damage(2))
    images = [picture(number, (32, 40)) for number in range(5)]
    captions = [json.dumps({"0": "Another"})] * 5
    pq.write_table(pa.table({"image": images, "captions": captions}), source.folder / "a.parquet")
    second = gather_pictures([source], (16, 16), tmp_path / "cache", damage=Damage(0))
    assert len(second.frames) == 5
    assert first.identity != second.identity


def test_too_much_damage_ends_the_run_before_anything_is_learned(source: SourceConfig, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="2 samples are damaged, 1 may be skipped"):
        gather_pictures([source], (16, 16), tmp_path / "cache", damage=Damage(1))
    assert not list(tmp_path.glob("cache/*"))

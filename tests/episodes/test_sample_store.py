"""Samples on disk: rows, shards, manifest, folders, and damage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bagel_world.episodes import sample_writer
from bagel_world.episodes.damage import Damage
from bagel_world.episodes.sample_check import check_samples
from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.episodes.sample_manifest import SAMPLE_MANIFEST_NAME, read_sample_manifest, write_sample_manifest
from bagel_world.episodes.sample_schema import SAMPLE_SCHEMA, from_sample_row, to_sample_row
from bagel_world.episodes.sample_shards import sample_shard_paths, write_sample_shard
from bagel_world.episodes.sample_writer import SampleWriter, write_samples
from bagel_world.episodes.samples import ImagePart, Sample, TextPart
from bagel_world.errors import ConfigError, RecordingError
from tests.episodes.drawn import picture, walk_sample


def write(folder: Path, count: int = 7, size: int = 3) -> list[Sample]:
    samples = [walk_sample(number) for number in range(count)]
    with SampleWriter(folder, samples_per_shard=size, command="test", settings={"size": size}) as writer:
        writer.add_all(samples)
    return samples


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)


def test_a_row_gives_the_sample_back() -> None:
    sample = walk_sample(4)
    row = to_sample_row(sample)
    assert list(row) == SAMPLE_SCHEMA.names
    assert from_sample_row(row) == sample
    assert from_sample_row(pa.Table.from_pylist([row], schema=SAMPLE_SCHEMA).to_pylist()[0]) == sample


def test_a_row_with_fields_of_the_other_kind_is_refused() -> None:
    row = to_sample_row(walk_sample())
    row["parts"][1]["vae"] = True
    with pytest.raises(RecordingError, match=r"part 1 \(text\), vae"):
        from_sample_row(row)


def test_metadata_that_is_not_json_is_refused() -> None:
    sample = walk_sample().model_copy(update={"metadata": {"a": float("nan")}})
    with pytest.raises(RecordingError, match="not JSON"):
        to_sample_row(sample)
    with pytest.raises(RecordingError, match="expected JSON"):
        from_sample_row({**to_sample_row(walk_sample()), "metadata": "{"})


def test_a_folder_gives_its_samples_back_in_order(tmp_path: Path) -> None:
    samples = write(tmp_path)
    folder = SampleFolder(tmp_path)
    assert [path.name for path in sample_shard_paths(tmp_path)] == [f"samples-{number:05d}.parquet" for number in range(3)]
    assert list(folder.read()) == samples
    assert [folder[place] for place in (6, 0, 3, -1)] == [samples[place] for place in (6, 0, 3, -1)]
    assert folder[2:5] == samples[2:5]
    for place in (7, -8):
        with pytest.raises(IndexError, match=r"0\.\.6"):
            folder[place]
    assert not list(tmp_path.glob(".unfinished*"))


def test_the_manifest_tells_what_is_there(tmp_path: Path) -> None:
    with SampleWriter(tmp_path, samples_per_shard=2, command="c", packages={"av": "1"}) as writer:
        for number, license in enumerate(("MIT", "MIT", "CC0-1.0")):
            writer.add(walk_sample(number, license=license))
        writer.add(walk_sample(9, split="test", source="other"))
    manifest = read_sample_manifest(tmp_path)
    assert manifest is not None
    assert (manifest.command, manifest.packages, manifest.samples) == ("c", {"av": "1"}, 4)
    assert manifest.sources == {"tests": "MIT; CC0-1.0", "other": "CC0-1.0"}
    assert [(shard.split, shard.samples) for shard in manifest.shards] == [("train", 2), ("train", 1), ("test", 1)]
    assert [shard.bytes for shard in manifest.shards] == [path.stat().st_size for path in sample_shard_paths(tmp_path)]


def test_a_license_of_several_parts_is_told_once(tmp_path: Path) -> None:
    with SampleWriter(tmp_path, samples_per_shard=2) as writer:
        for number, license in enumerate(("MIT (its file; the field says Apache)", "CC0-1.0; MIT") * 2):
            writer.add(walk_sample(number, license=license))
    assert writer.manifest.sources == {"tests": "MIT (its file; the field says Apache); CC0-1.0; MIT"}


def test_splits_are_kept_apart(tmp_path: Path) -> None:
    samples = [walk_sample(number, split="test" if number % 3 == 0 else "train") for number in range(8)]
    write_samples(tmp_path, samples)
    assert [each.sample_id for each in SampleFolder(tmp_path, split="test")] == ["walk-0", "walk-3", "walk-6"]
    assert len(SampleFolder(tmp_path, split="train")) == 5
    with pytest.raises(RecordingError, match="it has test, train"):
        SampleFolder(tmp_path, split="validation")


@pytest.mark.parametrize("listed", [True, False])
def test_a_folder_without_manifest_counts_itself(tmp_path: Path, listed: bool) -> None:
    samples = write(tmp_path)
    if not listed:
        (tmp_path / SAMPLE_MANIFEST_NAME).unlink()
    assert list(SampleFolder(tmp_path, split="train").read()) == samples


def test_a_shard_that_the_manifest_forgot_keeps_its_place(tmp_path: Path) -> None:
    """A process that is killed between a shard and its manifest leaves one unlisted."""
    samples = write(tmp_path)
    manifest = read_sample_manifest(tmp_path)
    assert manifest is not None
    first, _, last = manifest.shards
    write_sample_manifest(tmp_path, manifest.model_copy(update={"shards": (first, last)}))
    assert list(SampleFolder(tmp_path).read()) == samples


def test_a_second_writer_is_refused_unless_it_appends(tmp_path: Path) -> None:
    samples = write(tmp_path)
    with pytest.raises(RecordingError, match="holds 3 shards of samples already"):
        SampleWriter(tmp_path)
    more = [walk_sample(number, source="more", license="MIT") for number in range(20, 22)]
    manifest = write_samples(tmp_path, more, append=True)
    assert list(SampleFolder(tmp_path).read()) == samples + more
    assert (manifest.command, manifest.samples, manifest.sources) == ("test", 9, {"tests": "CC0-1.0", "more": "MIT"})


def test_a_folder_that_lost_a_shard_is_not_written_to(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "samples-00001.parquet").unlink()
    with pytest.raises(RecordingError, match=r"has lost samples-00001\.parquet"):
        write_samples(tmp_path, [walk_sample(30)], append=True)


def test_a_manifest_with_a_shard_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    facts = json.loads((tmp_path / "samples.json").read_text())
    (tmp_path / "samples.json").write_text(json.dumps({**facts, "shards": facts["shards"][:1] * 2}))
    with pytest.raises(RecordingError, match=r"shards of the same name: samples-00000\.parquet"):
        SampleFolder(tmp_path)


def test_shards_end_when_their_images_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_writer, "BYTES_PER_SHARD", 2 * sum(len(each.image) for each in walk_sample().images) - 50)
    manifest = write_samples(tmp_path, [walk_sample(number) for number in range(5)])
    assert [shard.samples for shard in manifest.shards] == [2, 2, 1]


def test_an_error_while_writing_leaves_finished_shards_alone(tmp_path: Path) -> None:
    def break_down() -> Iterator[Sample]:
        yield from (walk_sample(number) for number in range(3))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), SampleWriter(tmp_path, samples_per_shard=2) as writer:
        writer.add_all(break_down())
    assert len(SampleFolder(tmp_path)) == 2
    assert not check_samples(SampleFolder(tmp_path)).fine
    with pytest.raises(RecordingError, match="1 shards of samples of a command that was broken off"):
        SampleWriter(tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RecordingError, match="Could not write"):
        write_sample_shard(blocked / "samples-00000.parquet", [walk_sample()])


# --- damage


def test_a_flipped_bit_anywhere_in_the_pages_is_found(tmp_path: Path) -> None:
    write(tmp_path, count=1)
    (path,) = sample_shard_paths(tmp_path)
    data = path.read_bytes()
    for part in walk_sample().images:
        flip(path, data.index(part.image) + len(part.image) // 2)
        with pytest.raises(RecordingError, match=r"samples-00000\.parquet .*damaged"):
            SampleFolder(tmp_path)[0]
        path.write_bytes(data)
    assert SampleFolder(tmp_path)[0] == walk_sample()


@pytest.mark.parametrize("break_it", ["cut", "missing", "empty", "foreign"])
def test_a_damaged_shard_keeps_its_places_and_is_skipped(tmp_path: Path, break_it: str) -> None:
    samples = write(tmp_path)
    path = sample_shard_paths(tmp_path)[1]
    if break_it == "missing":
        path.unlink()
    elif break_it == "foreign":
        pq.write_table(pa.table({"a": [1]}), path)
    else:
        path.write_bytes(path.read_bytes()[: 500 if break_it == "cut" else 0])
    folder = SampleFolder(tmp_path)
    assert len(folder) == 7
    assert folder[6] == samples[6]
    with pytest.raises(RecordingError, match=r"samples-00001\.parquet"):
        list(folder.read())
    damage = Damage(3)
    assert list(folder.read(damage)) == samples[:3] + samples[6:]
    assert damage.places == {tmp_path.name: {3, 4, 5}}
    assert all("samples-00001.parquet" in message for message in damage.messages)
    with pytest.raises(RecordingError, match="3 samples are damaged, 2 may be skipped"):
        list(folder.read(Damage(2)))


def test_a_damaged_shard_that_nobody_listed_is_reported(tmp_path: Path) -> None:
    samples = write(tmp_path)
    (tmp_path / SAMPLE_MANIFEST_NAME).unlink()
    sample_shard_paths(tmp_path)[0].write_bytes(b"PAR1")
    folder = SampleFolder(tmp_path)
    assert list(folder.read()) == samples[3:]
    assert len(folder.unlisted_damage) == 1
    assert "samples-00000.parquet is damaged" in folder.unlisted_damage[0]


def test_a_bad_sample_in_a_good_shard_is_named(tmp_path: Path) -> None:
    write(tmp_path, count=2)
    (path,) = sample_shard_paths(tmp_path)
    rows = pq.read_table(path).to_pylist()
    rows[1]["parts"][2]["time"] = -3.0
    with pq.ParquetWriter(path, SAMPLE_SCHEMA) as writer:
        for row in rows:
            writer.write_table(pa.Table.from_pylist([row], schema=SAMPLE_SCHEMA))
    (tmp_path / SAMPLE_MANIFEST_NAME).unlink()
    folder = SampleFolder(tmp_path)
    assert folder[0] == walk_sample(0)
    with pytest.raises(
        RecordingError, match=r"samples-00000.parquet, row 1: Sample 'walk-1' .* part 2 \(image\): expected a time"
    ):
        folder[1]


@pytest.mark.parametrize("missing", SAMPLE_SCHEMA.names)
def test_missing_columns_are_named(tmp_path: Path, missing: str) -> None:
    table = pa.Table.from_pylist([to_sample_row(walk_sample())], schema=SAMPLE_SCHEMA)
    pq.write_table(table.drop_columns([missing]), tmp_path / "samples-00000.parquet")
    with pytest.raises(RecordingError, match=rf"lacks the columns {missing}"):
        SampleFolder(tmp_path)


def test_columns_of_another_type_or_version_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([to_sample_row(walk_sample())], schema=SAMPLE_SCHEMA)
    path = tmp_path / "samples-00000.parquet"
    pq.write_table(table.set_column(3, "split", pa.array([1])), path)
    with pytest.raises(RecordingError, match="split: int64"):
        SampleFolder(tmp_path)
    pq.write_table(table.replace_schema_metadata({"bagel_world.samples": "2"}), path)
    with pytest.raises(RecordingError, match=r"version 2.*Update"):
        SampleFolder(tmp_path)


def test_empty_folders_and_foreign_manifests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="found none"):
        SampleFolder(tmp_path)
    (tmp_path / SAMPLE_MANIFEST_NAME).write_text(json.dumps({"format": "something/1"}))
    with pytest.raises(RecordingError, match="manifest of samples"):
        SampleFolder(tmp_path)
    with pytest.raises(ConfigError, match="at least 0"):
        Damage(-1)
    with pytest.raises(ConfigError, match="at least one sample per shard"):
        SampleWriter(tmp_path / "new", samples_per_shard=0)


# --- the check


def test_a_check_counts_everything(tmp_path: Path) -> None:
    write(tmp_path, count=4)
    check = check_samples(SampleFolder(tmp_path))
    assert check.fine
    assert (check.samples, check.losses, check.damaged) == (4, 4, 0)
    assert dict(check.parts) == {
        "image (vae + vit)": 4,
        "text (action)": 8,
        "image (vae + vit + target)": 4,
        "text (thought)": 4,
        "image (target)": 4,
    }
    assert dict(check.sizes) == {(16, 12): 12}
    assert dict(check.sources) == {("tests", "CC0-1.0"): 4}
    assert check.longest_text == len("<think>Zurück?</think>Look left")


def test_a_check_finds_damaged_pictures_shards_and_names_that_come_twice(tmp_path: Path) -> None:
    whole = picture(5, (40, 40))
    parts: tuple[Any, ...] = (TextPart(text="a duck", role="caption"), ImagePart(image=whole[:-900], target=True))
    broken = walk_sample(3).model_copy(update={"sample_id": "broken", "parts": parts})
    with SampleWriter(tmp_path, samples_per_shard=3) as writer:
        writer.add_all((walk_sample(0), broken, walk_sample(1), walk_sample(0), walk_sample(2)))
    check = check_samples(SampleFolder(tmp_path))
    assert (check.samples, check.damaged, check.twice, check.fine) == (4, 1, 1, False)
    assert [message for message in check.findings if "Sample 'broken' cannot be used: part 1 (image)" in message]
    assert [message for message in check.findings if "'walk-0' of 'tests' comes more than once" in message]
    sample_shard_paths(tmp_path)[1].unlink()
    check = check_samples(SampleFolder(tmp_path))
    assert (check.samples, check.damaged, check.twice) == (2, 3, 0)

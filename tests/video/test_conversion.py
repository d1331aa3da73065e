from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bagel_world.episodes.sample_check import check_samples
from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.episodes.samples import Sample
from bagel_world.errors import RecordingError
from bagel_world.video.captions import Captioner, Change, SidecarCaptioner, TemplateCaptioner
from bagel_world.video.config import FootageConfig, FrameConfig
from bagel_world.video.conversion import Conversion
from bagel_world.video.report import Report, write_report
from bagel_world.video.sources import find_sources
from tests.video.films import black, pan, write_film

CONFIG = FootageConfig(frames=FrameConfig(size=64), license="CC0-1.0", source="test films")


def convert(
    folder: Path,
    out: Path,
    config: FootageConfig = CONFIG,
    captioner: Captioner | None = None,
    *,
    workers: int = 1,
    per_shard: int = 2,
) -> Report:
    conversion = Conversion(out, config, captioner or TemplateCaptioner(), workers=workers, samples_per_shard=per_shard)
    return conversion.run(find_sources([folder]))


def samples_in(out: Path) -> list[Sample]:
    return list(SampleFolder(out))


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a conversion but the list of shards, which may come in other pieces."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.parquet"))}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good films, copies and everything that can be wrong with one."""
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "a.mp4", [*pan(0, 48), *pan(1, 48), *black(12), *pan(2, 60)])
    write_film(folder / "b_worse_copy.mp4", pan(1, 48), crf=30)
    shutil.copy(folder / "a.mp4", folder / "c_same_file.mp4")
    write_film(folder / "d.mkv", [*pan(3, 40), *pan(4, 10), *pan(5, 40)])
    (folder / "e_broken.mp4").write_bytes(b"no film")
    write_film(folder / "f_single.mp4", pan(6, 1))
    small = write_film(folder / "g_sizes.h264", pan(7, 36))
    small.write_bytes(small.read_bytes() + write_film(folder / "g2.h264", pan(8, 36, size=(200, 120))).read_bytes())
    (folder / "g2.h264").unlink()
    whole = write_film(folder / "h_truncated.mp4", pan(9, 240), options={"movflags": "faststart"})
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (folder / "i_images").mkdir()
    for place, frame in enumerate(pan(10, 24)):
        Image.fromarray(frame).save(folder / "i_images" / f"{place}.png")
    (folder / "i_images" / "7.png").write_bytes(b"damaged")
    Image.new("RGB", (20_000, 2)).save(folder / "i_images" / "24.png")
    (folder / "j_dots").mkdir()
    for place in range(12):
        Image.new("RGB", (1, 1), (20 * place, 100, 100)).save(folder / "j_dots" / f"{place}.png")
    (folder / "notes.txt").write_text("not a film")
    return folder


@pytest.fixture(scope="module")
def whole(films: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """The films, converted without a break."""
    out = tmp_path_factory.mktemp("whole")
    return out, convert(films, out)


def test_good_films_become_samples_and_bad_ones_sentences(whole: tuple[Path, Report]) -> None:
    out, report = whole
    by_film: dict[str, int] = {}
    for sample in samples_in(out):
        name = Path(str(sample.metadata["film"])).name
        by_film[name] = by_film.get(name, 0) + 1
        assert sample.license == "CC0-1.0"
        assert sample.source == "test films"
        assert len(sample.images) == len(sample.texts) + 1 >= 2
        assert all(side % 16 == 0 and side <= 64 for image in sample.images for side in image.size)
    assert by_film == {"a.mp4": 3, "d.mkv": 2, "g_sizes.h264": 2, "h_truncated.mp4": 1, "i_images": 1}
    said = {Path(film).name: sentence for film, sentence in report.problems}
    assert "cannot be opened as a film" in said["e_broken.mp4"]
    assert "single picture" in said["f_single.mp4"]
    assert "breaks off after" in said["h_truncated.mp4"]
    assert "same file as" in said["c_same_file.mp4"]
    images = [sentence for film, sentence in report.problems if film.endswith("i_images")]
    assert [sentence.split()[0] for sentence in images] == ["7.png", "24.png"]
    assert "20000 x 2" in images[1]


def test_the_report_leaves_nothing_out(whole: tuple[Path, Report]) -> None:
    out, report = whole
    assert report.films == {
        "found": 10,
        "read": 7,
        "failed": 2,
        "same file": 1,
        "empty folders": 0,
        "other files": 1,
    }
    pictures, clips = dict(report.pictures), dict(report.clips)
    assert pictures.pop("decoded") == sum(pictures.values())
    assert pictures["duplicate"] == 48
    assert pictures["short"] == 10
    assert pictures["small"] == 12
    assert pictures["black"] == 12
    assert clips.pop("found") == clips["kept"] + clips["short"] + clips["small"] + clips["duplicate"]
    assert (clips["duplicate"], clips["short"], clips["kept"]) == (1, 1, 9)
    assert clips["small"] >= 1
    samples = samples_in(out)
    assert report.samples["written"] == len(samples) == 9
    assert report.samples["images"] == sum(len(sample.images) for sample in samples)
    assert report.samples["texts"] == sum(len(sample.texts) for sample in samples)
    assert sum(row.samples for row in report.per_film) == 9
    path = write_report(out, report)
    assert Report.model_validate_json(path.read_text()) == report


def test_neither_workers_nor_a_second_run_change_anything(films: Path, whole: tuple[Path, Report], tmp_path: Path) -> None:
    out, report = whole
    assert convert(films, tmp_path, workers=4) == report
    assert contents(tmp_path) == contents(out)
    assert convert(films, tmp_path) == report
    assert contents(tmp_path) == contents(out)


class BreaksOff(Exception):
    """Somebody pulled the plug."""


class Mortal(TemplateCaptioner):
    """Captions so many changes, then breaks off."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self.lives = lives

    def caption(self, change: Change) -> str:
        self.lives -= 1
        if self.lives < 0:
            raise BreaksOff
        return super().caption(change)


@pytest.mark.parametrize("lives", [0, 1, 2, 4, 6, 8])
def test_what_was_broken_off_goes_on(films: Path, whole: tuple[Path, Report], tmp_path: Path, lives: int) -> None:
    out, report = whole
    with pytest.raises(BreaksOff):
        convert(films, tmp_path, captioner=Mortal(lives))
    assert convert(films, tmp_path) == report
    assert [sample.model_dump() for sample in samples_in(tmp_path)] == [sample.model_dump() for sample in samples_in(out)]


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_shard_that_the_journal_does_not_know_is_not_written_twice(
    films: Path, whole: tuple[Path, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    import bagel_world.video.conversion as module

    written = 0
    write = module.write_journal

    def unlucky(*arguments: object) -> None:
        nonlocal written
        written += 1
        if written == moment:
            raise BreaksOff
        write(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(module, "write_journal", unlucky)
    with pytest.raises(BreaksOff):
        convert(films, tmp_path)
    assert convert(films, tmp_path) == whole[1]
    assert [sample.sample_id for sample in samples_in(tmp_path)] == [sample.sample_id for sample in samples_in(whole[0])]


def test_done_films_are_not_opened_again(films: Path, whole: tuple[Path, Report], monkeypatch: pytest.MonkeyPatch) -> None:
    import bagel_world.video.surveying as module

    opened: list[str] = []
    read = module.read_pictures
    monkeypatch.setattr(module, "read_pictures", lambda source, **more: opened.append(source.path.name) or read(source, **more))
    convert(films, whole[0])
    assert opened == ["e_broken.mp4"]


def test_films_can_be_added(tmp_path: Path) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    write_film(films / "b.mp4", pan(20, 48))
    assert convert(films, out).samples["written"] == 1
    write_film(films / "a.mp4", pan(21, 48))
    write_film(films / "c.mp4", pan(20, 48), crf=28)
    report = convert(films, out)
    assert [Path(row.film).name for row in report.per_film] == ["b.mp4", "a.mp4", "c.mp4"]
    assert report.samples["written"] == len(samples_in(out)) == 2
    assert report.clips["duplicate"] == 1


def test_another_seed_takes_other_frames(films: Path, whole: tuple[Path, Report], tmp_path: Path) -> None:
    other = CONFIG.model_copy(update={"frames": CONFIG.frames.model_copy(update={"seed": 1})})
    report = convert(films, tmp_path, other)
    assert report.clips == whole[1].clips
    assert [sample.sample_id for sample in samples_in(tmp_path)] != [sample.sample_id for sample in samples_in(whole[0])]


def test_other_settings_do_not_mix(films: Path, whole: tuple[Path, Report]) -> None:
    other = CONFIG.model_copy(update={"frames": CONFIG.frames.model_copy(update={"frames": 6.0})})
    with pytest.raises(RecordingError, match=r"frames\.frames: 4\.0 there, 6\.0 asked for"):
        convert(films, whole[0], other)


def test_samples_of_something_else_are_left_alone(films: Path, whole: tuple[Path, Report], tmp_path: Path) -> None:
    shutil.copy(next(whole[0].glob("*.parquet")), tmp_path)
    with pytest.raises(RecordingError, match="something else"):
        convert(films, tmp_path)


def test_action_words_stand_between_the_frames_of_their_action(tmp_path: Path) -> None:
    """A film whose pictures say their number: before and after every action are exactly the right ones."""
    films, out = tmp_path / "films", tmp_path / "out"
    numbers = [np.full((64, 64, 3), 6 * place + 60, dtype=np.uint8) for place in range(30)]
    write_film(films / "walk.mp4", numbers, fps=4, crf=1)
    rows = [{"start": place / 4, "end": (place + 1) / 4, "text": f"from {place}"} for place in range(29) if place != 11]
    (films / "walk.json").write_text(json.dumps({"actions": rows, "license": "MIT"}))
    write_film(films / "without.mp4", pan(30, 30))
    config = FootageConfig.model_validate(
        {
            "clips": {"cuts": False, "frozen_seconds": None, "blur_limit": None},
            "frames": {"at_actions": True, "size": 64, "frames": 5},
        }
    )
    report = convert(films, out, config, SidecarCaptioner())
    assert [(Path(film).name, sentence[:28]) for film, sentence in report.problems] == [
        ("without.mp4", "There are no action words fo")
    ]
    steps = []
    for sample in samples_in(out):
        assert sample.license == "MIT"
        seen = [round((float(image.frame().mean()) - 60) / 6) for image in sample.images]
        steps += [(before, text.text, after) for before, text, after in zip(seen, sample.texts, seen[1:], strict=False)]
    assert steps == [(place, f"from {place}", place + 1) for place in range(29) if place != 11]


def test_words_that_were_corrected_do_not_stay_as_they_were(tmp_path: Path) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    write_film(films / "walk.mp4", pan(30, 30))
    words = films / "walk.csv"
    words.write_text("start,end,text\n0,1,Pan left\n")
    convert(films, out, captioner=SidecarCaptioner())
    convert(films, out, captioner=SidecarCaptioner())
    words.write_text("start,end,text\n0,1,Pan right\n")
    with pytest.raises(RecordingError, match=r"words beside .*walk\.mp4 have changed.*empty folder"):
        convert(films, out, captioner=SidecarCaptioner())


def test_a_table_without_rows_ends_nothing(tmp_path: Path) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    for name in ("a", "b"):
        write_film(films / f"{name}.mp4", pan(ord(name), 30))
    (films / "a.csv").write_text("start,end,text\n")
    (films / "b.csv").write_text("start,end,text\n0,1,Pan left\n")
    config = CONFIG.model_copy(update={"frames": FrameConfig(size=64, at_actions=True)})
    report = convert(films, out, config, SidecarCaptioner())
    assert report.samples["clips without actions"] == 1
    assert [text.text for sample in samples_in(out) for text in sample.texts] == ["Pan left"]


def test_files_beside_films_that_are_not_used_are_remarked(tmp_path: Path) -> None:
    films = tmp_path / "films"
    for name in ("a", "b", "c", "d"):
        write_film(films / f"{name}.mp4", pan(ord(name), 30))
    (films / "a.json").write_text('{"title": "of another tool"}')
    (films / "b.csv").write_text("start,end,text\n0,1,Pan left\n")
    (films / "c.json").write_text('{"license": "MIT", "actions": [{"start": 0, "text": "Pan"}]}')
    (films / "d.json").write_text('{"license": "CC0-1.0", "actions": []}')
    report = convert(films, tmp_path / "out")
    assert (report.films["read"], report.films["failed"]) == (4, 0)
    said = {Path(film).name: sentence for film, sentence in report.problems}
    assert said.keys() == {"a.mp4", "b.mp4", "c.mp4"}
    assert said["a.mp4"].startswith("The sidecar file a.json cannot be read")
    assert said["a.mp4"].endswith("It is not used.")
    assert "actions in b.csv are not used" in said["b.mp4"]
    assert "actions in c.json are not used" in said["c.mp4"]
    assert {sample.license for sample in samples_in(tmp_path / "out")} == {"CC0-1.0", "MIT"}


def test_actions_in_clips_that_are_copies_are_not_outside_of_clips(tmp_path: Path) -> None:
    films = tmp_path / "films"
    write_film(films / "a.mp4", pan(3, 48))
    write_film(films / "b.mp4", pan(3, 48), crf=30)
    for name in ("a", "b"):
        (films / f"{name}.csv").write_text("start,end,text\n0,0.5,Pan left\n0.5,1,Pan right\n90,91,Too late\n")
    config = CONFIG.model_copy(update={"frames": FrameConfig(size=64, at_actions=True)})
    report = convert(films, tmp_path / "out", config, SidecarCaptioner())
    assert report.clips["duplicate"] == 1
    assert report.samples["actions in duplicate clips"] == 2
    assert report.samples["actions outside clips"] == 2


@pytest.mark.parametrize("listed", [True, False])
def test_lost_shards_are_told_and_never_written_over(tmp_path: Path, listed: bool) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    for seed in range(3):
        write_film(films / f"{seed}.mp4", pan(seed, 30))
    convert(films, out)
    (out / "samples-00000.parquet").unlink()
    if not listed:
        (out / "samples.json").unlink()
    left = contents(out)
    write_film(films / "new.mp4", pan(8, 30))
    with pytest.raises(RecordingError, match="into an empty folder"):
        convert(films, out)
    assert contents(out) == left


def test_a_folder_is_unfinished_until_the_last_film(films: Path, tmp_path: Path) -> None:
    with pytest.raises(BreaksOff):
        convert(films, tmp_path, captioner=Mortal(16))
    assert "unfinished" in check_samples(SampleFolder(tmp_path)).findings[0]
    convert(films, tmp_path)
    assert check_samples(SampleFolder(tmp_path)).fine


def test_nothing_to_read_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    report = convert(tmp_path / "empty", tmp_path / "out")
    assert report.films["empty folders"] == 1
    assert report.samples["written"] == 0
    assert report.problems[0][1].startswith("There is no film or image in this folder")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.gif", "a.avi"])
def test_damaged_bytes_never_end_a_run(tmp_path: Path, name: str) -> None:
    random = np.random.default_rng(0)
    codec = {".gif": "gif", ".avi": "mpeg4"}.get(Path(name).suffix, "libx264")
    whole = write_film(tmp_path / name, pan(31, 30), codec=codec).read_bytes()
    films = tmp_path / "films"
    films.mkdir()
    for place in range(12):
        damaged = bytearray(whole)
        for at in random.integers(0, len(damaged), 2 ** (place % 6)):
            damaged[at] = random.integers(256)
        (films / f"{place}{Path(name).suffix}").write_bytes(damaged)
    report = convert(films, tmp_path / "out", workers=2)
    pictures = dict(report.pictures)
    assert report.films["read"] + report.films["failed"] + report.films["same file"] == 12
    assert pictures.pop("decoded") == sum(pictures.values())

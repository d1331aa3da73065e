"""What the measuring commands share: their options, a progress bar, and how a report is shown and kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bagel_world.episodes import EpisodeFolder, read_manifest
from bagel_world.errors import ConfigError, RecordingError
from bagel_world.evaluation.kinds import FootageKind, kind_of, kind_of_episode
from bagel_world.evaluation.report import Report, to_table, write_report
from bagel_world.evaluation.sheets import Strip, save_sheet
from bagel_world.evaluation.subject import Subject, Track

T = TypeVar("T")

CheckpointOption = Annotated[str, typer.Option(help='"nano", a folder in the published layout, a hub id, or "fake" (no model).')]
SamplingOption = Annotated[str | None, typer.Option(help="A sampling preset; the checkpoint's own where left out.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
SeedOption = Annotated[int, typer.Option(min=0, help="Decides which stretches of footage are used, and all noise.")]
DataOption = Annotated[Path, typer.Option(help="Folder of recorded episodes that the checkpoint was not trained on.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Where the JSON goes; by default a file in --out.")]


@contextmanager
def progress_bar() -> Iterator[Track]:
    """A progress bar on the error stream; gives what evaluations track their loops with."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def track(items: Sequence[T], what: str) -> Iterable[T]:
            return progress.track(items, description=what)

        yield track


def check_places(out: Path, json_path: Path | None = None) -> None:
    """Check that a report and its pictures will find a place, before anything is measured.

    Raises:
        RecordingError: one of them cannot be written.
    """
    if json_path is not None and json_path.is_dir():
        raise RecordingError(f"Expected --json to name a file, got the folder {json_path}.")
    for folder in (out, *(() if json_path is None else (json_path.parent,))):
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        try:
            with TemporaryFile(dir=there):  # nothing is left behind: the command may still refuse to begin
                pass
        except OSError as error:
            raise RecordingError(f"Cannot write to {folder}: {error}. Choose another place.") from error


def footage_notes(folder: Path) -> tuple[str, ...]:
    """A remark on footage that checkpoints are trained on."""
    manifest = read_manifest(folder)
    return () if manifest is None else split_notes([manifest.split])


def split_notes(splits: Iterable[str]) -> tuple[str, ...]:
    """A remark where the split that checkpoints are trained on is among these."""
    return ("This is of the split 'train': checkpoints may have learned it by heart.",) if "train" in splits else ()


def describe_footage(folder: Path, episodes: EpisodeFolder) -> str:
    """Folder, split and size of footage, for a report."""
    manifest = read_manifest(folder)
    split = "unknown split" if manifest is None else f"{manifest.split} split, seed {manifest.seed}"
    return f"{folder} ({split}, {len(episodes)} episodes)"


def kind_of_footage(folder: Path, episodes: EpisodeFolder) -> FootageKind:
    """Which simulator footage comes from: as its manifest says, or else its first episode."""
    manifest = read_manifest(folder)
    return kind_of_episode(episodes[0]) if manifest is None else kind_of(manifest.simulator)


def training_footage(folder: Path, data: Path, kind: FootageKind, subject: Subject, option: str) -> EpisodeFolder:
    """The footage that a referee learns from: of the same simulator and size as the test, but of another split.

    Raises:
        ConfigError: it is the footage of the test, of its split, of another simulator or of another size.
    """
    if folder.resolve() == data.resolve():
        raise ConfigError(f"Expected {option} to name other footage than the test, got {data} for both.")
    episodes = EpisodeFolder(folder)
    found = kind_of_footage(folder, episodes)
    if found.name != kind.name:
        raise ConfigError(f"Expected {option} to name footage of {kind.name}, as in {data}, got {found.name} in {folder}.")
    subject.check_footage(episodes[0].frames)
    ours, theirs = read_manifest(data), read_manifest(folder)
    if ours is not None and theirs is not None and (ours.simulator, ours.split) == (theirs.simulator, theirs.split):
        raise ConfigError(
            f"Expected {option} to name footage of another split than the test, got {ours.split!r} in {folder} too: they share "
            "scenes. Name footage of the train split."
        )
    return episodes


def finish(report: Report, out: Path, json_path: Path | None, name: str, sheets: Mapping[str, Sequence[Strip]] = {}) -> None:
    """Show the table, write JSON and pictures, say where they are; the figures first, as a picture may not find room."""
    console = Console(soft_wrap=True)
    console.print(to_table(report.rows, title=f"{report.checkpoint} ({report.checkpoint_hash[:12]})"))
    for note in report.notes:
        console.print(f"Note: {note}", markup=False, highlight=False)
    console.print(str(write_report(report, json_path or out / f"{name}.json")), markup=False, highlight=False)
    for sheet, strips in sheets.items():
        path = save_sheet(strips, out / f"{name}_{sheet}.png", title=f"{name}: {sheet}")
        console.print(str(path), markup=False, highlight=False)

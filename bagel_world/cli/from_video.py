"""`bagel-world data from-video`: films become samples to train on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from bagel_world.cli.claim import claim
from bagel_world.cli.command_line import command_line
from bagel_world.cli.working_folder import import_from_here
from bagel_world.errors import CapabilityError, ConfigError, RecordingError
from bagel_world.types import Frame
from bagel_world.video.captions import (
    MAX_ANSWER_TOKENS,
    QUESTION,
    TEMPLATES,
    Captioner,
    FunctionCaptioner,
    SidecarCaptioner,
    TemplateCaptioner,
)
from bagel_world.video.config import FootageConfig
from bagel_world.video.conversion import Conversion
from bagel_world.video.report import Report, write_report
from bagel_world.video.sheet import save_sheet
from bagel_world.video.sources import find_sources

_SHOWN_PROBLEMS = 12

_NOBODY = (
    "--captions ask needs a checkpoint that was taught to say what changed, got {got}. "
    "Name one, such as --checkpoint ByteDance-Seed/BAGEL-7B-MoT."
)

CLIPS, FRAMES, TEXTS, RUN = "Clips", "Frames", "Texts", "Run"


def from_video(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Films (mp4, mkv, webm, gif, ...), folders of images, folders of those.")],
    out: Annotated[Path, typer.Argument(help="Folder for the samples; a conversion in it that was broken off goes on.")],
    captions: Annotated[
        str,
        typer.Option(
            help="Text between frames: template, template:WORDS (fields {seconds}, {place}, ...), sidecar (walk.csv beside "
            "walk.mp4), ask (a checkpoint writes what changed), or your function as package.module:name, "
            "called with both frames.",
            rich_help_panel=TEXTS,
        ),
    ] = "template",
    checkpoint: Annotated[
        str | None,
        typer.Option(help="Who is asked: ByteDance-Seed/BAGEL-7B-MoT, or one taught by you.", rich_help_panel=TEXTS),
    ] = None,
    device: Annotated[str, typer.Option(help="Where it runs: auto, cpu, cuda, ...", rich_help_panel=TEXTS)] = "auto",
    text_loss: Annotated[bool, typer.Option(help="Let the model learn to say the texts too.", rich_help_panel=TEXTS)] = False,
    frames: Annotated[float, typer.Option(min=2, max=64, help="Frames per sample, on average.", rich_help_panel=FRAMES)] = 4.0,
    stride: Annotated[
        float | None, typer.Option(min=0.01, help="Instead, a frame every so many seconds.", rich_help_panel=FRAMES)
    ] = None,
    size: Annotated[
        str, typer.Option(help="Longest side, or HEIGHTxWIDTH to crop to; multiples of 16.", rich_help_panel=FRAMES)
    ] = "256",
    fps: Annotated[float, typer.Option(min=0.01, help="Pictures per second of image folders.", rich_help_panel=FRAMES)] = 10.0,
    vit: Annotated[bool, typer.Option(help="Show frames through the ViT too.", rich_help_panel=FRAMES)] = True,
    min_seconds: Annotated[float, typer.Option(min=0, help="Shorter clips are dropped.", rich_help_panel=CLIPS)] = 1.0,
    max_seconds: Annotated[float, typer.Option(min=0.1, help="Longer clips are divided.", rich_help_panel=CLIPS)] = 20.0,
    min_side: Annotated[int, typer.Option(min=8, help="Smaller pictures are dropped.", rich_help_panel=CLIPS)] = 64,
    cuts: Annotated[
        bool | None,
        typer.Option(help="Look for cuts and cross-fades; by default unless words come from a sidecar.", rich_help_panel=CLIPS),
    ] = None,
    cut_threshold: Annotated[float, typer.Option(min=0.01, max=1, help="Higher finds fewer.", rich_help_panel=CLIPS)] = 0.3,
    borders: Annotated[
        bool | None,
        typer.Option(help="Crop black borders; by default unless words come from a sidecar.", rich_help_panel=CLIPS),
    ] = None,
    keep_black: Annotated[
        bool | None,
        typer.Option(help="Keep black pictures and fades; by default where words come from a sidecar.", rich_help_panel=CLIPS),
    ] = None,
    keep_frozen: Annotated[
        bool | None,
        typer.Option(
            help="Keep stretches in which nothing moves; by default where words come from a sidecar.", rich_help_panel=CLIPS
        ),
    ] = None,
    keep_blurred: Annotated[bool, typer.Option("--keep-blurred", help="Keep blurred stretches.", rich_help_panel=CLIPS)] = False,
    keep_duplicates: Annotated[
        bool | None,
        typer.Option(help="Keep clips that look like others; by default where words come from a sidecar.", rich_help_panel=CLIPS),
    ] = None,
    license: Annotated[str, typer.Option(help="Terms of use: SPDX identifier or words.", rich_help_panel=RUN)] = "unknown",
    source: Annotated[str, typer.Option(help="Name of this collection in a mixture of data.", rich_help_panel=RUN)] = "video",
    split: Annotated[str, typer.Option(help="train, validation, test, ...", rich_help_panel=RUN)] = "train",
    seed: Annotated[int, typer.Option(min=0, help="Decides how many frames are taken and where.", rich_help_panel=RUN)] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Films looked at at a time.", rich_help_panel=RUN)] = 1,
) -> None:
    """Cut films into clips, drop what teaches nothing, take frames, put texts between them, and say what became of everything.

    OUT gets samples-*.parquet, samples.json, report.json (a count for every filter, a sentence for everything that could not be
    read) and clips.png, a contact sheet. Run the same command again to go on after a break, or to add films.

    Example: bagel-world data from-video films/ data/films --captions sidecar --size 128x128 --license CC-BY-4.0
    """
    found = find_sources(paths)
    # Whoever recorded actions recorded no cuts, but steps that look like some. A dark scene is none, and has no borders; waiting
    # is an action; and before a camera that stands still, clips of other actions look alike.
    acted = captions == "sidecar"
    config = _config(
        clips={
            "fps": fps,
            "cuts": not acted if cuts is None else cuts,
            "cut_threshold": cut_threshold,
            "borders": not acted if borders is None else borders,
            "black": not (acted if keep_black is None else keep_black),
            "min_seconds": min_seconds,
            "max_seconds": max_seconds,
            "min_side": min_side,
            **({"frozen_seconds": None} if (acted if keep_frozen is None else keep_frozen) else {}),
            **({"blur_limit": None} if keep_blurred else {}),
        },
        frames={
            "frames": frames,
            "stride": stride,
            "at_actions": acted and stride is None,
            "size": _size(size),
            "seed": seed,
        },
        duplicates={"remove": not (acted if keep_duplicates is None else keep_duplicates)},
        captions=f"ask {checkpoint}" if captions == "ask" else captions,
        license=license,
        source=source,
        split=split,
        vit=vit,
        text_loss=text_loss,
    )
    claim(context, out)
    captioner = _captioner(captions, checkpoint, device, seed)
    with _watching(len(found.sources)) as watch:
        conversion = Conversion(out, config, captioner, workers=workers, command=command_line(context), watch=watch)
        report = conversion.run(found)
    written = [write_report(out, report), save_sheet(out, title=f"{source}: {report.samples['written']} samples")]
    _show(report)
    for path in written:
        if path is not None:
            print(path)
    if not report.samples["written"]:
        raise RecordingError(f"No samples came of it; {written[0]} says why. Loosen a filter, or give other films.")


def _size(size: str) -> int | tuple[int, int]:
    parts = size.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
        raise ConfigError(f"Expected --size as one number or HEIGHTxWIDTH (256, 128x128), got {size!r}.")
    return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))


def _config(**values: Any) -> FootageConfig:
    try:
        return FootageConfig.model_validate(values)
    except ValidationError as error:
        complaints = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}" for each in error.errors()
        )
        raise ConfigError(f"These settings do not fit: {complaints}.") from error


def _captioner(captions: str, checkpoint: str | None, device: str, seed: int) -> Captioner:
    """The caption source that was asked for; whatever is wrong with it shows before a film is opened."""
    kind, _, words = captions.partition(":")
    if captions == "sidecar":
        return SidecarCaptioner()
    if kind == "template":
        return TemplateCaptioner((words,) if words else TEMPLATES, seed=seed)
    if captions == "ask":
        if checkpoint is None:
            raise ConfigError(_NOBODY.format(got="none"))
        try:
            return _asking(checkpoint, device)
        except CapabilityError as error:
            raise ConfigError(_NOBODY.format(got=f"{checkpoint}, which cannot write")) from error
    if words:
        import_from_here()
        return FunctionCaptioner.named(captions)
    raise ConfigError(f"Expected --captions template, template:WORDS, sidecar, ask or package.module:name, got {captions!r}.")


def _asking(checkpoint: str, device: str) -> FunctionCaptioner:
    """A model that says what changed."""
    import numpy as np

    from bagel_world.world.simulator import BagelWorld

    world = BagelWorld.from_pretrained(checkpoint, device=device, writing={"max_tokens": MAX_ANSWER_TOKENS})

    def ask(before: Frame, after: Frame) -> str:
        return str(world.ask(world.observe(before).observe(after), QUESTION))

    blank = np.full((*world.frame_size, 3), 128, dtype=np.uint8)
    ask(blank, blank)  # a checkpoint that cannot write says so here
    return FunctionCaptioner(ask)


class _Bars:
    """Shows on a progress bar what a conversion does; films may be watched from several threads."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._films = progress.add_task("films", total=total)
        self._open: dict[str, TaskID] = {}

    def surveying(self, film: str, share: float) -> None:
        if film not in self._open:
            self._open[film] = self._progress.add_task(f"  {Path(film).name[:40]}", total=1.0)
        self._progress.update(self._open[film], completed=share)

    def used(self, film: str, samples: int) -> None:
        if film in self._open:
            self._progress.remove_task(self._open.pop(film))
        self._progress.update(self._films, advance=1, description=f"films ({samples} samples)")


@contextmanager
def _watching(films: int) -> Iterator[_Bars]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bars(progress, films)


def _show(report: Report) -> None:
    table = Table("", "", "count", "share", box=None, title="What became of everything", title_justify="left")
    table.columns[2].justify = table.columns[3].justify = "right"
    last = ""
    for group, name, count, share in report.rows():
        if group != last:
            table.add_section()
        table.add_row("" if group == last else group, name, f"{count:,}", share)
        last = group
    console = Console(soft_wrap=True)
    console.print(table)
    for film, sentence in report.problems[:_SHOWN_PROBLEMS]:
        console.print(f"{film}: {sentence}", style="yellow", markup=False, highlight=False)
    if len(report.problems) > _SHOWN_PROBLEMS:
        console.print(f"... and {len(report.problems) - _SHOWN_PROBLEMS} more, in report.json", style="yellow")

"""`bagel-world data from-env`: any Gymnasium environment becomes a folder of episodes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bagel_world.cli.claim import claim
from bagel_world.cli.working_folder import import_from_here
from bagel_world.episodes.manifest import read_manifest, require_same_recording, write_manifest
from bagel_world.episodes.shards import count_frames
from bagel_world.errors import ConfigError
from bagel_world.sims.gym_policies import policy_factory
from bagel_world.sims.gym_recording import GymRecording, record_gym_shard


def from_env(
    context: typer.Context,
    env_id: Annotated[
        str,
        typer.Argument(
            metavar="ENV_ID",
            help='As gymnasium.make takes it; "package:Name-v0" imports a package, "module:Class" takes a class.',
        ),
    ],
    out: Annotated[
        Path, typer.Argument(help="Folder for the shards; a recording in it goes on, with more episodes if more are asked for.")
    ],
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes.")] = 64,
    steps: Annotated[int, typer.Option(min=1, help="Most actions per episode.")] = 64,
    policy: Annotated[
        str,
        typer.Option(help='"random", or your "module:callable": called as policy(env, rng), it returns act(observation, info).'),
    ] = "random",
    words: Annotated[
        str, typer.Option(help='What the actions are called, with commas: "Left,Right". Else the environment is asked.')
    ] = "",
    option: Annotated[
        list[str] | None, typer.Option(help="A keyword argument of the environment, name=value (JSON or text). Can be repeated.")
    ] = None,
    frames: Annotated[
        str, typer.Option(help="render, observation, or auto: renders where the environment can, else takes observations.")
    ] = "auto",
    size: Annotated[
        str, typer.Option(help="SIDE or HEIGHTxWIDTH that frames are cropped and resized to; as they come if not given.")
    ] = "",
    split: Annotated[str, typer.Option(help="The split that all episodes belong to.")] = "train",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other episodes.")] = 0,
    license_: Annotated[str, typer.Option("--license", help="Terms of use of the pictures, as an SPDX identifier.")] = "unknown",
) -> None:
    """Record any Gymnasium environment that shows frames; shards that are already there are kept."""
    import_from_here()
    recording = GymRecording(
        env=env_id,
        options=_options(option or []),
        policy=policy,
        words=tuple(word.strip() for word in words.split(",")) if words else (),
        frames=frames,
        split=split,
        steps=steps,
        size=_size(size),
        seed=seed,
        license=license_,
        episodes=episodes,
    )
    policy_factory(policy)  # a policy that is not there is heard of before an environment is started
    command = shlex.join(["bagel-world", "data", "from-env", env_id, str(out), *_said(recording)])
    claim(context, out)
    env = recording.open()
    try:
        manifest = recording.manifest(env, out, command=command)
        found = read_manifest(out)
        if found is not None:
            require_same_recording(found, manifest, out)
        write_manifest(out, manifest)
        _record(recording, out, env)
        write_manifest(out, recording.manifest(env, out, command=command))
    finally:
        env.close()
    Console(stderr=True).print(f"{recording.episodes} episodes, {count_frames(out)} frames in {out}")


def _record(recording: GymRecording, out: Path, env: Any) -> None:
    columns = (TextColumn("recording"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("episodes", total=recording.episodes, completed=recording.finished_in(out))
        for shard in recording.missing_from(out):
            record_gym_shard(recording, shard, out, env)
            progress.advance(task, len(recording.episodes_of(shard)))


def _said(recording: GymRecording) -> list[str]:
    """The options that ask for this recording."""
    values = {
        "--episodes": recording.episodes,
        "--steps": recording.steps,
        "--policy": recording.policy,
        "--words": ",".join(recording.words),
        "--frames": recording.frames,
        "--size": "" if recording.size is None else "x".join(map(str, recording.size)),
        "--split": recording.split,
        "--seed": recording.seed,
        "--license": recording.license,
    }
    given = [str(part) for pair in values.items() if pair[1] != "" for part in pair]
    return given + [part for name, value in recording.options.items() for part in ("--option", f"{name}={json.dumps(value)}")]


def _options(pairs: list[str]) -> dict[str, Any]:
    options = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not (separator and name.isidentifier()):
            raise ConfigError(f"Expected an option of the environment as name=value, got {pair!r}.")
        try:
            options[name] = json.loads(text)
        except ValueError:
            options[name] = text
    return options


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise ConfigError(f'Expected a size as SIDE or HEIGHTxWIDTH in pixels, such as "96" or "96x128", got {text!r}.')
    return int(sides[0]), int(sides[-1])

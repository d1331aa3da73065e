"""Two commands never write into one folder at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bagel_world.cli.claim import claim
from bagel_world.errors import ConfigError

app = typer.Typer()


@app.command()
def hold(context: typer.Context, folder: Path, seconds: float = 0.0) -> None:
    claim(context, folder)
    folder.mkdir(exist_ok=True)
    (folder / "held").touch()
    time.sleep(seconds)


def _hold(folder: Path) -> None:
    app([str(folder), "--seconds", "60"])


@pytest.fixture
def holder(tmp_path: Path) -> multiprocessing.Process:
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path / "out",), daemon=True)
    process.start()
    until = time.monotonic() + 60
    while not (tmp_path / "out" / "held").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    return process


def test_a_folder_is_held_until_the_command_ends_or_is_killed(tmp_path: Path, holder: multiprocessing.Process) -> None:
    folder = tmp_path / "out"
    refused = CliRunner().invoke(app, [str(folder)])
    assert isinstance(refused.exception, ConfigError)
    assert "Another command is writing to" in str(refused.exception)
    assert CliRunner().invoke(app, [str(tmp_path / "other")]).exit_code == 0
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    for _ in range(2):
        assert CliRunner().invoke(app, [str(folder)]).exit_code == 0


def test_a_folder_is_not_made_by_claiming_it(tmp_path: Path) -> None:
    context = typer.Context(typer.main.get_command(app))
    with context:
        claim(context, tmp_path / "later")
        with pytest.raises(ConfigError, match="Another command is writing"):
            claim(context, tmp_path / "x" / ".." / "later")
    assert not list(tmp_path.iterdir())


def test_without_room_for_locks_the_work_is_done_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    context = typer.Context(typer.main.get_command(app))
    with context:
        claim(context, tmp_path / "out")

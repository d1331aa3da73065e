from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Annotated

import pytest
import typer

import bagel_world
from bagel_world.cli import EvalGroup, RootGroup, main
from bagel_world.cli.lazy import Entry
from bagel_world.errors import ActionError

ENTRIES = {**RootGroup.entries, **EvalGroup.entries}


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return int(stop.value.code or 0)


@pytest.fixture
def dummies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands `paint` and `break` at the root and `color-wheel` in `eval`, in a module of their own."""

    def paint(name: Annotated[str, typer.Argument()], times: Annotated[int, typer.Option(help="How often.")] = 1) -> None:
        """Paint something."""
        print(" ".join([name] * times))

    def break_things(ours: bool = False) -> None:
        raise ActionError("Expected [red], got 'blue'. Say red.") if ours else ZeroDivisionError("a bug")

    module = ModuleType("dummy_commands")
    module.paint, module.break_things = paint, break_things  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "dummy_commands", module)
    monkeypatch.setitem(RootGroup.entries, "paint", Entry("dummy_commands:paint", "Paint."))
    monkeypatch.setitem(RootGroup.entries, "break", Entry("dummy_commands:break_things", "Break."))
    monkeypatch.setitem(EvalGroup.entries, "color-wheel", Entry("dummy_commands:paint", "Turn."))


@pytest.mark.usefixtures("dummies")
def test_commands_get_their_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("paint", "sky", "--times", "2") == 0
    assert run("eval", "color-wheel", "sea") == 0
    assert capsys.readouterr().out == "sky sky\nsea\n"


@pytest.mark.usefixtures("dummies")
def test_a_command_shows_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("paint", "--help") == 0
    out = capsys.readouterr().out
    assert "Paint something." in out
    assert "How often." in out
    assert "bagel-world paint" in out


@pytest.mark.usefixtures("dummies")
def test_our_errors_are_one_sentence_and_exit_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("break", "--ours") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Expected [red], got 'blue'. Say red.\n"


@pytest.mark.usefixtures("dummies")
def test_bugs_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(["break"])


@pytest.mark.usefixtures("dummies")
def test_wrong_options_exit_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("paint", "sky", "--tines", "2") == 2
    assert "--tines" in capsys.readouterr().err


def test_misspelled_commands_get_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recrod") == 2
    assert "There is no command 'recrod' in 'bagel-world'. Did you mean 'record'" in capsys.readouterr().err
    assert run("eval", "openloop") == 2
    assert "in 'bagel-world eval'. Did you mean 'open-loop'" in capsys.readouterr().err


def test_help_lists_every_command_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    for group, arguments in ((RootGroup, ["--help"]), (EvalGroup, ["eval", "--help"])):
        assert run(*arguments) == 0
        out = capsys.readouterr().out
        for name, entry in group.entries.items():
            assert f" {name} " in out
            assert entry.help in out


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"{bagel_world.__version__}\n"


def test_help_loads_no_command() -> None:
    code = (
        "import sys; from bagel_world.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "loaded = {name for name in sys.modules if name.startswith('bagel_world.cli.')}\n"
        "assert loaded == {'bagel_world.cli.lazy'}, loaded\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


@pytest.mark.parametrize("name", ENTRIES)
def test_the_module_of_every_command_exists(name: str) -> None:
    assert find_spec(ENTRIES[name].target.partition(":")[0]) is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [*([name] for name in RootGroup.entries), *(["eval", name] for name in EvalGroup.entries)], ids=" ".join
)
def test_every_command_loads_and_shows_its_help(path: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*path, "--help") == 0
    assert "Usage: bagel-world " + " ".join(path) in capsys.readouterr().out

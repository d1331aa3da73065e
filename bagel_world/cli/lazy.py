"""Groups of commands whose modules load when a command is called, not when it is listed: `--help` costs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from bagel_world.errors import UnknownNameError, nearest


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command lives ("package.module:name", a function or a `typer.Typer`) and its line in the help."""

    target: str
    help: str

    def load(self, name: str) -> Any:
        """The command itself; imports its module."""
        module, _, attribute = self.target.partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            return typer.main.get_command(found)
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        return typer.main.get_command(single)


class LazyGroup(TyperGroup):
    """A group that lists its `entries` from their table and loads the one that is called."""

    entries: ClassVar[dict[str, Entry]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the table."""
        return list(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in that knows its name and help; None for an unknown name."""
        entry = self.entries.get(cmd_name)
        return None if entry is None else TyperCommand(cmd_name, help=entry.help)

    def resolve_command(self, ctx: Any, args: Sequence[str]) -> tuple[str | None, Any, list[str]]:
        """The loaded command that the arguments call, and the arguments left for it.

        Raises:
            UnknownNameError: no such command.
        """
        if args and args[0] not in self.entries and not ctx.resilient_parsing:
            raise UnknownNameError(f"There is no command {args[0]!r} in {ctx.command_path!r}. {nearest(args[0], self.entries)}")
        name, stand_in, rest = super().resolve_command(ctx, list(args))
        if name is None or stand_in is None:
            return name, stand_in, rest
        return name, self.entries[name].load(name), rest

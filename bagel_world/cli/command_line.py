"""The command that was given, written out, for reports and manifests: whoever copies it makes the same thing again."""

from __future__ import annotations

import shlex
from typing import Any

import typer


def command_line(context: typer.Context) -> str:
    """The command with its arguments and every option spelled out, defaults included."""
    words = ["bagel-world", *context.command_path.split()[1:]]
    options: list[str] = []
    for parameter in context.command.params:
        value: Any = context.params.get(parameter.name or "")
        if value is None:
            continue
        several = value if isinstance(value, list | tuple) else [value]
        if parameter.param_type_name == "argument":
            words += map(str, several)
        elif isinstance(value, bool):
            options += parameter.opts[:1] if value else parameter.secondary_opts[:1]
        else:
            options += [word for each in several for word in (parameter.opts[0], str(each))]
    return shlex.join([*words, *options])

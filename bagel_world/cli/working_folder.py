"""The folder that a command is called in, as a place for Python modules of the user's own."""

from __future__ import annotations

import sys


def import_from_here() -> None:
    """Let modules in the working folder be imported, as `python -m` does: policies, environments, functions that write texts."""
    if "" not in sys.path:
        sys.path.insert(0, "")

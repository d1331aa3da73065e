"""Every error of the package: one base class, children that are also standard types.

A message says what was expected, what came and what to do next. `nearest` adds the hint for misspelled names.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BagelWorldError(Exception):
    """Base of every error this package raises on purpose."""


class ImageError(BagelWorldError, ValueError):
    """An image that cannot become a frame: unreadable, wrong shape or dtype, not finite, too large."""


class ActionError(BagelWorldError, ValueError):
    """An action outside the action space: unknown id, not text, empty or endless text."""


class MessageError(BagelWorldError, ValueError):
    """A chat message that cannot be read: empty, endless, of an unknown kind, with characters that are no text."""


class ConfigError(BagelWorldError, ValueError):
    """A setting that is unknown, contradictory or out of range."""


class UnknownSettingError(ConfigError, TypeError):
    """A keyword that nothing takes; also the TypeError that Python raises for one, as clients that probe for keywords expect."""


class CheckpointError(BagelWorldError, ValueError):
    """A checkpoint folder that is missing a file, truncated, or does not match its configuration."""


class OutputError(BagelWorldError, ArithmeticError):
    """What a model or a function of the user's gave is no picture or no number: broken weights, a wrong dtype, a bug."""


class UnknownNameError(BagelWorldError, LookupError):
    """A name (checkpoint, preset, environment, scorer) that nothing is registered under."""


class CapabilityError(BagelWorldError, NotImplementedError):
    """A checkpoint was asked for something it was never taught."""


class DeviceError(BagelWorldError, RuntimeError):
    """A device that this machine does not have, or that does not fit the request."""


class MissingExtraError(BagelWorldError, ImportError):
    """An optional dependency is missing; the message names the extra to install."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f'{purpose} needs {package}, which is not installed. Install it with: pip install "bagel-world[{extra}]"'
        )


class SimulatorError(BagelWorldError, RuntimeError):
    """A simulator could not start or render, usually because the machine has no OpenGL."""


class RecordingError(BagelWorldError, OSError):
    """Episodes could not be written or read: disk full, corrupt shard, foreign manifest."""


class StateError(BagelWorldError, ValueError):
    """A saved state that does not fit this environment or world."""


class AccessError(BagelWorldError, PermissionError):
    """A file outside the folders that a session was given, or no file at all: an address, a device, a pipe."""


class LimitError(BagelWorldError, RuntimeError):
    """What a session may spend is spent."""


class TrainingError(BagelWorldError, RuntimeError):
    """Training cannot go on: the loss is not finite, or data and model do not fit together."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint after an unknown name: the closest known names, or all of them where none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return "Did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "Known names: " + ", ".join(repr(each) for each in names) + "."

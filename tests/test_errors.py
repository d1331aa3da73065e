from __future__ import annotations

import inspect

import pytest

from bagel_world import errors
from bagel_world.errors import BagelWorldError, MissingExtraError, nearest

CHILDREN = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, BagelWorldError)]

STANDARD = {
    "ImageError": ValueError,
    "ActionError": ValueError,
    "MessageError": ValueError,
    "ConfigError": ValueError,
    "UnknownSettingError": TypeError,
    "CheckpointError": ValueError,
    "UnknownNameError": LookupError,
    "CapabilityError": NotImplementedError,
    "DeviceError": RuntimeError,
    "MissingExtraError": ImportError,
    "SimulatorError": RuntimeError,
    "RecordingError": OSError,
    "StateError": ValueError,
    "TrainingError": RuntimeError,
    "AccessError": PermissionError,
    "LimitError": RuntimeError,
    "OutputError": ArithmeticError,
}


def test_every_error_is_also_a_standard_type() -> None:
    assert {each.__name__ for each in CHILDREN} - {"BagelWorldError"} == set(STANDARD)
    for name, standard in STANDARD.items():
        assert issubclass(getattr(errors, name), standard)


@pytest.mark.parametrize("name", sorted(set(STANDARD) - {"MissingExtraError"}))
def test_a_message_is_shown_as_it_was_written(name: str) -> None:
    assert str(getattr(errors, name)("Expected this, got that. Do so.")) == "Expected this, got that. Do so."


def test_a_missing_extra_names_the_command_that_installs_it() -> None:
    assert str(MissingExtraError("miniworld", "sims", "The house")) == (
        'The house needs miniworld, which is not installed. Install it with: pip install "bagel-world[sims]"'
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BagelNavigte-v0", "Did you mean 'BagelNavigate-v0' or 'BagelRotate-v0'?"),
        ("zzz", "Known names: 'BagelNavigate-v0', 'BagelRotate-v0', 'fake'."),
        ("fak", "Did you mean 'fake'?"),
    ],
)
def test_the_nearest_names_are_offered(name: str, hint: str) -> None:
    assert nearest(name, {"fake", "BagelRotate-v0", "BagelNavigate-v0"}) == hint

"""One small checkpoint for all tests of the model room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.folder import write_folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder that no test changes."""
    return write_folder(tmp_path_factory.mktemp("checkpoint") / "tiny")

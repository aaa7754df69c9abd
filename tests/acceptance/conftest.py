"""What several acceptance tests begin with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import bundles


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report's bundle that nobody changes."""
    return bundles.build(tmp_path_factory.mktemp("good"))


@pytest.fixture
def bundle(good: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(good, tmp_path / "bundle"))

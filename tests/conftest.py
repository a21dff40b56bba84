"""What every test may use. A test that lacks a tool skips and says why; under CI=true a skip fails."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT.parent / "shared/models"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where every tool must be there: {report.longrepr}"


@pytest.fixture
def public_model():
    """The bytes of one of the public models by its file name; they are not part of the project."""

    def get(name: str) -> bytes:
        for path in MODELS.glob(f"*/{name}"):
            return path.read_bytes()
        pytest.skip(f"{name} is not beside the project, in ../shared/models")

    return get

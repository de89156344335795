"""One simulated facility for all tests of jobs. Here: the paths and fixtures. Not here: any promise."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "transfer")]

# ruff: noqa: E402 - the path above comes first
from bakery import quick, staged, tiny_scan
from bench_fixtures import bench, facility, zygote
from facility_in_a_box import Bench
from small_jobs import Shop, shop_at

from als_assets.compute import submission
from als_assets.compute.sfapi import api as sfapi_api

__all__ = ["at_home", "bench", "facility", "nersc", "quick", "shop", "staged", "tiny_scan", "zygote"]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """SFAPI's tasks end at once here, and what was submitted shows up soon."""
    monkeypatch.setattr(sfapi_api, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(submission, "SUBMIT_GRACE", timedelta(seconds=0.5))


@pytest.fixture
def nersc(bench: Bench) -> Shop:
    return shop_at(bench, "nersc")


@pytest.fixture
def at_home(bench: Bench) -> Shop:
    return shop_at(bench, "als")


@pytest.fixture(params=["nersc", "als"])
def shop(bench: Bench, request: pytest.FixtureRequest) -> Shop:
    """The same promise at both kinds of site."""
    return shop_at(bench, request.param)

"""A simulated SciCat for the catalogue's tests. Here: fixtures, and the path to the makers of input. Not here: any promise."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from als_assets.catalogue.settings import CatalogueSettings
from als_assets.simulator.config import ScicatConfig, ScicatUser, SimulatorConfig
from als_assets.simulator.server import Simulator

# The machine may be busy: how long an example takes says nothing.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

sys.path.insert(0, str(Path(__file__).parent))

PASSWORD = "correct horse battery"


@pytest.fixture(params=["5.2"])
def personality(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Simulator]]:
    """One SciCat of each personality for a module: starting one takes longer than most tests."""
    with ExitStack() as stack:

        @cache
        def server(personality: str) -> Simulator:
            return stack.enter_context(Simulator(_config(tmp_path_factory.mktemp("simulator"), personality)))

        yield server


def _config(state_dir: Path, personality: Any) -> SimulatorConfig:
    users = {
        "ingestor": ScicatUser(password=PASSWORD, groups=["ingestor", "ALS-00847"]),
        "stranger": ScicatUser(password=PASSWORD, groups=["creators-elsewhere"]),
        "guest": ScicatUser(password=PASSWORD, groups=["ALS-00847"]),
    }
    groups = ["ingestor", "creators-elsewhere"]
    scicat = ScicatConfig(users=users, create_groups=groups, picture_groups=groups, personality=personality)
    return SimulatorConfig(state_dir=state_dir, scicat=scicat)


@pytest.fixture
def scicat(servers: Callable[[str], Simulator], personality: str) -> Simulator:
    """An empty SciCat whose ingest account may create for anybody but is no admin; it owns the group of the test's proposal."""
    simulator = servers(personality)
    with closing(sqlite3.connect(simulator.config.state_dir / "simulator.sqlite", timeout=30)) as database, database:
        for table in ("doc", "log"):  # records, tokens, faults and the list of requests
            database.execute(f"DELETE FROM {table}")
    return simulator


@pytest.fixture
def settings(scicat: Simulator) -> Callable[..., CatalogueSettings]:
    def make(**changes: Any) -> CatalogueSettings:
        fields: dict[str, Any] = {
            "api_url": f"{scicat.url}/api/v3",
            "frontend_url": "https://scicat.example.org/",
            "username": "ingestor",
            "password_provider": lambda: PASSWORD,
            "timeout_s": 5.0,
            "attempts": 4,
            "wait_s": 0.01,
            "max_wait_s": 0.05,
            "patience_s": 3.0,
        }
        return CatalogueSettings(**{**fields, **changes})

    return make

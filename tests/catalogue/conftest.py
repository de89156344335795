"""A simulated SciCat for the catalogue's tests. Here: fixtures, and the path to the makers of input. Not here: any promise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
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


@pytest.fixture
def scicat(tmp_path: Path, personality: str) -> Iterator[Simulator]:
    """A SciCat whose ingest account may create for anybody but is no admin; it owns the group of the test's proposal."""
    users = {
        "ingestor": ScicatUser(password=PASSWORD, groups=["ingestor", "ALS-00847"]),
        "stranger": ScicatUser(password=PASSWORD, groups=["creators-elsewhere"]),
        "guest": ScicatUser(password=PASSWORD, groups=["ALS-00847"]),
    }
    groups = ["ingestor", "creators-elsewhere"]
    config = ScicatConfig(users=users, create_groups=groups, personality=personality)
    with Simulator(SimulatorConfig(state_dir=tmp_path / "simulator", scicat=config)) as simulator:
        yield simulator


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

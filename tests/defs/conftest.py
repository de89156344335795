"""Fixtures of the definitions' tests: a simulated facility in this process, and Dagster in memory.

Here: what several modules share. Not here: tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from als_assets.defs.bl832.common import SCANS
from als_assets.defs.resources import PlatformResource
from als_assets.platform import Platform, platform_of
from als_assets.simulator.box import Box, Ports, make_box
from als_assets.simulator.config import load_config
from als_assets.simulator.server import Simulator
from tests.e2e.conftest import free_port


@dataclass(frozen=True)
class Facility:
    """A box, its running services, the platform on them, and the resource that hands it to Dagster."""

    box: Box
    simulator: Simulator
    parts: Platform

    @property
    def resources(self) -> dict[str, PlatformResource]:
        return {"platform": PlatformResource(facility_file=str(self.box.facility_file))}


@pytest.fixture
def facility(tmp_path: Path) -> Iterator[Facility]:
    box = make_box(tmp_path, Ports(free_port(), 2, 3))
    with Simulator(load_config(box.simulator_file)) as simulator:
        parts = platform_of(box.facility_file)
        yield Facility(box, simulator, parts)
        parts.close()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(SCANS.name), ["scan_1"])
        yield instance

"""Fixtures of the end-to-end tests: one running platform shared by all of them, left clean by each.

Here: starting and cleaning. Not here: tests.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from als_assets.simulator.box import Ports
from tests.e2e.world import World

ALL_STEPS = {"preview": True, "raw_on_nersc": True, "scicat_record": True, "reconstruction": True, "bring_back": True}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(600))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World.start(tmp_path_factory.mktemp("als"), Ports(free_port(), free_port(), free_port()))
    yield world
    world.stop()


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The shared platform with all steps switched on and no faults."""
    shared_world.set_steps(**ALL_STEPS)
    yield shared_world
    shared_world.control.clear_faults()

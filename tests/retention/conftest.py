"""A store of real bytes. Here: fixtures. Not here: any promise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))
sys.path.insert(0, str(Path(__file__).parents[1] / "facility"))
sys.path.insert(0, str(Path(__file__).parents[1] / "retention"))

from facility_kit import facility_at
from ledger_kit import Clock, fresh_ledger
from retention_kit import Store

from als_assets.facility import Facility
from als_assets.ledger import Replica


@pytest.fixture
def facility(tmp_path: Path) -> Facility:
    return facility_at(tmp_path)


@pytest.fixture
def store(facility: Facility) -> Iterator[Store]:
    clock = Clock()
    ledger = fresh_ledger(facility.state_dir, clock)
    yield Store(facility, ledger, clock)
    ledger.close()


@pytest.fixture
def proof(store: Store) -> Replica:
    """The raw file at another site."""
    store.scan()
    return store.copy("far_raw")


@pytest.fixture
def due(store: Store, proof: Replica) -> Replica:
    """A scratch copy that is old enough, with a proof elsewhere that is one day old."""
    copy = store.copy("data_scratch")
    store.clock.turn(days=13)
    store.renew(proof)
    store.clock.turn(days=1)
    return copy

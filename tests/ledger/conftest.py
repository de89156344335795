"""A record in a folder, with a clock that is turned by hand. Here: fixtures. Not here: any promise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ledger_kit import Clock, address, emptied_ledger, fresh_ledger, new_scan, real_postgresql
from ledger_worker import Warm

from als_assets.ledger import Dataset, Ledger, Operation, OperationKind, Replica
from als_assets.ledger.database import sqlite_url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a real PostgreSQL server with an empty, migrated record."""
    with real_postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a file with an empty, migrated record."""
    state = tmp_path_factory.mktemp("record") / "state"
    fresh_ledger(state, Clock()).close()
    return sqlite_url(state / "ledger.sqlite")


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def ledger(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Ledger]:
    """A new record, once in each database: both must keep every promise."""
    opened = emptied_ledger(request.getfixturevalue(request.param.lower()), clock)
    yield opened
    opened.close()


@pytest.fixture
def reopen(ledger: Ledger, clock: Clock) -> Iterator[Callable[[], Ledger]]:
    """Open the same record once more, as another process would."""
    opened: list[Ledger] = []

    def again() -> Ledger:
        opened.append(Ledger.open(address(ledger), who="another", clock=clock))
        return opened[-1]

    yield again
    for other in opened:
        other.close()


@pytest.fixture
def sand(ledger: Ledger) -> Dataset:
    """A scan on record, with its first copy at 'spot'."""
    return ledger.datasets.admit(new_scan())


@pytest.fixture
def copy(ledger: Ledger, sand: Dataset) -> Replica:
    """A copy that is expected and nothing more."""
    return ledger.replicas.expect("sand", "raw", "far_raw", sand.raw_path)


@pytest.fixture
def intent(ledger: Ledger, copy: Replica) -> Operation:
    """An operation that nobody has taken yet."""
    return ledger.operations.begin("transfer:far", OperationKind.TRANSFER, "sand", {"to": "far"}, copy.id)


@pytest.fixture(scope="session")
def warm_process() -> Iterator[Warm]:
    with Warm() as started:
        yield started


@pytest.fixture
def warm(warm_process: Warm) -> Iterator[Warm]:
    """Starts processes; whatever still runs at the end of the test is killed."""
    yield warm_process
    warm_process.kill_all()

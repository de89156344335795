"""A record in a folder, with a clock that is turned by hand. Here: fixtures. Not here: any promise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ledger_kit import Clock, fresh_ledger, new_scan

from als_assets.ledger import Dataset, Ledger, Operation, OperationKind, Replica

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    opened = fresh_ledger(tmp_path / "state", clock)
    yield opened
    opened.close()


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


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start ``ledger_worker.py`` at this test's record; whatever still runs at the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(Path(__file__).parent / "ledger_worker.py"), str(tmp_path / "state"), *map(str, arguments)]
        running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()

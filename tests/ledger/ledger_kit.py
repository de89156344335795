"""What tests that need a record share: a clock that is turned by hand, and scans to put on record.

Here: values only. Not here: any promise.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from als_assets.ledger import Ledger
from als_assets.ledger.database import sqlite_url
from als_assets.ledger.datasets import NewDataset


@dataclass
class Clock:
    """Stands still until it is turned."""

    now: datetime = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += timedelta(**by)


def new_scan(key: str = "sand", **changes: Any) -> NewDataset:
    folder = changes.pop("folder", "dla-00847_doe")
    fields: dict[str, Any] = {
        "key": key,
        "beamline": "bl832",
        "folder": folder,
        "file_name": f"{key}.h5",
        "proposal": "ALS-00847",
        "size_bytes": 5,
        "acquired_at": datetime(2026, 3, 2, 11, 0, tzinfo=UTC),
        "may_leave": True,
        "release_reason": "proposal ALS-00847 is not under export control",
        "source_location": "spot",
        "source_path": f"{folder}/{key}.h5",
    }
    return NewDataset(**{**fields, **changes})


def always(_run: str) -> bool:
    return True


def never(_run: str) -> bool:
    return False


@cache
def _migrated() -> bytes:
    """An empty record as a file. Migrating one for every test would take longer than the tests."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.at(Path(folder))
        ledger.close()  # the last connection moves the write-ahead log into the file
        return Path(folder, "ledger.sqlite").read_bytes()


def fresh_ledger(state_dir: Path, clock: Clock) -> Ledger:
    """A new record in a folder, where ``Ledger.at`` finds it too."""
    state_dir.mkdir()
    path = state_dir / "ledger.sqlite"
    path.write_bytes(_migrated())
    return Ledger(sqlite_url(path), who="tester", clock=clock)

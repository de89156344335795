"""The door to the record: one object that opens the database and gives its parts.

Here: opening, migrating, and the parts by name. Not here: any query; each part has a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from als_assets.ledger.audit import AuditTrail
from als_assets.ledger.database import make_engine, migrate, sqlite_url
from als_assets.ledger.datasets import Datasets
from als_assets.ledger.holds import Holds
from als_assets.ledger.operations import Operations
from als_assets.ledger.replicas import Replicas
from als_assets.ledger.sightings import Sightings
from als_assets.ledger.workers import Workers


def utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The record. ``who`` signs every audit row; ``clock`` gives the time (tests turn it)."""

    def __init__(self, url: str, *, who: str = "als-assets", clock: Callable[[], datetime] = utc_now) -> None:
        self.engine = make_engine(url)
        self.clock = clock
        self.audit = AuditTrail(self.engine, who, clock)
        self.datasets = Datasets(self.engine, self.audit, clock)
        self.replicas = Replicas(self.engine, self.audit, clock)
        self.operations = Operations(self.engine, self.audit, clock)
        self.holds = Holds(self.engine, self.audit, clock)
        self.workers = Workers(self.engine, clock)
        self.sightings = Sightings(self.engine, clock)

    @classmethod
    def at(cls, state_dir: Path, *, who: str = "als-assets", clock: Callable[[], datetime] = utc_now) -> Self:
        """The embedded record of a state folder, created and migrated when needed."""
        state_dir.mkdir(parents=True, exist_ok=True)
        ledger = cls(sqlite_url(state_dir / "ledger.sqlite"), who=who, clock=clock)
        migrate(ledger.engine)
        return ledger

    def close(self) -> None:
        self.engine.dispose()

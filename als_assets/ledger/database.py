"""The database under the record: SQLite embedded, PostgreSQL in production, and its schema by alembic.

Here: the engine with the settings that make many processes safe, read and write transactions, and the migration. Not here:
tables (``models``) and what is written into them (``store``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.orm import Session

BUSY_TIMEOUT_S = 60


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def make_engine(url: str) -> sa.Engine:
    """An engine; with SQLite: write-ahead log, long busy timeout, foreign keys, and explicit BEGIN (see ``writing``)."""
    engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transaction handling starts a write transaction late and then cannot wait for its turn.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_S * 1000}", "journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("als_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def reading(engine: sa.Engine) -> Iterator[Session]:
    """A consistent view; objects stay usable after it ends."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


@contextmanager
def writing(engine: sa.Engine) -> Iterator[Session]:
    """One transaction, committed at the end, rolled back on an exception. Takes the write lock at its start, so that two
    processes take turns instead of failing half-way."""
    with (
        engine.connect().execution_options(als_write=True) as connection,
        Session(connection, expire_on_commit=False) as session,
    ):
        yield session
        session.commit()


def migrate(engine: sa.Engine) -> None:
    """Bring the schema to the newest revision. Safe to call from several processes: SQLite's write lock, or an advisory
    lock of PostgreSQL, lets one do it and the others see it done."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect().execution_options(als_write=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(832832)"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

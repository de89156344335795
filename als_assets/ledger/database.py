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
from sqlalchemy import event
from sqlalchemy.orm import Session

from als_assets.errors import ConfigError

BUSY_TIMEOUT_S = 60
_MIGRATIONS = Path(__file__).parent / "migrations"
# The advisory lock of PostgreSQL under which writers of the record take turns (any number that nobody else uses).
_WRITERS = 832832


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def make_engine(url: str) -> sa.Engine:
    """An engine in which writers take turns (see ``writing``); SQLite with write-ahead log, long busy timeout and foreign keys.

    Raises:
        ConfigError: the address is none, or names a database that is not supported. The address itself is never repeated: it may
            hold a password.
    """
    try:
        kind = sa.make_url(url).get_backend_name()
    except sa.exc.ArgumentError:
        raise _bad_address("what the secret holds is not a database address") from None
    if kind not in ("sqlite", "postgresql"):
        raise _bad_address(f"{kind} is not supported")
    try:
        engine = sa.create_engine(url, pool_pre_ping=kind == "postgresql", hide_parameters=True)
    except ModuleNotFoundError as absent:
        raise _bad_address(f"the Python package {absent.name} is not installed (pip install 'als-assets[postgres]')") from None
    if kind == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "begin", _begin_postgresql)
    return engine


def _bad_address(reason: str) -> ConfigError:
    return ConfigError(
        f"The ledger's database cannot be used: {reason}.",
        next_step="Put an address such as postgresql://user:password@host/als into the secret that 'ledger_url' names.",
    )


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


def _begin_postgresql(connection: sa.Connection) -> None:
    # Under READ COMMITTED every statement after the lock sees what the writer before us committed.
    if connection.get_execution_options().get("als_write", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")


@contextmanager
def reading(engine: sa.Engine) -> Iterator[Session]:
    """A consistent view of one moment; objects stay usable after it ends."""
    view = engine.execution_options(isolation_level="REPEATABLE READ") if engine.dialect.name == "postgresql" else engine
    with Session(view, expire_on_commit=False) as session:
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
    if _revision(engine) == _newest():
        return
    # Every process opens the record, and hardly any has to migrate it: the import takes longer than the look.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.connect().execution_options(als_write=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _newest() -> str:
    """The revisions are files named ``0001_what.py``, ``0002_what.py``, ..., each after the one before (a test holds that)."""
    return max(path.name for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


def _revision(engine: sa.Engine) -> str | None:
    with reading(engine) as session:
        if not sa.inspect(session.connection()).has_table("alembic_version"):
            return None
        found: str | None = session.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found

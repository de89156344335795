"""The tables of the record: datasets, replicas, operations, holds, workers, sightings, the outbox and the audit.

Here: columns and keys, as SQLAlchemy models (the alembic migration in ``migrations`` creates the same). Not here: rules about
states (``states``) and the writing of rows (``store``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from als_assets.ledger.manifest import Manifest
from als_assets.ledger.states import OperationKind, OperationState, OutboxKind, ReplicaState


class UtcTime(TypeDecorator[datetime]):
    """A moment. Stored as UTC; always comes back with its zone, also from SQLite, which keeps none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _words(kind: type[StrEnum]) -> Enum:
    return Enum(kind, native_enum=False, length=20, values_callable=lambda members: [m.value for m in members])


# SQLite numbers rows only in a column that is exactly INTEGER; file sizes and times in ns need 64 bits elsewhere.
_INT64 = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    type_annotation_map = {datetime: UtcTime(), dict[str, Any]: JSON(none_as_null=True), str: Text, int: _INT64}  # noqa: RUF012 - SQLAlchemy reads it so


class Dataset(Base):
    """One scan = one Dagster partition. Never deleted; ``retired_at`` is set when it leaves Dagster."""

    __tablename__ = "datasets"
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    beamline: Mapped[str] = mapped_column(String(40), index=True)
    folder: Mapped[str]
    file_name: Mapped[str]
    proposal: Mapped[str | None] = mapped_column(String(200), index=True)
    size_bytes: Mapped[int]
    acquired_at: Mapped[datetime | None]
    admitted_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    may_leave: Mapped[bool]
    release_reason: Mapped[str]
    facts: Mapped[dict[str, Any]]
    __table_args__ = (UniqueConstraint("beamline", "folder", "file_name"),)

    @property
    def raw_path(self) -> str:
        """Path of the raw file below the prefix of any raw location."""
        return f"{self.folder}/{self.file_name}" if self.folder else self.file_name


class Replica(Base):
    """A dataset's (or product's) bytes at a location. ``variant`` is "" for the standard parameters, else their digest.

    ``after_operation``: the newest operation about the scan when the copy changed or was proven last. What is wanted of the copy since
    then can only have been done by a later one; numbers tell that, because a clock may be set back.
    """

    __tablename__ = "replicas"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    dataset_key: Mapped[str] = mapped_column(ForeignKey("datasets.key"), index=True)
    product: Mapped[str] = mapped_column(String(40))
    variant: Mapped[str] = mapped_column(String(40), default="")
    location: Mapped[str] = mapped_column(String(80), index=True)
    path: Mapped[str]
    state: Mapped[ReplicaState] = mapped_column(_words(ReplicaState), index=True)
    size_bytes: Mapped[int | None]
    files: Mapped[int | None]
    sha256: Mapped[str | None] = mapped_column(String(64))
    packed_manifest: Mapped[bytes | None] = mapped_column(LargeBinary)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    verified_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]
    prune_announced_at: Mapped[datetime | None]
    after_operation: Mapped[int] = mapped_column(default=0, server_default="0")
    __table_args__ = (UniqueConstraint("location", "path"),)

    @property
    def manifest(self) -> Manifest | None:
        return None if self.packed_manifest is None else Manifest.unpack(self.packed_manifest)

    @property
    def name(self) -> str:
        """For people: 'recon_tiff of 2026_scan at nersc'."""
        return f"{self.product} of {self.dataset_key} at {self.location}"


class Operation(Base):
    """One remote act: intent first (``request``), then ``handle``, then ``outcome``. At most one open per ``key``."""

    __tablename__ = "operations"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(index=True)
    kind: Mapped[OperationKind] = mapped_column(_words(OperationKind))
    dataset_key: Mapped[str] = mapped_column(ForeignKey("datasets.key"), index=True)
    replica_id: Mapped[int | None] = mapped_column(ForeignKey("replicas.id"))
    state: Mapped[OperationState] = mapped_column(_words(OperationState), index=True)
    attempt: Mapped[int]
    request: Mapped[dict[str, Any]]
    handle: Mapped[dict[str, Any]] = mapped_column(default=dict)
    outcome: Mapped[dict[str, Any]] = mapped_column(default=dict)
    holder: Mapped[str | None] = mapped_column(String(80))
    fence: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    submitted_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    __table_args__ = (
        Index(
            "one_open_operation_per_key",
            "key",
            unique=True,
            sqlite_where=text("state IN ('intent', 'submitted')"),
            postgresql_where=text("state IN ('intent', 'submitted')"),
        ),
    )


class Hold(Base):
    """Somebody said: keep. Wins over every policy until ``until`` (None: until released)."""

    __tablename__ = "holds"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    dataset_key: Mapped[str | None] = mapped_column(ForeignKey("datasets.key"), index=True)
    proposal: Mapped[str | None] = mapped_column(String(200), index=True)
    until: Mapped[datetime | None]
    reason: Mapped[str]
    who: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    released_at: Mapped[datetime | None]

    @property
    def subject(self) -> str:
        """What it keeps, for people and the audit."""
        return f"dataset {self.dataset_key}" if self.dataset_key else f"proposal {self.proposal}"


class Worker(Base):
    """A process that works on a run: the lease by which a dead one is told from a slow one."""

    __tablename__ = "workers"
    run_id: Mapped[str] = mapped_column(String(80), primary_key=True)
    dataset_key: Mapped[str | None] = mapped_column(String(200))
    host: Mapped[str] = mapped_column(String(200))
    boot_id: Mapped[str] = mapped_column(String(80))
    pid: Mapped[int]
    pid_started: Mapped[int]
    heartbeat_at: Mapped[datetime]


class Sighting(Base):
    """A file seen at acquisition that is not (yet) a dataset, and why."""

    __tablename__ = "sightings"
    beamline: Mapped[str] = mapped_column(String(40), primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    size_bytes: Mapped[int]
    mtime_ns: Mapped[int]
    unchanged_since: Mapped[datetime]
    seen_at: Mapped[datetime]
    problem: Mapped[str | None]
    next_step: Mapped[str | None]


class OutboxRow(Base):
    """What SciCat shall hold: a record or a lifecycle that is due. Open until ``done_at``; one open row for each ``pid`` and ``kind``.

    ``next_try_at`` is None once SciCat refused it: then a person must act. ``outcome`` is the receipt of the write.
    ``after_operation``: the newest operation about the scan when the body came; only a later one can have written it.
    """

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    pid: Mapped[str] = mapped_column(String(200))
    dataset_key: Mapped[str] = mapped_column(ForeignKey("datasets.key"), index=True)
    kind: Mapped[OutboxKind] = mapped_column(_words(OutboxKind))
    variant: Mapped[str] = mapped_column(String(40), default="")
    body: Mapped[dict[str, Any]]
    outcome: Mapped[dict[str, Any]] = mapped_column(default=dict)
    enqueued_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    next_try_at: Mapped[datetime | None] = mapped_column(index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None]
    done_at: Mapped[datetime | None] = mapped_column(index=True)
    after_operation: Mapped[int] = mapped_column(default=0, server_default="0")
    __table_args__ = (
        Index(
            "one_open_outbox_row_per_pid_and_kind",
            "pid",
            "kind",
            unique=True,
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )


class Audit(Base):
    """Append-only: who did what to which thing, when and why. ``record`` holds the columns of a copy that the change set."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    who: Mapped[str] = mapped_column(String(200))
    dataset_key: Mapped[str | None] = mapped_column(String(200), index=True)
    subject: Mapped[str]
    before: Mapped[str | None]
    after: Mapped[str | None]
    why: Mapped[str]
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    record: Mapped[dict[str, Any] | None]

"""The first schema of the record.

Here: the tables as they were created first. Not here: later changes, each of which is a revision of its own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)
INT64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _audit()
    _datasets()
    _sightings()
    _workers()
    _holds()
    _replicas()
    _operations()


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", INT64, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("dataset_key", sa.String(length=200), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)
    op.create_index("ix_audit_dataset_key", "audit", ["dataset_key"], unique=False)


def _datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("beamline", sa.String(length=40), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("proposal", sa.String(length=200), nullable=True),
        sa.Column("size_bytes", INT64, nullable=False),
        sa.Column("acquired_at", MOMENT, nullable=True),
        sa.Column("admitted_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("retired_at", MOMENT, nullable=True),
        sa.Column("may_leave", sa.Boolean(), nullable=False),
        sa.Column("release_reason", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("beamline", "folder", "file_name"),
    )
    op.create_index("ix_datasets_beamline", "datasets", ["beamline"], unique=False)
    op.create_index("ix_datasets_proposal", "datasets", ["proposal"], unique=False)


def _sightings() -> None:
    op.create_table(
        "sightings",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("beamline", sa.String(length=40), nullable=False),
        sa.Column("size_bytes", INT64, nullable=False),
        sa.Column("mtime_ns", INT64, nullable=False),
        sa.Column("unchanged_since", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("next_step", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("path"),
    )
    op.create_index("ix_sightings_beamline", "sightings", ["beamline"], unique=False)


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("run_id", sa.String(length=80), nullable=False),
        sa.Column("dataset_key", sa.String(length=200), nullable=True),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("boot_id", sa.String(length=80), nullable=False),
        sa.Column("pid", INT64, nullable=False),
        sa.Column("pid_started", INT64, nullable=False),
        sa.Column("heartbeat_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("id", INT64, autoincrement=True, nullable=False),
        sa.Column("dataset_key", sa.String(length=200), nullable=True),
        sa.Column("proposal", sa.String(length=200), nullable=True),
        sa.Column("until", MOMENT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("released_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["dataset_key"],
            ["datasets.key"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_holds_dataset_key", "holds", ["dataset_key"], unique=False)
    op.create_index("ix_holds_proposal", "holds", ["proposal"], unique=False)


def _replicas() -> None:
    op.create_table(
        "replicas",
        sa.Column("id", INT64, autoincrement=True, nullable=False),
        sa.Column("dataset_key", sa.String(length=200), nullable=False),
        sa.Column("product", sa.String(length=40), nullable=False),
        sa.Column("variant", sa.String(length=40), nullable=False),
        sa.Column("location", sa.String(length=80), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("size_bytes", INT64, nullable=True),
        sa.Column("files", INT64, nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("packed_manifest", sa.LargeBinary(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("verified_at", MOMENT, nullable=True),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("prune_announced_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["dataset_key"],
            ["datasets.key"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("location", "path"),
    )
    op.create_index("ix_replicas_dataset_key", "replicas", ["dataset_key"], unique=False)
    op.create_index("ix_replicas_location", "replicas", ["location"], unique=False)
    op.create_index("ix_replicas_state", "replicas", ["state"], unique=False)


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", INT64, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("dataset_key", sa.String(length=200), nullable=False),
        sa.Column("replica_id", INT64, nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", INT64, nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("handle", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=False),
        sa.Column("holder", sa.String(length=80), nullable=True),
        sa.Column("fence", INT64, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("submitted_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["dataset_key"],
            ["datasets.key"],
        ),
        sa.ForeignKeyConstraint(
            ["replica_id"],
            ["replicas.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_operations_dataset_key", "operations", ["dataset_key"], unique=False)
    op.create_index("ix_operations_key", "operations", ["key"], unique=False)
    op.create_index("ix_operations_state", "operations", ["state"], unique=False)
    op.create_index(
        "one_open_operation_per_key",
        "operations",
        ["key"],
        unique=True,
        sqlite_where=sa.text("state IN ('intent', 'submitted')"),
        postgresql_where=sa.text("state IN ('intent', 'submitted')"),
    )

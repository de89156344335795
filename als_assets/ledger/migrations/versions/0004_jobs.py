"""What all processes together know of jobs and sites: the schedulers' last words, pins, waiting scans and service sessions.

Here: new tables only. Not here: a change of any other table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _watching()
    _placing()
    op.create_table(
        "service_sessions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("beamline", sa.String(length=40), nullable=False),
        sa.Column("site", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("log_dir", sa.Text(), nullable=False),
        sa.Column("jobs", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=True),
        sa.Column("stop_asked_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_service_sessions_beamline", "service_sessions", ["beamline"], unique=False)
    op.create_index("ix_service_sessions_state", "service_sessions", ["state"], unique=False)
    op.create_index(
        "one_live_session_per_beamline",
        "service_sessions",
        ["beamline"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _watching() -> None:
    op.create_table(
        "job_views",
        sa.Column("site", sa.String(length=40), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("wanted_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=True),
        sa.Column("view", sa.JSON(), nullable=True),
        sa.Column("missing_since", MOMENT, nullable=True),
        sa.Column("over", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("site", "job_id"),
    )
    op.create_table(
        "site_ticks",
        sa.Column("site", sa.String(length=40), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site"),
    )
    op.create_table(
        "site_states",
        sa.Column("site", sa.String(length=40), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("outage_from", MOMENT, nullable=True),
        sa.Column("outage_to", MOMENT, nullable=True),
        sa.Column("credential_ends", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("site"),
    )


def _placing() -> None:
    op.create_table(
        "pins",
        sa.Column("dataset_key", sa.String(length=200), nullable=False),
        sa.Column("site", sa.String(length=40), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["dataset_key"], ["datasets.key"]),
        sa.PrimaryKeyConstraint("dataset_key"),
    )
    op.create_table(
        "waiting",
        sa.Column("dataset_key", sa.String(length=200), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_key"], ["datasets.key"]),
        sa.PrimaryKeyConstraint("dataset_key"),
    )

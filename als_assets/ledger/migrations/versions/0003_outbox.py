"""The outbox: what SciCat shall hold and does not hold yet.

Here: that table. Not here: when a row is due, and the writing of it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

MOMENT = sa.DateTime(timezone=True)
INT64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("done_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", INT64, autoincrement=True, nullable=False),
        sa.Column("pid", sa.String(length=200), nullable=False),
        sa.Column("dataset_key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("variant", sa.String(length=40), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=False),
        sa.Column("enqueued_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("next_try_at", MOMENT, nullable=True),
        sa.Column("attempts", INT64, nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["dataset_key"], ["datasets.key"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for name in ("dataset_key", "next_try_at", "done_at"):
        op.create_index(f"ix_outbox_{name}", "outbox", [name], unique=False)
    op.create_index(
        "one_open_outbox_row_per_pid_and_kind", "outbox", ["pid", "kind"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )

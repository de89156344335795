"""The audit keeps what a change made of a copy, so that the table of copies can be made anew from it; a sighting belongs to a beamline.

Here: that change and nothing else. Not here: rows of the past; copies changed before this revision have no such record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("audit") as audit:
        audit.add_column(sa.Column("record", sa.JSON(), nullable=True))
    # The key of an operation names a place, and a path may be longer than 400 characters.
    with op.batch_alter_table("operations") as operations:
        operations.alter_column("key", type_=sa.Text(), existing_type=sa.String(length=400), existing_nullable=False)
    _sightings_of_a_beamline()


def _sightings_of_a_beamline() -> None:
    """Two beamlines may have a file with the same path below their roots. The sensor sees all of them again at its next look."""
    op.drop_table("sightings")
    op.create_table(
        "sightings",
        sa.Column("beamline", sa.String(length=40), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("unchanged_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("next_step", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("beamline", "path"),
    )

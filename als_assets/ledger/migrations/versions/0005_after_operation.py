"""What a copy or a record in the outbox is newer than is told by the number of an operation, not by a clock, which may be set back.

Here: that column, filled with what the times say once more. Not here: a change of any other table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for table in ("replicas", "outbox"):
        with op.batch_alter_table(table) as changed:
            changed.add_column(sa.Column("after_operation", NUMBER, nullable=False, server_default="0"))
        op.execute(
            f"UPDATE {table} SET after_operation = COALESCE((SELECT MAX(operations.id) FROM operations"
            f" WHERE operations.dataset_key = {table}.dataset_key AND operations.created_at < {table}.changed_at), 0)"
        )

"""The audit is append-only by the database's own word: a row of it can be neither changed nor deleted, whoever asks.

Here: triggers on that table. Not here: a change of any table.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

WORDS = "rows of the audit are never changed or deleted"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{WORDS}'; END $$"
        )
        op.execute(
            "CREATE OR REPLACE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit"
            " FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"
        )
        return
    for deed in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER IF NOT EXISTS audit_no_{deed.lower()} BEFORE {deed} ON audit BEGIN SELECT RAISE(ABORT, '{WORDS}'); END")

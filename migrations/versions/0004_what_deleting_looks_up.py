"""Revision 0004: deleting an answer looks up what names it, and no longer reads whole tables for that."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXES = (
    ("answers", "replaces_id"),
    ("preference_pairs", "rejected_id"),
    ("answer_files", "file_id"),
    ("lessons", "correction_id"),
)


def upgrade() -> None:
    for table, column in INDEXES:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def downgrade() -> None:
    for table, column in INDEXES:
        op.drop_index(op.f(f"ix_{table}_{column}"), table)

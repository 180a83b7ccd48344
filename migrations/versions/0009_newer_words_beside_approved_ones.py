"""Revision 0009: what somebody says now of an answer may stand beside what a reviewer approved before."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

CURRENT = sa.text("superseded_at IS NULL")
COLUMNS = ["answer_id", "user_id"]
WAITING = """
UPDATE corrections SET superseded_at = created_at WHERE superseded_at IS NULL AND EXISTS (
  SELECT 1 FROM corrections o WHERE o.answer_id = corrections.answer_id AND o.user_id = corrections.user_id
  AND o.superseded_at IS NULL AND o.id < corrections.id)
"""


def upgrade() -> None:
    op.drop_index("uq_corrections_current", table_name="corrections")
    op.create_index("ix_corrections_current", "corrections", COLUMNS, sqlite_where=CURRENT, postgresql_where=CURRENT)


def downgrade() -> None:
    op.execute(WAITING)  # the version before would take what waits for what counts
    op.drop_index("ix_corrections_current", table_name="corrections")
    op.create_index(
        "uq_corrections_current", "corrections", COLUMNS, unique=True, sqlite_where=CURRENT, postgresql_where=CURRENT
    )

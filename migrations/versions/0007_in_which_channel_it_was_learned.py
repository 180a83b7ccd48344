"""Revision 0007: what a run learned from knows its channel, also when its message was deleted for its age."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

PLACES = """
UPDATE run_examples SET channel_id = COALESCE((
    SELECT t.channel_id FROM messages m JOIN threads t ON t.id = m.thread_id WHERE m.id = run_examples.row_id
), '') WHERE row_table = 'messages'
"""


def upgrade() -> None:
    op.add_column("run_examples", sa.Column("channel_id", sa.String(length=32), server_default="", nullable=False))
    op.execute(PLACES)  # nobody knows any more where a message was said that is gone already


def downgrade() -> None:
    with op.batch_alter_table("run_examples") as batch_op:
        batch_op.drop_column("channel_id")

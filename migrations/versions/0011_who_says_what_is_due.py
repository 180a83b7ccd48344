"""Revision 0011: which process has begun a due time, so that another takes it over as soon as that one is gone."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("schedule_occurrences", sa.Column("worker_id", sa.String(length=26), nullable=True))


def downgrade() -> None:
    op.drop_column("schedule_occurrences", "worker_id")

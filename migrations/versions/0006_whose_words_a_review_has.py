"""Revision 0006: a review remembers who wrote the words that it puts in the place of a correction's."""

from secrets import token_hex

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WAITING, EDITED = "waiting", "edited"
REVIEWS = sa.table("reviews", *map(sa.column, ("correction_id", "state", "text", "by", "id", "user_id")))
AUDIT = sa.table("audit", *map(sa.column, ("number", "actor", "action", "target")), sa.column("details", sa.JSON))
LEARNED = """
INSERT INTO run_examples (run_id, row_table, row_id, user_id, source, split, weight, sha256)
SELECT e.run_id, 'reviews', r.id, r.user_id, e.source, e.split, e.weight, e.sha256
FROM run_examples e JOIN reviews r ON e.row_table = 'corrections' AND e.row_id = r.correction_id
WHERE r.state = 'edited' AND r.id IS NOT NULL
"""


def upgrade() -> None:
    op.add_column("reviews", sa.Column("id", sa.String(length=26), nullable=True))
    op.add_column("reviews", sa.Column("user_id", sa.String(length=32), nullable=True))
    op.create_index(op.f("ix_reviews_user_id"), "reviews", ["user_id"])
    _find_writers()
    op.execute(LEARNED)  # what was learned before the words were changed counts too: nobody knows any more


def _find_writers() -> None:
    """Name who wrote what there is: whoever decided, or, of what another approved, who had it wait for that."""
    connection = op.get_bind()
    found = connection.execute(
        sa.select(REVIEWS.c.correction_id, REVIEWS.c.state, REVIEWS.c.by).where(REVIEWS.c.text != "")
    )
    for correction_id, state, by in found.all():
        decided = sa.select(AUDIT.c.actor, AUDIT.c.details).where(
            AUDIT.c.action == "dataset.review", AUDIT.c.target == correction_id
        )
        told = connection.execute(decided.order_by(AUDIT.c.number.desc())).all() if state == EDITED else []
        waited = [actor for actor, details in told if (details or {}).get("state") == WAITING]
        words = {"id": token_hex(13), "user_id": (waited or [by])[0][:32]}
        connection.execute(sa.update(REVIEWS).where(REVIEWS.c.correction_id == correction_id).values(words))


def downgrade() -> None:
    op.drop_index(op.f("ix_reviews_user_id"), "reviews")
    with op.batch_alter_table("reviews") as batch_op:
        batch_op.drop_column("user_id")
        batch_op.drop_column("id")

"""Revision 0008: a reviewer's no outlives its question, and the number of a reminder is never given again."""

from hashlib import blake2b, sha256
from secrets import token_hex

import sqlalchemy as sa
from alembic import op

from bot.storage import types

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

REJECTED = """
SELECT m.text, c.text, r.at FROM reviews r JOIN corrections c ON c.id = r.correction_id
JOIN answers a ON a.id = c.answer_id JOIN messages m ON m.id = a.message_id
WHERE r.state = 'rejected'
"""


def upgrade() -> None:
    _keep_refused_words()
    if op.get_bind().dialect.name == "sqlite":  # PostgreSQL never gave one again
        _count_on()


def _count_on() -> None:
    """Build the table anew, which alone can change it; what hangs on its rows goes with them, and comes back."""
    op.execute("CREATE TEMP TABLE kept AS SELECT * FROM schedule_occurrences")
    with op.batch_alter_table("schedules", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
        pass
    op.execute("INSERT INTO schedule_occurrences SELECT * FROM kept")
    op.execute("DROP TABLE kept")


def _keep_refused_words() -> None:
    refused = op.create_table(
        "refused_words",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("is_lifted", sa.Boolean(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_words")),
    )
    found = op.get_bind().execute(sa.text(REJECTED).columns(at=types.UtcDateTime())).all()
    for question, text, at in found:
        salt = token_hex(13)
        words = salt.encode() + _key_of(question) + _key_of(text)
        row = {"id": salt, "sha256": sha256(words).hexdigest(), "is_lifted": False, "at": at}
        op.execute(refused.insert().values(row))


def _key_of(text: str) -> bytes:
    """Return what `bot.storage.signals.key_of` did when this was written."""
    plain = " ".join(text.casefold().split()).rstrip(".!?… ")
    return blake2b(plain.encode(errors="replace"), digest_size=12).digest()


def downgrade() -> None:
    op.drop_table("refused_words")

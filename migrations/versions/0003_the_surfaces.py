"""Revision 0003: the assistant as people live with it in Slack."""

import sqlalchemy as sa
from alembic import op

from bot.storage import types
from bot.storage.learning_tables import AuditRow
from bot.storage.sealing import START, compute_seal

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        (
            "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
        ),
        (
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
        ),
    ],
}
CHANGEABLE = {
    "sqlite": ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
    "postgresql": ["DROP TRIGGER audit_append_only ON audit", "DROP FUNCTION refuse_audit_change()"],
}


def upgrade() -> None:
    _installing_tables()
    _manners_tables()
    _file_tables()
    _admin_tables()
    _asking_tables()
    _memory_tables()
    _person_tables()
    _feedback_tables()
    _worker_tables()
    _erasure_table()
    _spending_table()
    _chain_the_audit()


def downgrade() -> None:
    op.drop_table("spending")
    _drop_worker_tables()
    op.drop_table("erasures")
    for table in ("verdicts", "lessons", "implicit_signals"):
        op.drop_table(table)
    _drop_person_tables()
    _drop_memory_tables()
    for table in ("candidates", "askings"):
        op.drop_table(table)
    for table in ("answer_files", "message_files"):
        op.drop_table(table)
    _unchain_the_audit()
    for table in ("notices", "reviews", "limits", "user_rights"):
        op.drop_table(table)
    _drop_manners_tables()
    for table in ("installations", "org_teams", "event_sightings", "channel_personas"):
        op.drop_table(table)


def _erasure_table() -> None:
    """What went, by its id and checksum: proof that it is gone, and a guard against its coming back."""
    op.create_table(
        "erasures",
        sa.Column("row_table", sa.String(length=32), nullable=False),
        sa.Column("row_id", sa.String(length=26), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("scope", sa.String(length=128), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("row_table", "row_id", name=op.f("pk_erasures")),
    )
    op.create_index(op.f("ix_erasures_at"), "erasures", ["at"])


def _spending_table() -> None:
    """What the model computed beside answers."""
    op.create_table(
        "spending",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("channel_id", sa.String(length=32), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spending")),
    )
    op.create_index("ix_spending_user", "spending", ["user_id", "at"])
    op.create_index("ix_spending_channel", "spending", ["channel_id", "at"])


def _worker_tables() -> None:
    """Which processes answer, what each has begun, and until when Slack was heard."""
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("place", sa.String(length=255), nullable=False),
        sa.Column("beats", sa.Integer(), nullable=False),
        sa.Column("began_at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "heard_until",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heard_until")),
    )
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.add_column(sa.Column("worker_id", sa.String(length=26), nullable=True))
        batch_op.add_column(sa.Column("is_stopping", sa.Boolean(), nullable=False, server_default=sa.false()))


def _drop_worker_tables() -> None:
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_column("is_stopping")
        batch_op.drop_column("worker_id")
    op.drop_table("heard_until")
    op.drop_table("workers")


def _person_tables() -> None:
    """What each person wants, and what they say beside a thumb."""
    op.create_table(
        "preferences",
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("length", sa.String(length=8), nullable=False),
        sa.Column("streams", sa.Boolean(), nullable=False),
        sa.Column("adapter", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("shown", sa.String(length=16), nullable=False, server_default=""),
        sa.Column("has_hints", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("hinted_at", types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_preferences")),
    )
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.add_column(sa.Column("comment", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("source", sa.String(length=16), nullable=False, server_default="button"))
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("picture_id", sa.String(length=32), nullable=False, server_default=""))


def _drop_person_tables() -> None:
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_column("picture_id")
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.drop_column("source")
        batch_op.drop_column("comment")
    op.drop_table("preferences")


def _feedback_tables() -> None:
    """What people show without saying it, what others may teach of them, and what they find better."""
    op.create_table(
        "implicit_signals",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("answer_id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_implicit_signals_answer_id_answers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_implicit_signals")),
        sa.UniqueConstraint(
            "answer_id", "user_id", "source", name=op.f("uq_implicit_signals_answer_id_user_id_source")
        ),
    )
    op.create_index(op.f("ix_implicit_signals_user_id"), "implicit_signals", ["user_id"])
    op.create_table(
        "lessons",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("channel_id", sa.String(length=32), nullable=False),
        sa.Column("ts", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("asked_by", sa.String(length=32), nullable=False),
        sa.Column("audience", sa.String(length=16), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("correction_id", sa.String(length=26), nullable=True),
        sa.Column("asked_at", types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["correction_id"], ["corrections.id"], name=op.f("fk_lessons_correction_id_corrections"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lessons")),
        sa.UniqueConstraint("team_id", "channel_id", "ts", name=op.f("uq_lessons_team_id_channel_id_ts")),
    )
    op.create_index(op.f("ix_lessons_user_id"), "lessons", ["user_id"])
    op.create_table(
        "verdicts",
        sa.Column("correction_id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("vote", sa.String(length=8), nullable=False),
        sa.Column("adapter", sa.String(length=200), nullable=False),
        sa.Column("created_at", types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["correction_id"],
            ["corrections.id"],
            name=op.f("fk_verdicts_correction_id_corrections"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("correction_id", name=op.f("pk_verdicts")),
    )
    op.create_index(op.f("ix_verdicts_user_id"), "verdicts", ["user_id"])


def _memory_tables() -> None:
    """How corrections are found, what answers were made from, and what long threads say in few words."""
    with op.batch_alter_table("messages") as messages:
        messages.add_column(sa.Column("edited_at", types.UtcDateTime(timezone=True), nullable=True))
    op.create_table(
        "correction_terms",
        sa.Column("term", sa.String(length=32), nullable=False),
        sa.Column("correction_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(
            ["correction_id"],
            ["corrections.id"],
            name=op.f("fk_correction_terms_correction_id_corrections"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("term", "correction_id", name=op.f("pk_correction_terms")),
    )
    op.create_index(op.f("ix_correction_terms_correction_id"), "correction_terms", ["correction_id"])
    op.create_table(
        "correction_vectors",
        sa.Column("correction_id", sa.String(length=26), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["correction_id"],
            ["corrections.id"],
            name=op.f("fk_correction_vectors_correction_id_corrections"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("correction_id", "model", name=op.f("pk_correction_vectors")),
    )
    op.create_table(
        "answer_sources",
        sa.Column("answer_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("ref_id", sa.String(length=64), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_answer_sources_answer_id_answers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("answer_id", "position", name=op.f("pk_answer_sources")),
    )
    op.create_index(op.f("ix_answer_sources_ref_id"), "answer_sources", ["ref_id"])
    op.create_table(
        "answer_traces",
        sa.Column("answer_id", sa.String(length=26), nullable=False),
        sa.Column("generating_at", types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("certainty", sa.Double(), nullable=True),
        sa.Column("unsure", sa.JSON(), nullable=False),
        sa.Column("prompts", sa.JSON(), nullable=False),
        sa.Column("is_chosen", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_answer_traces_answer_id_answers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("answer_id", name=op.f("pk_answer_traces")),
    )
    op.create_table(
        "thread_summaries",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("thread_id", sa.String(length=26), nullable=False),
        sa.Column("until_ts", sa.String(length=32), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("prompt_version", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("fk_thread_summaries_thread_id_threads"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thread_summaries")),
        sa.UniqueConstraint("thread_id", name=op.f("uq_thread_summaries_thread_id")),
    )


def _drop_memory_tables() -> None:
    for name in ("thread_summaries", "answer_traces", "answer_sources", "correction_vectors", "correction_terms"):
        op.drop_table(name)
    with op.batch_alter_table("messages") as messages:
        messages.drop_column("edited_at")


def _installing_tables() -> None:
    """Where the app is installed, and how it speaks in each channel."""
    op.create_table(
        "channel_personas",
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("channel_id", sa.String(length=32), nullable=False),
        sa.Column("persona", sa.String(length=32), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "channel_id", name=op.f("pk_channel_personas")),
    )
    op.create_table(
        "org_teams",
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("enterprise_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_org_teams")),
    )
    op.create_table(
        "event_sightings",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_event_sightings")),
    )
    op.create_table(
        "installations",
        sa.Column("enterprise_id", sa.String(length=32), nullable=False),
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("app_id", sa.String(length=32), nullable=False),
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("bot_user_id", sa.String(length=32), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("installed_by", sa.String(length=32), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("enterprise_id", "team_id", name=op.f("pk_installations")),
    )


def _admin_tables() -> None:
    """What admins decide: rights of people, limits, what reviewers made of rows, notices."""
    op.create_table(
        "user_rights",
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("right", sa.String(length=16), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_user_rights")),
    )
    op.create_table(
        "limits",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject_id", name=op.f("pk_limits")),
    )
    op.create_table(
        "reviews",
        sa.Column("correction_id", sa.String(length=26), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["correction_id"],
            ["corrections.id"],
            name=op.f("fk_reviews_correction_id_corrections"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("correction_id", name=op.f("pk_reviews")),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("posts", sa.JSON(), nullable=False),
        sa.Column("withdrawn_at", types.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )


def _chain_the_audit() -> None:
    """Number and seal the rows of the audit log that are there, and let none be changed or deleted from now on."""
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.add_column(sa.Column("number", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("seal", sa.String(length=64), nullable=True))
    seal, connection = START, op.get_bind()
    audit = sa.table("audit")
    rows = connection.scalars(sa.select(sa.column("id", sa.String())).select_from(audit).order_by(sa.text("at, id")))
    columns = [sa.column(name, sa.String()) for name in ("id", "actor", "action", "target")]
    typed = [sa.column("at", types.UtcDateTime(timezone=True)), sa.column("details", sa.JSON())]
    for number, row_id in enumerate(rows.all(), 1):
        found = connection.execute(
            sa.select(*columns, *typed).select_from(sa.table("audit")).where(sa.column("id") == row_id)
        )
        seal = compute_seal(seal, AuditRow(**found.mappings().one(), number=number))
        connection.execute(
            sa.text("UPDATE audit SET number = :number, seal = :seal WHERE id = :id"),
            {"number": number, "seal": seal, "id": row_id},
        )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.alter_column("number", existing_type=sa.Integer(), nullable=False)
        batch_op.alter_column("seal", existing_type=sa.String(length=64), nullable=False)
        batch_op.create_unique_constraint(op.f("uq_audit_number"), ["number"])
    for statement in APPEND_ONLY[connection.dialect.name]:
        op.execute(statement)


def _unchain_the_audit() -> None:
    for statement in CHANGEABLE[op.get_bind().dialect.name]:
        op.execute(statement)
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("uq_audit_number"), type_="unique")
        batch_op.drop_column("seal")
        batch_op.drop_column("number")


def _file_tables() -> None:
    """What was shared with messages, and what of it answers were made from."""
    op.create_table(
        "message_files",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("message_id", sa.String(length=26), nullable=False),
        sa.Column("slack_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("mimetype", sa.String(length=100), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("permalink", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("pages", sa.JSON(), nullable=False),
        sa.Column("is_cut", sa.Boolean(), nullable=False),
        sa.Column("audience", sa.String(length=16), nullable=False),
        sa.Column("created_at", types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_message_files_message_id_messages"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_files")),
        sa.UniqueConstraint("message_id", "slack_id", name=op.f("uq_message_files_message_id_slack_id")),
    )
    op.create_index(op.f("ix_message_files_slack_id"), "message_files", ["slack_id"])
    op.create_table(
        "answer_files",
        sa.Column("answer_id", sa.String(length=26), nullable=False),
        sa.Column("file_id", sa.String(length=26), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_answer_files_answer_id_answers"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["file_id"], ["message_files.id"], name=op.f("fk_answer_files_file_id_message_files"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("answer_id", "file_id", name=op.f("pk_answer_files")),
    )


def _manners_tables() -> None:
    """What channels want, how it stands in threads, what belongs to one turn, and what is due at a certain time."""
    op.create_table(
        "channel_settings",
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("channel_id", sa.String(length=32), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("merge_ms", sa.Integer(), nullable=True),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "channel_id", name=op.f("pk_channel_settings")),
    )
    op.create_table(
        "thread_manners",
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("channel_id", sa.String(length=32), nullable=False),
        sa.Column("thread_ts", sa.String(length=32), nullable=False),
        sa.Column("active_ts", sa.String(length=32), nullable=False),
        sa.Column("is_muted", sa.Boolean(), nullable=False),
        sa.Column("is_talk", sa.Boolean(), nullable=False),
        sa.Column("is_told", sa.Boolean(), nullable=False),
        sa.Column("is_refused", sa.Boolean(), nullable=False),
        sa.Column("talkers", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "channel_id", "thread_ts", name=op.f("pk_thread_manners")),
    )
    op.create_index(op.f("ix_thread_manners_active_ts"), "thread_manners", ["active_ts"])
    op.create_table(
        "bot_words",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("bot_id", sa.String(length=32), nullable=False),
        sa.Column("at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bot_words")),
    )
    op.create_index("ix_bot_words_pair", "bot_words", ["team_id", "bot_id", "at"])
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ready_at", types.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("bundle_id", sa.Integer(), nullable=True))
    _schedule_tables()


def _drop_manners_tables() -> None:
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_column("bundle_id")
        batch_op.drop_column("ready_at")
    for table in ("schedule_occurrences", "schedules", "bot_words", "thread_manners", "channel_settings"):
        op.drop_table(table)


def _schedule_tables() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("channel_id", sa.String(length=32), nullable=False),
        sa.Column("thread_ts", sa.String(length=32), nullable=False),
        sa.Column("source_id", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("cron", sa.String(length=100), nullable=False),
        sa.Column("tz", sa.String(length=64), nullable=False),
        sa.Column("next_at", types.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", types.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
    )
    for column in ("user_id", "channel_id", "next_at"):
        op.create_index(op.f(f"ix_schedules_{column}"), "schedules", [column])
    op.create_table(
        "schedule_occurrences",
        sa.Column("schedule_id", sa.Integer(), nullable=False),
        sa.Column("due_at", types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("until", types.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", types.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["schedule_id"],
            ["schedules.id"],
            name=op.f("fk_schedule_occurrences_schedule_id_schedules"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("schedule_id", "due_at", name=op.f("pk_schedule_occurrences")),
    )


def _asking_tables() -> None:
    """How questions were put, and which of several answers somebody chose."""
    op.create_table(
        "askings",
        sa.Column("message_id", sa.String(length=26), nullable=False),
        sa.Column("length", sa.String(length=8), nullable=False),
        sa.Column("keeps_history", sa.Boolean(), nullable=False),
        sa.Column("candidates", sa.Integer(), nullable=False),
        sa.Column("is_private", sa.Boolean(), nullable=False),
        sa.Column("shared_ts", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_askings_message_id_messages"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_askings")),
    )
    op.create_table(
        "candidates",
        sa.Column("answer_id", sa.String(length=26), nullable=False),
        sa.Column("message_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("stands", sa.Boolean(), nullable=False),
        sa.Column("chosen_at", types.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_candidates_answer_id_answers"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_candidates_message_id_messages"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("answer_id", name=op.f("pk_candidates")),
    )
    op.create_index(op.f("ix_candidates_message_id"), "candidates", ["message_id"])

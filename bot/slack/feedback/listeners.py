"""Every listener of this room, registered in one place."""

from slack_bolt.async_app import AsyncApp

from bot.slack.feedback.afterwards import register_hints
from bot.slack.feedback.lessons import Lessons, register_lessons
from bot.slack.feedback.reactions import Reactions, register_reactions
from bot.slack.feedback.verdicts import register_verdicts
from bot.storage.db import Database


def register_feedback(app: AsyncApp, *, database: Database, reactions: Reactions, lessons: Lessons) -> None:
    """Register reactions, the author's answer to a lesson, what is better now, and the end of reminders."""
    register_reactions(app, reactions)
    register_lessons(app, lessons)
    register_verdicts(app, database)
    register_hints(app, database)

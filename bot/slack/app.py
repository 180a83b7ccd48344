"""The Bolt app: every listener, registered in one place."""

import logging
from collections.abc import Sequence
from pathlib import Path

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.admin.budgets import Budgets
from bot.engine.client import EngineClient
from bot.learning.control import Learning
from bot.slack.calls import Calls
from bot.slack.commands.asking import ASK
from bot.slack.commands.order_buttons import register_order_buttons
from bot.slack.commands.orders import Command
from bot.slack.commands.preferences import build_preference_commands
from bot.slack.commands.review import register_review
from bot.slack.commands.status import build_status_commands
from bot.slack.commands.table import Desk, register_commands
from bot.slack.commands.thread_orders import ThreadOrders
from bot.slack.commands.turns import build_turn_commands
from bot.slack.events import register_events, register_intake, register_stop
from bot.slack.feedback.lessons import Lessons
from bot.slack.feedback.listeners import register_feedback
from bot.slack.feedback.reactions import Reactions
from bot.slack.home.actions import register_home
from bot.slack.home.page import Home
from bot.slack.home.suggestions import Suggestions
from bot.slack.intake import Intake
from bot.slack.learning.actions import register_learning
from bot.slack.learning.commands import build_learning_commands
from bot.slack.learning.why import register_why
from bot.slack.listeners import Endings, OthersEvents
from bot.slack.people.access import Access
from bot.slack.people.channel_modal import ChannelForm, build_channel_form_commands, register_channel_form
from bot.slack.people.directory import Directory
from bot.slack.people.rights import register_rights
from bot.slack.people.speech import Speech, register_speech
from bot.slack.setup.installing import build_identity, register_endings
from bot.slack.sightings import register_sightings
from bot.slack.tools.commands import build_tool_commands
from bot.slack.tools.shortcuts import register_shortcuts
from bot.slack.tools.tools import Tools
from bot.slack.turns.actions import register_actions
from bot.slack.turns.answering import Answering
from bot.slack.turns.changes import Changes, register_changes
from bot.slack.turns.choosing import register_choosing
from bot.slack.turns.edits import Edits, register_edits
from bot.slack.turns.manners import build_manner_commands, register_manners
from bot.slack.turns.sharing import register_sharing
from bot.slack.turns.turns import Turns
from bot.slack.workspaces import Workspaces
from bot.storage.db import Database


def build_slack_app(
    client: AsyncWebClient,
    *,
    identity: AuthorizeResult,
    signing_secret: str,
    database: Database,
    turns: Turns,
    answering: Answering,
    directory: Directory,
    calls: Calls,
    engine: EngineClient,
    access: Access,
    intake: Intake,
    speech: Speech,
    tools: Tools,
    reactions: Reactions,
    learning: Learning,
    budgets: Budgets,
    folder: Path,
    workspaces: Workspaces | None = None,
    commands: Sequence[Command] = (),
) -> AsyncApp:
    """Build the app that answers Slack's requests over either transport.

    *commands* are those that need what only the composition root has; *folder* is where data are kept.
    """
    app = _build_bolt(client, identity=identity, workspaces=workspaces, signing_secret=signing_secret)
    _register_door(app, intake, speech, access, workspaces, directory=directory, database=database, calls=calls)
    _register_turns(app, intake, turns, answering, access=access, directory=directory, database=database, calls=calls)
    home = Home(
        database, calls, access=access, speech=speech, engine=engine, learning=learning, budgets=budgets, folder=folder
    )
    register_events(app, turns=turns, home=home, suggestions=Suggestions(database, calls, directory))
    form = ChannelForm(database, calls, access, learning)
    register_channel_form(app, form)
    # Whoever has orders to offer adds a list here; help names them in this order.
    every_command = [
        *build_turn_commands(database, answering, turns.wake),
        *build_status_commands(database, engine, learning, budgets),
        *build_manner_commands(database, calls),
        *build_preference_commands(database, learning),
        *build_tool_commands(tools),
        *build_channel_form_commands(form),
        *build_learning_commands(learning, access),
        *commands,
    ]
    every_command.sort(key=lambda command: command.name != ASK)  # what people want most comes first
    desk = Desk(every_command, role_for=access.role_for)
    register_commands(app, desk=desk)
    lessons = Lessons(database, calls, access=access, directory=directory, wake=turns.wake)
    intake.commands, turns.orders, turns.asides.lessons = desk.commands, ThreadOrders(desk, calls, database), lessons
    register_order_buttons(app, desk=desk, database=database)
    register_shortcuts(app, tools=tools, database=database, calls=calls, directory=directory, lessons=lessons)
    register_feedback(app, database=database, reactions=reactions, lessons=lessons)
    register_review(app, database=database, calls=calls, access=access)
    register_home(app, home=home, desk=desk)
    register_learning(app, learning=learning, calls=calls, access=access, database=database)
    register_why(app, database=database, calls=calls, learning=learning, access=access)
    answering.writing.explains = True
    return app


def _register_door(
    app: AsyncApp,
    intake: Intake,
    speech: Speech,
    access: Access,
    workspaces: Workspaces | None,
    *,
    directory: Directory,
    database: Database,
    calls: Calls,
) -> None:
    """Register what everything passes first, in this order."""
    register_intake(app, intake, directory)
    register_sightings(app, database)
    register_speech(app, speech)
    register_endings(app, workspaces, calls, intake.doubt.begin)
    register_rights(app, access=access, calls=calls)


def _register_turns(
    app: AsyncApp,
    intake: Intake,
    turns: Turns,
    answering: Answering,
    *,
    access: Access,
    directory: Directory,
    database: Database,
    calls: Calls,
) -> None:
    """Register what people do with questions and answers."""
    app.listener_runner.listener_start_handler = turns.listeners  # a stop waits for them
    app.listener_runner.listener_completion_handler = Endings()
    edits = Edits(database, turns, answering, intake)
    register_edits(app, edits)
    changes = Changes(database, answering=answering, directory=directory, edits=edits, newest=intake.edits, calls=calls)
    register_changes(app, changes)
    register_stop(app, database=database, answering=answering, calls=calls, access=access)
    register_manners(app, database=database, calls=calls)
    register_actions(
        app, database=database, turns=turns, answering=answering, calls=calls, access=access, directory=directory
    )
    register_choosing(app, database=database, calls=calls, answering=answering)
    register_sharing(app, database=database, calls=calls, directory=directory, answering=answering)


def _build_bolt(
    client: AsyncWebClient, *, identity: AuthorizeResult, workspaces: Workspaces | None, signing_secret: str
) -> AsyncApp:
    """Build Slack's own framework, which hears and acknowledges."""
    logger = logging.getLogger("bot.slack.bolt")

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult | None:
        """Say who we are without asking Slack: Bolt would drop the event whenever that question fails."""
        if workspaces is None:
            return identity
        return build_identity(await workspaces.enter(team_id or "", enterprise_id or ""))

    logger.setLevel(logging.ERROR)  # Bolt warns that it will not use the client's token, which is what we want
    app = AsyncApp(
        client=client,
        authorize=authorize,  # type: ignore[arg-type]  # Bolt takes None for: not installed there
        signing_secret=signing_secret or None,
        logger=logger,
        attaching_conversation_kwargs_enabled=False,
        ignoring_self_events_enabled=False,
    )
    app.middleware(OthersEvents(base_logger=logger))
    logger.setLevel(logging.WARNING)
    return app

"""Parts of the Slack side as the settings want them: the composition root puts them together."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from bot.conversation.turn import Assistant
from bot.ground import Ground
from bot.settings import Settings
from bot.slack.commands.orders import Command
from bot.slack.feedback.afterwards import Afterwards
from bot.slack.feedback.missed_reactions import MissedReactions
from bot.slack.feedback.reactions import Reactions
from bot.slack.files.desk import FileDesk
from bot.slack.intake import Intake, Manners
from bot.slack.people.access import Access, Home
from bot.slack.people.directory import Directory
from bot.slack.people.gating import Guests
from bot.slack.people.readers import Readers
from bot.slack.people.rooms import Rooms
from bot.slack.schedule.digests import ChannelDigests
from bot.slack.schedule.scheduling import Job, build_scheduling
from bot.slack.throttle import Limits
from bot.slack.turns.answering import Answering
from bot.slack.turns.catch_up import CatchUp
from bot.slack.turns.duty import Duty
from bot.slack.turns.edits import Edits
from bot.slack.turns.meanwhile import Meanwhile
from bot.slack.turns.missed_changes import MissedChanges
from bot.slack.turns.offers import Offers
from bot.slack.turns.turns import Turns
from bot.slack.turns.writing import Writing
from bot.storage.stopping import is_stopping


def read_limits(settings: Settings) -> Limits:
    """Return how much may be asked at once."""
    return Limits(settings.messages_per_person, settings.messages_per_channel, settings.messages_waiting)


def build_manners(settings: Settings) -> Manners:
    """Return how it behaves where no channel says otherwise."""
    return Manners(
        merge_s=settings.merge_seconds,
        idle_s=settings.thread_idle_hours * 3600,
        guests=Guests(frozenset(settings.allowed_team_ids), frozenset(settings.allowed_bot_ids)),
        limits=read_limits(settings),
        keeps_signs=settings.implicit_feedback,
    )


def build_access(settings: Settings, ground: Ground, directory: Directory) -> Access:
    """Know everybody's role."""
    identity = ground.identity
    home = Home(identity.team_id or "", identity.enterprise_id or "", frozenset(settings.allowed_team_ids))
    return Access(ground.database, directory, owners=frozenset(settings.admin_user_ids), home=home)


def build_answering(
    settings: Settings, ground: Ground, assistant: Assistant, directory: Directory, *, files: FileDesk, access: Access
) -> Answering:
    """Build what brings a message to its answer, and what is done beside that."""
    afterwards = Afterwards(
        ground.database,
        ground.calls,
        keeps_signs=settings.implicit_feedback,
        hint_answers=settings.feedback_hint_answers,
        hint_weeks=settings.feedback_hint_weeks,
    )
    writing = Writing(
        assistant,
        Offers(ground.database, assistant, share=settings.side_by_side_share),
        calls=ground.calls,
        files=files,
        afterwards=afterwards,
        are_ours=Readers(ground.calls, access).are_ours,
    )
    return Answering(
        assistant,
        writing,
        calls=ground.calls,
        directory=directory,
        afterwards=afterwards,
        is_stopping=partial(is_stopping, ground.database),
        bot_user_id=ground.identity.bot_user_id or "",
    )


def build_schedules(
    settings: Settings,
    ground: Ground,
    directory: Directory,
    rooms: Rooms,
    digests: ChannelDigests,
    *,
    duty: Duty,
    jobs: Callable[[Job, Job], None],
) -> list[Command]:
    """Build the orders for what is said by the clock, and let *jobs* look for what is due."""
    return build_scheduling(
        ground.database,
        directory,
        rooms,
        late_hours=settings.schedule_late_hours,
        add_jobs=jobs,
        write_digest=digests.write,
        duty=duty,
    )


def build_reactions(settings: Settings, ground: Ground, access: Access) -> Reactions:
    """Read the emoji that the settings name as votes."""
    emoji = {"ups": settings.feedback_up_emoji, "downs": settings.feedback_down_emoji}
    return Reactions(ground.database, ground.calls, access, **emoji)


async def build_catch_up(
    settings: Settings,
    ground: Ground,
    intake: Intake,
    turns: Turns,
    *,
    answering: Answering,
    reactions: Reactions,
) -> CatchUp:
    """Build what looks for messages that came while nobody heard them, and let *turns* put them in their order."""
    missed = MissedReactions(ground.database, ground.calls, reactions)
    edits = Edits(ground.database, turns, answering, intake)
    catch_up = CatchUp(
        ground.database,
        ground.calls,
        intake,
        identity=ground.identity,
        workspaces=ground.workspaces,
        wake=turns.wake,
        changes=MissedChanges(ground.database, ground.calls, answering.read_words, missed, edits),
        fresh=timedelta(hours=settings.catch_up_hours),
    )
    await catch_up.begin()
    turns.earlier = catch_up.earlier.look_before
    turns.when_dismissing(intake.doubt.begin_at_dismissal)
    own = ground.identity.bot_user_id or ""
    directory = Directory(ground.calls, ground.database)
    turns.meanwhile = Meanwhile(ground.database, ground.calls, directory, answering, edits, bot_user_id=own).follow
    return catch_up

"""What a person does with the app: commands, buttons, modals, Stop, and the titles of sessions."""

from __future__ import annotations

from bot.playground import events
from bot.playground.blocks import find_element
from bot.playground.entities import Json, Message
from bot.playground.errors import PageError, SlackError
from bot.playground.home import find_home
from bot.playground.hub import Hub
from bot.playground.interactions import (
    FAILED,
    act_in_view,
    build_action,
    click_message,
    close_view,
    run_command,
    run_message_shortcut,
    submit_view,
    suggest_options,
)
from bot.playground.messaging import find_ephemeral
from bot.playground.modals import Modal
from bot.playground.page.request import PageRequest
from bot.playground.responses import respond
from bot.playground.sessions import rename
from bot.playground.streams import press_stop
from bot.playground.triggers import ResponseTicket

MAX_TITLE = 200
MAX_OPTIONS = 100
COMMAND_ERRORS = {"timeout": "operation_timeout", "http_timeout": "operation_timeout"}


async def post_command(page: PageRequest) -> Json:
    """Run a slash command; in threads there are none."""
    hub, channel, user = page.hub, page.channel(), page.user
    command = page.text("command")
    if command not in {known.command for known in hub.app.commands}:
        return {"ok": False, "error": f"{command} is not a valid command."}
    if page.optional("thread_ts") is not None:
        return {"ok": False, "error": f"{command} is not supported in threads. Sorry!"}
    text = page.optional("text") or ""
    outcome = await run_command(hub, user=user, channel=channel, command=command, text=text)
    if not outcome.ok:
        error = COMMAND_ERRORS.get(outcome.reason, "dispatch_failed")
        return {"ok": False, "error": f"{command} failed with the error “{error}”"}
    if outcome.response:
        _respond_directly(hub, channel.id, user=user.id, response=outcome.response)
    return {"ok": True}


async def post_shortcut(page: PageRequest) -> Json:
    """Choose one of the app's shortcuts in the menu of a message."""
    hub, message, callback_id = page.hub, page.message(), page.text("callback_id")
    if not any(known.callback_id == callback_id and known.type == "message" for known in hub.manifest.shortcuts):
        raise PageError("The app has no such shortcut.", status=404)
    outcome = await run_message_shortcut(hub, user=page.user, message=message, callback_id=callback_id)
    if not outcome.ok:
        raise PageError(FAILED, status=502)
    return {"ok": True}


async def post_action(page: PageRequest) -> Json:
    """Press a button or choose something, below a message, in a modal or in the Home tab."""
    hub, user = page.hub, page.user
    block_id, action_id = page.text("block_id"), page.text("action_id")
    sent = page.value("action")
    if not isinstance(sent, dict):
        raise PageError("“action” must be an object.")
    if page.optional("view_id") is not None:
        modal = _own_view(page)
        action = _build(hub, modal.view["blocks"], block_id=block_id, action_id=action_id, sent=sent)
        outcome = await act_in_view(hub, user=user, modal=modal, action=action, values=_values(page))
    else:
        message = _clicked_message(page)
        action = _build(hub, message.blocks, block_id=block_id, action_id=action_id, sent=sent)
        outcome = await click_message(hub, user=user, message=message, action=action, values=_values(page))
    if not outcome.ok:
        raise PageError(FAILED, status=502)
    return {"ok": True}


async def post_options(page: PageRequest) -> Json:
    """Ask the app for the options of an external select."""
    hub, block_id, action_id = page.hub, page.text("block_id"), page.text("action_id")
    source = _own_view(page) if page.optional("view_id") is not None else _clicked_message(page)
    element = _find(source.view["blocks"] if isinstance(source, Modal) else source.blocks, block_id, action_id)
    typed = page.optional("value") or ""
    outcome = await suggest_options(hub, user=page.user, source=source, element=element, block_id=block_id, typed=typed)
    if not outcome.ok:
        raise PageError(FAILED, status=502)
    return {"options": _suggested(outcome.response or {})}


async def post_view_submission(page: PageRequest) -> Json:
    """Submit a modal."""
    return await submit_view(page.hub, user=page.user, modal=_own_modal(page), values=_values(page))


async def post_view_closed(page: PageRequest) -> Json:
    """Close a modal."""
    await close_view(page.hub, user=page.user, modal=_own_modal(page))
    return {"ok": True}


def post_stop(page: PageRequest) -> Json:
    """Press Stop in a thread."""
    hub, channel, thread_ts = page.hub, page.membership(), page.text("thread_ts")
    session = hub.workspace.session(channel.id, thread_ts)
    if session is None or session.status != "processing":
        raise PageError("There is nothing to stop in this thread.", status=409)
    return {"ok": True, "stopped": press_stop(hub, channel.id, thread_ts, user=page.user.id)}


def post_rename(page: PageRequest) -> Json:
    """Give a session another title."""
    hub, channel, thread_ts = page.hub, page.membership(), page.text("thread_ts")
    title = page.text("title").strip()
    if not 1 <= len(title) <= MAX_TITLE:
        raise PageError(f"A title has 1 to {MAX_TITLE} characters.")
    session = hub.workspace.session(channel.id, thread_ts)
    if session is None:
        raise PageError("This thread has no session.", status=404)
    previous = session.title
    rename(hub, session, title)
    events.session_renamed(hub, channel, thread_ts=thread_ts, user=page.user.id, title=title, previous=previous)
    return {"ok": True}


def _respond_directly(hub: Hub, channel: str, *, user: str, response: Json) -> None:
    ticket = ResponseTicket(channel, user, message_ts=None, expires=0.0)
    try:
        respond(hub, ticket, response)
    except SlackError as error:
        details = "; ".join(error.messages) or error.code
        raise PageError(f"The app answered with a message that Slack would refuse ({details}).", status=502) from error


def _suggested(response: Json) -> list[Json]:
    """Return the options an app answers, whether they come in groups or not."""
    options, groups = response.get("options"), response.get("option_groups")
    if isinstance(groups, list):
        options = [option for group in groups if isinstance(group, dict) for option in group.get("options") or []]
    if not isinstance(options, list):
        raise PageError("The app answered without options.", status=502)
    return options[:MAX_OPTIONS]


def _build(hub: Hub, blocks: list[Json], *, block_id: str, action_id: str, sent: Json) -> Json:
    return build_action(hub, _find(blocks, block_id, action_id), block_id=block_id, sent=sent)


def _find(blocks: list[Json], block_id: str, action_id: str) -> Json:
    element = find_element(blocks, block_id, action_id)
    if element is None:
        raise PageError("This button does not exist any more.", status=404)
    return element


def _clicked_message(page: PageRequest) -> Message:
    channel, ts = page.channel(), page.text("message_ts")
    ephemeral = find_ephemeral(page.hub, channel.id, ts)
    if ephemeral is not None and ephemeral.ephemeral_user == page.user.id:
        return ephemeral
    return page.message("message_ts")


def _own_modal(page: PageRequest) -> Modal:
    modal = page.hub.modals.find(page.text("view_id"))
    if modal is None or modal.user != page.user.id:
        raise PageError("This dialog is closed.", status=404)
    return modal


def _own_view(page: PageRequest) -> Modal:
    home = find_home(page.hub, page.text("view_id"))
    return home if home is not None and home.user == page.user.id else _own_modal(page)


def _values(page: PageRequest) -> Json:
    state = page.value("state")
    values = state.get("values") if isinstance(state, dict) else None
    return values if isinstance(values, dict) else {}

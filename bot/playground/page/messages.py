"""What a person does with messages: write, edit, delete, react, type."""

from __future__ import annotations

from bot.playground.entities import Json, Message
from bot.playground.errors import PageError
from bot.playground.files import attach
from bot.playground.hub import Hub
from bot.playground.messaging import change, delete, post, react, unreact
from bot.playground.page.files import list_own
from bot.playground.page.request import PageRequest
from bot.playground.page.state import MAX_TEXT
from bot.playground.rich_text import build_blocks, encode_typed


def post_message(page: PageRequest) -> Json:
    """Say what the person typed, in a channel or a thread."""
    return {"message": {"ts": say(page, page.text("text")).ts}}


def post_prompt(page: PageRequest) -> Json:
    """Say what a suggested prompt says."""
    return {"message": {"ts": say(page, page.text("message")).ts}}


def patch_message(page: PageRequest) -> Json:
    """Change one of the person's own messages."""
    text = _checked(page.text("text"))
    message = _own_message(page)
    change(page.hub, message, editor=page.user.id, text=encode_typed(text), blocks=build_blocks(text))
    return {"ok": True}


def delete_message(page: PageRequest) -> Json:
    """Delete one of the person's own messages; an admin deletes those of others and of the app as well."""
    delete(page.hub, page.message() if page.user.is_admin else _own_message(page))
    return {"ok": True}


def post_reaction(page: PageRequest) -> Json:
    """Add or remove the person's reaction."""
    page.membership()
    act = unreact if page.value("remove") else react
    changed = act(page.hub, page.message(), user=page.user.id, name=page.text("name").strip(":"))
    return {"ok": True, "changed": changed}


def post_typing(page: PageRequest) -> Json:
    """Show the others in the channel that the person types."""
    channel = page.membership()
    others = {member for member in channel.members if member != page.user.id}
    page.hub.live.push({"type": "typing", "channel": channel.id, "user": page.user.id}, others)
    return {"ok": True}


def say(page: PageRequest, text: str) -> Message:
    """Post typed text as the person."""
    hub, channel = page.hub, page.membership()
    if channel.kind == "im" and not (hub.manifest.has_messages and hub.manifest.takes_messages):
        raise PageError("Sending messages to this app has been turned off.")
    files = list_own(page)
    typed = text if files and not text.strip() else _checked(text)
    message = Message(
        ts=hub.workspace.next_ts(hub.clock.now()),
        channel=channel.id,
        user=page.user.id,
        text=encode_typed(typed),
        blocks=build_blocks(typed),
        thread_ts=_thread_root(hub, channel.id, page.optional("thread_ts")),
        subtype="file_share" if files else None,
    )
    return post(hub, attach(message, files))


def _thread_root(hub: Hub, channel: str, thread_ts: str | None) -> str | None:
    if thread_ts is None:
        return None
    message = hub.workspace.find(channel, thread_ts)
    if message is None:
        raise PageError("This thread does not exist any more.", status=404)
    return message.thread_ts or message.ts


def _own_message(page: PageRequest) -> Message:
    message = page.message()
    if message.user != page.user.id or message.subtype not in {None, "file_share"}:
        raise PageError("You can only change your own messages.", status=403)
    return message


def _checked(text: str) -> str:
    if not text.strip():
        raise PageError("Write something first.")
    if len(text) > MAX_TEXT:
        raise PageError(f"A message has at most {MAX_TEXT:,} characters; this one has {len(text):,}.")
    return text

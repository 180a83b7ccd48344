"""assistant.threads.*: the legacy status line, titles, and suggested prompts."""

from __future__ import annotations

from dataclasses import asdict

from bot.playground.entities import Json, Prompts
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.sessions import ensure_session, rename, set_legacy_status
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.method import Method, require_channel, require_membership, require_thread

MAX_LOADING_MESSAGES = 10
MAX_PROMPTS = 4


def answer_set_status(hub: Hub, args: Arguments) -> Json:
    """Show a line of free text in a thread, or clear it with an empty one."""
    channel = require_channel(hub, args, "channel_id")
    args.required("thread_ts")
    if not args.has("status"):
        args.required("status")
    require_membership(hub, channel)
    messages = args.words("loading_messages")
    if len(messages) > MAX_LOADING_MESSAGES:
        problem = f"[ERROR] no more than {MAX_LOADING_MESSAGES} items allowed [json-pointer:/loading_messages]"
        raise SlackError("invalid_arguments", messages=[problem])
    session = ensure_session(hub, channel.id, str(require_thread(hub, channel, args)))
    set_legacy_status(hub, session, args.text("status") or "", loading_messages=messages)
    return {}


def answer_set_title(hub: Hub, args: Arguments) -> Json:
    """Give a thread a title."""
    channel = require_channel(hub, args, "channel_id")
    args.required("thread_ts")
    title = args.required("title")
    require_membership(hub, channel)
    rename(hub, ensure_session(hub, channel.id, str(require_thread(hub, channel, args))), title)
    return {}


def answer_set_suggested_prompts(hub: Hub, args: Arguments) -> Json:
    """Suggest prompts at the top of the app's DM; with thread_ts it silently does nothing, as for agent apps."""
    channel = require_channel(hub, args, "channel_id")
    prompts = args.json_list("prompts", error="invalid_arguments") or []
    if not prompts:
        args.required("prompts")
    if len(prompts) > MAX_PROMPTS:
        problem = f"[ERROR] no more than {MAX_PROMPTS} items allowed [json-pointer:/prompts]"
        raise SlackError("invalid_arguments", messages=[problem])
    for number, prompt in enumerate(prompts):
        for field in ("title", "message"):
            if not isinstance(prompt, dict) or not prompt.get(field):
                problem = f"[ERROR] missing required field: {field} [json-pointer:/prompts/{number}]"
                raise SlackError("invalid_arguments", messages=[problem])
    require_membership(hub, channel)
    if args.text("thread_ts") is None:
        suggested = Prompts(channel.id, None, args.text("title"), prompts)
        hub.workspace.keep_prompts(suggested)
        hub.live.push({"type": "prompts", "prompts": asdict(suggested)}, hub.workspace.viewers(channel))
        hub.changed()
    return {}


METHODS = (
    Method("assistant.threads.setStatus", answer_set_status, scope="chat:write"),
    Method("assistant.threads.setTitle", answer_set_title, scope="assistant:write"),
    Method("assistant.threads.setSuggestedPrompts", answer_set_suggested_prompts, scope="assistant:write"),
)

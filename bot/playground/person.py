"""For tests: somebody at the page, who does in this process what the page would let them do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bot.playground.entities import Json
from bot.playground.form_state import build_state, hold
from bot.playground.hub import Hub
from bot.playground.page import channels, files, interactions, messages, state
from bot.playground.page.request import PageRequest


def channel_id(hub: Hub, name: str) -> str:
    """Return a channel's id, given its id or its name with or without #."""
    if name in hub.workspace.channels:
        return name
    channel = hub.workspace.channel_named(name)
    if channel is None:
        raise LookupError(f"There is no channel {name}.")
    return channel.id


class Person:
    """Somebody at the page; a refused action raises PageError with the sentence the page would show."""

    def __init__(self, hub: Hub, user: str) -> None:
        self._hub = hub
        self.id = user

    @property
    def dm(self) -> str:
        """The id of their DM with the app."""
        channel = self._hub.workspace.direct_channel({self.id, self._hub.app.bot_user_id})
        if channel is None:
            raise LookupError(f"{self.id} has no DM with the app.")
        return channel.id

    async def say(self, channel: str, text: str, thread_ts: str | None = None) -> str:
        """Write a message and return its timestamp; mention the app as <@U0APPRENTICE>."""
        answer = messages.post_message(self._page(channel, text=text, thread_ts=thread_ts))
        return str(answer["message"]["ts"])

    async def share(
        self, channel: str, content: bytes | str, *, name: str, text: str = "", thread_ts: str | None = None
    ) -> str:
        """Upload a file and share it with a message; return the message's timestamp."""
        raw = content.encode() if isinstance(content, str) else content
        file = files.post_file(self._page(None, content=raw, name=name))["file"]
        answer = messages.post_message(self._page(channel, text=text, thread_ts=thread_ts, files=[file["id"]]))
        return str(answer["message"]["ts"])

    async def delete_file(self, file_id: str) -> None:
        """Delete one's own file wherever it was shared."""
        files.delete_file(self._page(None, file=file_id))

    async def edit(self, channel: str, ts: str, text: str) -> None:
        """Change one's own message."""
        messages.patch_message(self._page(channel, ts=ts, text=text))

    async def delete(self, channel: str, ts: str) -> None:
        """Delete one's own message, or as an admin anybody's."""
        messages.delete_message(self._page(channel, ts=ts))

    async def react(self, channel: str, ts: str, name: str, *, remove: bool = False) -> None:
        """Add or remove a reaction."""
        messages.post_reaction(self._page(channel, ts=ts, name=name, remove=remove))

    async def open(self, channel: str) -> None:
        """Look at a conversation."""
        channels.post_open(self._page(channel))

    async def invite(self, channel: str, user: str) -> None:
        """Bring somebody, or the app, into a channel."""
        channels.post_invite(self._page(channel, invitee=user))

    async def open_home(self) -> None:
        """Open the app's Home tab."""
        channels.post_open(self._page(self.dm, tab="home"))

    async def act_in_home(self, action_id: str, value: Any = None) -> None:
        """Use an element of the Home tab."""
        home = self._hub.workspace.homes.get(self.id)
        if home is None:
            raise LookupError(f"The app has not published a Home for {self.id}.")
        await self._act_in(home, action_id, value)

    def file(self, file_id: str) -> tuple[str, bytes]:
        """Return a file's type and bytes as the page would get them."""
        found = files.get_file(self._page(None, file=file_id))
        return found.content_type, bytes(found.body) if isinstance(found.body, bytes) else b""

    async def click(self, message: Json, action_id: str, value: Any = None) -> None:
        """Press a button of a message, or choose *value*; feedback takes a value or positive_button."""
        for block in message["blocks"]:
            for element in [*block.get("elements", []), block.get("accessory")]:
                if isinstance(element, dict) and element.get("action_id") == action_id:
                    action = {"type": element["type"], **(hold(element, value) if value is not None else {})}
                    where = {"message_ts": message["ts"], "block_id": block["block_id"], "action_id": action_id}
                    await interactions.post_action(self._page(message["channel"], action=action, **where))
                    return
        raise LookupError(f"The message has no element {action_id}.")

    async def submit_view(self, answers: Mapping[str, Any] | None = None, *, view_id: str | None = None) -> Json:
        """Submit a modal (the top one) with answers by block_id or action_id; return what the page is told."""
        view = self._view(view_id)
        values = build_state(view["blocks"], answers or {})
        page = self._page(None, view_id=view["id"], state={"values": values})
        return await interactions.post_view_submission(page)

    async def act_in_view(self, action_id: str, value: Any = None) -> None:
        """Use an element of the top modal that acts at once."""
        await self._act_in(self._view(None), action_id, value)

    async def _act_in(self, view: Json, action_id: str, value: Any) -> None:
        for block in view["blocks"]:
            for element in [*block.get("elements", []), block.get("accessory"), block.get("element")]:
                if isinstance(element, dict) and element.get("action_id") == action_id:
                    action = {"type": element["type"], **(hold(element, value) if value is not None else {})}
                    where = {"view_id": view["id"], "block_id": block["block_id"], "action_id": action_id}
                    await interactions.post_action(self._page(None, action=action, **where))
                    return
        raise LookupError(f"The view has no element {action_id}.")

    async def close_view(self) -> None:
        """Close the top modal."""
        await interactions.post_view_closed(self._page(None, view_id=self._view(None)["id"]))

    async def stop(self, channel: str, thread_ts: str) -> list[str]:
        """Press Stop in a thread and return the streams that ended by it."""
        return list(interactions.post_stop(self._page(channel, thread_ts=thread_ts))["stopped"])

    async def rename(self, channel: str, thread_ts: str, title: str) -> None:
        """Give a thread's session another title."""
        interactions.post_rename(self._page(channel, thread_ts=thread_ts, title=title))

    async def command(self, command: str, text: str = "", *, channel: str | None = None) -> Json:
        """Run a slash command, in the DM with the app unless told otherwise."""
        return await interactions.post_command(self._page(channel or self.dm, command=command, text=text))

    async def shortcut(self, channel: str, ts: str, callback_id: str) -> None:
        """Choose one of the app's shortcuts in the menu of a message."""
        await interactions.post_shortcut(self._page(channel, ts=ts, callback_id=callback_id))

    def sees(self, channel: str, thread_ts: str | None = None) -> list[Json]:
        """Return what the page shows of a channel or thread, with what only this person sees."""
        return list(state.get_messages(self._page(channel, thread_ts=thread_ts, limit=500))["messages"])

    def ephemerals(self, channel: str) -> list[Json]:
        """Return the messages in a channel that only this person sees, threads included."""
        shown = self._hub.ephemerals.get(channel_id(self._hub, channel), [])
        return [asdict(message) for message in shown if message.ephemeral_user == self.id]

    def _view(self, view_id: str | None) -> Json:
        open_views = [modal.to_page() for modal in self._hub.modals.stack(self.id)]
        found = [view for view in open_views if view_id in {None, view["id"]}]
        if not found:
            raise LookupError(f"{self.id} has no such view open.")
        return found[-1]

    def _page(self, channel: str | None, **values: Any) -> PageRequest:
        if channel is not None:
            values["channel"] = channel_id(self._hub, channel)
        return PageRequest(self._hub, {"user": self.id, **values})

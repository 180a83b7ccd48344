"""How the app is set up at Slack, which events come, and whether it reaches the people and channels of the settings."""

from collections.abc import AsyncIterator, Sequence

from slack_sdk.web.async_client import AsyncWebClient

from bot.findings import Finding, ok, skipped, warning, wrong
from bot.slack.setup.checkup_questions import Account, Known, Refusal, ask
from bot.slack.setup.manifest import EVENTS
from bot.slack.setup.manifest_check import REINSTALL, compare_manifest

LOOK = "`doctor` looks whether I can write to you here. I can; there is nothing to do."
CONFIG_TOKENS = "api.slack.com/apps → Your App Configuration Tokens"


async def check_places(client: AsyncWebClient, account: Account, known: Known) -> AsyncIterator[Finding]:
    """Yield what the bot token can find out."""
    known.app_id = await _find_app(client, known.bot_id)
    for finding in await _check_manifest(client, account, known):
        yield finding
    yield check_sightings(account.sightings)
    yield await _check_admins(client, account.admins)
    if account.admin_channel:
        yield await _check_channel(client, account.admin_channel)
    yield await _check_messages_tab(client, account.admins)


async def _find_app(client: AsyncWebClient, bot_id: str) -> str:
    try:
        bot = (await ask(client.bots_info(bot=bot_id))).data.get("bot")
    except Refusal:
        return ""
    return str(bot.get("app_id") or "") if isinstance(bot, dict) else ""


async def _check_manifest(client: AsyncWebClient, account: Account, known: Known) -> list[Finding]:
    """Compare what the app is set up as with what it needs, where somebody lets us read it."""
    topic = "App set-up"
    if account.manifest is not None:
        return compare_manifest(account.manifest, is_http=account.is_http)
    if not account.config_token:
        how = "`bot doctor --manifest FILE` compares what App Manifest shows there"
        return [skipped(topic, f"Slack shows it only with SLACK_CONFIG_TOKEN ({CONFIG_TOKENS}); or {how}.")]
    bearer = {"Authorization": f"Bearer {account.config_token}"}
    try:
        told = await ask(client.api_call("apps.manifest.export", json={"app_id": known.app_id}, headers=bearer))
    except Refusal as refusal:
        mend = f"make a new one at {CONFIG_TOKENS}; it lasts 12 hours."
        return [warning(topic, f"SLACK_CONFIG_TOKEN: Slack refuses it ({refusal.code}).", mend)]
    return compare_manifest(told.data.get("manifest") or {}, is_http=account.is_http)


def check_sightings(sightings: frozenset[str]) -> Finding:
    """Judge by the events that came: a mention in a channel is also a message there, if both are subscribed to."""
    topic = "Events"
    if not sightings:
        return skipped(topic, "none has come yet: say hello to it in Slack, then look again.")
    came = sorted(event for event in sightings if event in EVENTS)
    if "app_mention" in sightings and not {"message.channels", "message.groups"} & sightings:
        names = "message.channels and message.groups"
        mend = f"subscribe to {names} at Event Subscriptions → Subscribe to bot events, {REINSTALL}."
        return wrong(topic, f"it is mentioned in channels, but hears nothing else there: {names} are missing.", mend)
    return ok(topic, f"these have come: {', '.join(came)}.")


async def _check_admins(client: AsyncWebClient, admins: Sequence[str]) -> Finding:
    topic = "Admins"
    if not admins:
        mend = "set ADMIN_USER_IDS to your user id: your profile in Slack → ⋮ → Copy member ID."
        return warning(topic, "ADMIN_USER_IDS is empty: nobody can steer it from Slack.", mend)
    for user_id in admins:
        try:
            fault = await _find_fault(client, user_id)
        except Refusal as refusal:
            return skipped(topic, f"Slack does not tell who {user_id} is ({refusal.code}).")
        if fault:
            mend = f"take {user_id} out of ADMIN_USER_IDS, or set the right id: their profile → ⋮ → Copy member ID."
            return wrong(topic, f"ADMIN_USER_IDS: {user_id} {fault}.", mend)
    return ok(topic, f"{len(admins)} known to Slack.")


async def _find_fault(client: AsyncWebClient, user_id: str) -> str:
    """Return why somebody cannot be an admin; empty when they can."""
    try:
        user = (await ask(client.users_info(user=user_id))).data.get("user") or {}
    except Refusal as refusal:
        if refusal.code != "user_not_found":
            raise
        return "is nobody in this workspace"
    if user.get("deleted") or user.get("is_bot"):
        return "is deactivated or a bot"
    is_guest = user.get("is_restricted") or user.get("is_ultra_restricted") or user.get("is_stranger")
    return "is a guest, who may steer nothing" if is_guest else ""


async def _check_channel(client: AsyncWebClient, channel_id: str) -> Finding:
    topic = "Admin channel"
    try:
        channel = (await ask(client.conversations_info(channel=channel_id))).data.get("channel") or {}
    except Refusal as refusal:
        mend = "set ADMIN_CHANNEL_ID to the channel's id (its name → About → Channel ID) and invite the app there."
        return wrong(topic, f"ADMIN_CHANNEL_ID: {channel_id} cannot be seen ({refusal.code}).", mend)
    if not channel.get("is_member"):
        return wrong(topic, f"it is not in #{channel.get('name')}, where its reports go.", "invite the app there.")
    if channel.get("is_ext_shared"):
        mend = "set ADMIN_CHANNEL_ID to a channel of your own people."
        return warning(topic, f"another organisation reads #{channel.get('name')}, where its reports go.", mend)
    return ok(topic, f"reports go to #{channel.get('name')}.")


async def _check_messages_tab(client: AsyncWebClient, admins: Sequence[str]) -> Finding:
    topic = "Messages tab"
    try:
        direct = (await ask(client.conversations_list(types="im", limit=200))).data.get("channels") or []
        found = next((channel for admin in admins for channel in direct if channel.get("user") == admin), None)
        if found is None:
            return skipped(topic, "no admin has a conversation with it, so it cannot try.")
        await ask(client.chat_postEphemeral(channel=found["id"], user=found["user"], text=LOOK))
    except Refusal as refusal:
        if refusal.code != "messages_tab_disabled":
            return skipped(topic, f"it could not try ({refusal.code}).")
        mend = "App Home → Show Tabs → switch Messages Tab on, and let users send messages from it."
        return wrong(topic, "it is switched off, so nobody can write to it directly.", mend)
    return ok(topic, "it can write to its admin.")

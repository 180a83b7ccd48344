"""What Slack tells about this installation: tokens, scopes, clock; and, by its neighbours, set-up, places and sockets.

Every question is one that Slack answers without anybody noticing, but one: whether the app may write to its admin's
Messages tab shows only when it tries, with a line that nobody else sees and that is gone at the next reload.
"""

import time
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.findings import Finding, ok, skipped, warning, wrong
from bot.slack.setup.checkup_places import check_places
from bot.slack.setup.checkup_questions import Account, Known, Refusal, ask, check_shape
from bot.slack.setup.checkup_socket import check_transport
from bot.slack.setup.manifest import SCOPES
from bot.slack.setup.manifest_check import REINSTALL

TIMEOUT_S = 15
SKEW_WARNING_S, SKEW_WRONG_S = 30, 240  # from 300 on a signature of Slack's is too old to be believed
COPY = "copy the Bot User OAuth Token again from OAuth & Permissions into SLACK_BOT_TOKEN."
REFUSALS = {
    "account_inactive": ("the app was removed from the workspace", "install it again: Install App."),
    "token_revoked": ("it was revoked", COPY),
    "token_expired": ("it has expired", "create the app anew from `bot manifest`, without Token Rotation."),
}


async def examine_slack(account: Account) -> AsyncIterator[Finding]:
    """Yield what there is to say about the Slack side, in the order in which it is mended."""
    if account.has_oauth and not account.bot_token:
        shape: Finding | None = skipped("Bot token", "none is set: workspaces install the app by OAuth.")
    else:
        shape = check_shape("Bot token", "SLACK_BOT_TOKEN", account.bot_token, "xoxb-", "OAuth & Permissions")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        client = AsyncWebClient(
            account.bot_token, base_url=account.api_url, session=session, retry_handlers=[], timeout=TIMEOUT_S
        )
        known = Known()
        yield shape or await _check_bot_token(client, known)
        if known.bot_id:
            yield _check_scopes(known.headers)
            yield _check_clock(known.headers)
            async for finding in check_places(client, account, known):
                yield finding
        async for finding in check_transport(client, session, account, known):
            yield finding


async def _check_bot_token(client: AsyncWebClient, known: Known) -> Finding:
    topic = "Bot token"
    try:
        who = await ask(client.auth_test())
    except Refusal as refusal:
        if refusal.is_away:
            mend = "let this machine reach it: a proxy, a firewall or DNS is in the way, or SLACK_API_URL is wrong."
            return wrong(topic, f"{client.base_url} cannot be reached ({refusal.code}).", mend)
        if refusal.code == "unreadable_response":
            mend = "set SLACK_API_URL=https://slack.com/api/."
            return wrong(topic, f"{client.base_url} does not answer as Slack does.", mend)
        reason, mend = REFUSALS.get(refusal.code, (f"Slack refuses it ({refusal.code})", COPY))
        return wrong(topic, f"SLACK_BOT_TOKEN: {reason}.", mend)
    known.bot_id = str(who.data.get("bot_id") or "")
    known.headers = who.headers
    if not known.bot_id:
        return wrong(topic, "SLACK_BOT_TOKEN belongs to a person, not to a bot.", COPY)
    return ok(topic, f"Slack knows it: {who.data.get('user')} in {who.data.get('team')}.")


def _check_scopes(headers: Mapping[str, str]) -> Finding:
    granted = {scope.strip() for scope in headers.get("x-oauth-scopes", "").split(",") if scope.strip()}
    if not granted:
        return skipped("Scopes", "Slack does not say which scopes the token has.")
    missing = [scope for scope in SCOPES if scope not in granted]
    if missing:
        reasons = "; ".join(f"{scope} (to {SCOPES[scope]})" for scope in missing)
        mend = f"add {', '.join(missing)} at OAuth & Permissions → Bot Token Scopes, {REINSTALL}."
        return wrong("Scopes", f"{len(missing)} missing: {reasons}.", mend)
    surplus = sorted(granted - set(SCOPES))
    if surplus:
        mend = f"remove them at OAuth & Permissions → Bot Token Scopes, {REINSTALL}."
        return warning("Scopes", f"all there, and more than is needed: {', '.join(surplus)}.", mend)
    return ok("Scopes", f"all {len(SCOPES)} are there, and no more.")


def _check_clock(headers: Mapping[str, str]) -> Finding:
    topic, mend = "Clock", "let the machine's clock be set by NTP: timedatectl set-ntp true."
    try:
        skew = time.time() - parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return skipped(topic, "Slack's answer does not say what time it is.")
    sentence = f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Slack's"
    if abs(skew) >= SKEW_WRONG_S:
        return wrong(topic, f"{sentence}; signatures and tokens fail.", mend)
    if abs(skew) >= SKEW_WARNING_S:
        return warning(topic, f"{sentence}.", mend)
    return ok(topic, "agrees with Slack's.")

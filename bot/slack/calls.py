"""Calls to Slack as this workspace takes them: what it lacks is remembered, what it throttles is waited for."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.rates import POST, Budget, Clock, MachineClock, Rates
from bot.slack.sent import Sent, build_metadata, read_key, read_sent
from bot.slack.throttle import Limits, Throttle
from bot.slack.workspaces import Workspace, own_user_id, serving
from bot.storage.hold import until_sure
from bot.storage.tables import new_id

LACKING = {  # of a whole workspace: what is refused in one channel may be there in another
    "unknown_method",
    "missing_scope",
    "not_authorized",
    "not_allowed_token_type",
    "method_deprecated",
    "deprecated_endpoint",
    "feature_not_enabled",
    "team_not_eligible",
}
LACKS_S = 600.0  # for so long it is believed: an admin may give what was lacking
BY_KIND = "conversations."  # these methods need another scope for each kind of channel
THROTTLED = {"ratelimited", "rate_limited"}
UNREADABLE = "unreadable_response"  # of somebody between Slack and us, or half an answer
# Slack says so with status 200 too.
AWAY = {UNREADABLE, "service_unavailable", "request_timeout", "team_added_to_org", "org_login_required"}
FAILING = {"internal_error", "fatal_error"}  # with some content always, so that waiting for better times is no use
LOCKED_OUT = {"token_revoked", "token_expired", "invalid_auth", "not_authed", "account_inactive", "accesslimited"}
REMOVED = {"account_inactive", "token_revoked"}  # of those, what Slack says where the app was removed
TIMES_SAID, APART_S = 3, 10.0  # what it says of that once may be its own trouble
# A second try could say the same words twice, and only who calls can see whether it would.
UNREPEATABLE = {"chat.startStream", "chat.appendStream", "chat.stopStream", "files.upload.v2"}
TELLS = {  # what a whole answer of a method has: without it nobody may take it for one in which there is nothing
    "chat.postMessage": "ts",
    "chat.startStream": "ts",
    "conversations.history": "messages",
    "conversations.members": "members",
    "conversations.replies": "messages",
    "users.conversations": "channels",
    "users.list": "members",
}
TRIES = 4
LONGEST_LINE_S = 600.0  # a call that Slack throttles again and again is given up after this time
LONGEST_REST_S = 60.0  # what an answer does not depend on waits no longer for a method that Slack wants to rest
SERVER_ERROR = 500
FORM, WORD = "views.open", "chat.postEphemeral"
ABSENT = {"channel_not_found", "not_in_channel"}
ASIDES_PER_PERSON = 20  # forms, and words beside answers, a minute: Slack takes ninety of each for all
QUIET = {"unfurl_links": False, "unfurl_media": False}  # whatever stands in a message, Slack fetches nothing of it

log = logging.getLogger(__name__)


class Line:
    """One workspace's way to Slack: whose token, what it lacks, what it still takes."""

    def __init__(self, client: AsyncWebClient, rates: Rates, clock: Clock) -> None:
        self.client = client
        self.lacking: dict[str, float] = {}  # methods, and until when that is believed
        self.budget = Budget(rates, clock)
        self.asides = Throttle(Limits(person=ASIDES_PER_PERSON), clock=clock.now)


class Calls:
    """Slack's Web API for the workspace that is served; methods take the arguments that Slack's documentation names.

    *bot_user_id* is whom the client's own token speaks for.
    """

    def __init__(
        self, client: AsyncWebClient, *, bot_user_id: str = "", rates: Rates | None = None, clock: Clock | None = None
    ) -> None:
        self._bot_user_id = bot_user_id
        self._rates = rates or Rates()
        self.clock: Clock = clock or MachineClock()
        self._own = Line(client, self._rates, self.clock)
        self._lines: dict[str, Line] = {}
        self._doubtful: set[str] = set()  # keys of messages of which nobody knows whether Slack took them

    @property
    def budget(self) -> Budget:
        """Return what the workspace still takes."""
        return self._line().budget

    def token(self) -> str:
        """Return the token of the workspace that is served."""
        return self._line().client.token or ""

    def lacks(self, method: str) -> bool:
        """Return whether the workspace has said lately that it does not have *method*."""
        return self.clock.now() < self._line().lacking.get(method, -math.inf)

    def forget(self, workspace: Workspace) -> None:
        """Forget a workspace's token, and what was learned about it."""
        self._lines.pop(workspace.key, None)

    def _line(self) -> Line:
        workspace = serving()
        if workspace is None:
            return self._own
        known = self._lines.get(workspace.key)
        if known is None or known.client.token != workspace.token:  # another process may have installed it anew
            own = self._own.client
            client = AsyncWebClient(
                workspace.token, base_url=own.base_url, session=own.session, retry_handlers=[], timeout=own.timeout
            )
            self._lines[workspace.key] = Line(client, self._rates, self.clock)
        return self._lines[workspace.key]

    async def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Call *method*, waiting as Slack asks when it is too much; raise *SlackApiError* for any other refusal.

        A message whose answer was lost is looked for before it is sent again.
        """
        return await self._call(method, arguments, waits=True)

    async def call_soon(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Call *method* like *call*, unless Slack wants it to rest for long: that raises as well."""
        rests = self.budget.rests(method, str(arguments.get("channel") or ""))
        if rests > LONGEST_REST_S:
            raise _refuse(f"{method} rests for {rests:.0f} s.", "ratelimited")
        return await self._call(method, arguments, waits=True, longest_rest_s=LONGEST_REST_S)

    async def call_now(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Call *method* once; what is too much for Slack raises as well, so that nobody waits for it."""
        return await self._call(method, arguments, waits=False)

    async def post(
        self, key: str, *, looks_first: bool = False, waits: bool = True, **arguments: Any
    ) -> Mapping[str, Any]:
        """Post the message that *key* stands for once, also where an earlier try of the same may have been taken.

        Its answer has `was_there` when it was; *looks_first* is for whoever cannot know of earlier tries.
        """
        arguments = {**arguments, "metadata": build_metadata(key)}
        if looks_first or key in self._doubtful:
            found = await self._find_sent(arguments)
            if found is not None:
                return {**found, "was_there": True}
        return await self._call(POST, arguments, waits=waits)

    def is_own(self, message: Mapping[str, Any]) -> bool:
        """Return whether we ourselves said a message of the workspace that is served."""
        return message.get("user") == own_user_id(self._bot_user_id)

    async def read_sent(self, channel: str, thread_ts: str = "") -> list[Sent]:
        """Return what we ourselves said in a thread, or lately in a channel or to a person; raise what prevents it."""
        return await read_sent(self.call, channel, thread_ts, own_user_id=own_user_id(self._bot_user_id))

    async def _find_sent(self, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return what Slack would have answered to a message that stands there; None when it does not."""
        key = read_key(arguments)
        try:
            sent = await self.read_sent(str(arguments["channel"]), str(arguments.get("thread_ts") or ""))
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise
            log.warning("slack: nobody can see whether a message was taken (%s); it is sent again", error_code(error))
            sent = []
        self._doubtful.discard(key)
        found = (message for message in sent if message.key == key)
        return next(({"ok": True, "channel": message.channel_id, "ts": message.ts} for message in found), None)

    async def _call(
        self, method: str, arguments: Mapping[str, Any], *, waits: bool, longest_rest_s: float = math.inf
    ) -> Mapping[str, Any]:
        line, channel, tries_left = self._line(), str(arguments.get("channel") or ""), TRIES
        if method == POST:
            arguments = {"metadata": build_metadata(new_id()), **QUIET, **arguments}
        patient_until = self.clock.now() + LONGEST_LINE_S
        while True:
            tries_left -= 1
            await line.budget.take(method, channel)
            await until_sure()
            try:
                return await _ask(line.client, method, arguments)
            except SlackApiError as error:
                if is_lacking(error, method):
                    line.lacking[method] = self.clock.now() + LACKS_S
                rest = read_rest(error)
                if rest is not None:
                    line.budget.rest(method, channel, rest)
                    if not waits or rest > longest_rest_s or self.clock.now() > patient_until:
                        raise
                    tries_left += 1  # it was not taken, so it was not tried
                    log.info("slack: %s rests for %.0f s", method, rest)
                    continue
                if not is_server_error(error):
                    raise
                failure: Exception = error
            except (aiohttp.ClientError, TimeoutError) as error:
                failure = error
            if method in UNREPEATABLE and is_unclear(failure):
                raise failure
            delay = 0.25 * (TRIES - tries_left)
            log.debug("slack: %s again in %.2f s", method, delay)
            await self.clock.sleep(delay)
            if method == POST and is_unclear(failure):
                self._doubtful.add(read_key(arguments))
                found = await self._find_sent(arguments)
                if found is not None:
                    return found
            if not tries_left:
                raise failure

    async def call_if_possible(self, method: str, **arguments: Any) -> Mapping[str, Any] | None:
        """Call *method* where an answer does not depend on it; None when it did not work.

        A word for one person reaches them in a direct message where we are not: what they order works there, too.
        """
        if self.lacks(method) or (method == WORD and self._has_had(method, str(arguments.get("user")))):
            return None
        try:
            return await self.call_soon(method, **arguments)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.info("slack: %s did not work (%s)", method, error_code(error))
            if method != WORD or error_code(error) not in ABSENT:
                return None
        said = {name: arguments[name] for name in ("text", "blocks") if name in arguments}
        return await self.call_if_possible(POST, channel=arguments["user"], **said)

    async def find_lockout(self) -> str | None:
        """Return Slack's word for why the token of the workspace that is served does not count; empty: it counts.

        None is no answer to that: Slack is away, or says something else.
        """
        try:
            await self.call_soon("auth.test")
        except SlackApiError as error:
            return error_code(error) if is_locked_out(error) else None
        except (aiohttp.ClientError, TimeoutError):
            return None
        return ""

    async def is_removed(self) -> bool:
        """Return whether Slack says, and goes on to say, that the app is gone from the workspace that is served."""
        for times_left in reversed(range(TIMES_SAID)):
            if await self.find_lockout() not in REMOVED:
                return False
            if times_left:
                await self.clock.sleep(APART_S)
        return True

    async def open_form(self, user_id: str, *, trigger_id: str, view: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Open a form for whoever pressed something, unless they press without end; None when it did not open."""
        if self._has_had(FORM, user_id):
            return None
        return await self.call_if_possible(FORM, trigger_id=trigger_id, view=view)

    def _has_had(self, method: str, user_id: str) -> bool:
        """Return whether somebody has had so much of *method* within a minute that there must be room for others."""
        return self._line().asides.take(f"{method} {user_id}") is not None


async def _ask(client: AsyncWebClient, method: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        response = await getattr(client, method.replace(".", "_"))(**arguments)
    except (AttributeError, UnicodeDecodeError, RecursionError) as error:  # the SDK takes whatever comes for JSON
        raise _refuse("The answer cannot be read.", UNREADABLE) from error
    if not isinstance(response.data, dict) or TELLS.get(method, "ok") not in response.data:
        raise _refuse("The answer cannot be read.", UNREADABLE)
    return response.data


def _refuse(sentence: str, code: str) -> SlackApiError:
    return SlackApiError(sentence, {"ok": False, "error": code})  # type: ignore[no-untyped-call]


def error_code(error: Exception) -> str:
    """Return Slack's word for what went wrong; never a text of a message."""
    if isinstance(error, SlackApiError):
        data = getattr(error.response, "data", error.response)
        return str(data.get("error") or UNREADABLE) if isinstance(data, dict) else UNREADABLE
    return type(error).__name__


def read_rest(error: SlackApiError) -> float | None:
    """Return for how long Slack wants to hear no more of a method; None when that is not what it says."""
    headers = {str(key).lower(): value for key, value in (getattr(error.response, "headers", None) or {}).items()}
    if error_code(error) not in THROTTLED and "retry-after" not in headers:
        return None
    try:
        return float(headers.get("retry-after", 1))
    except ValueError:
        return 1.0


def is_server_error(error: SlackApiError) -> bool:
    """Return whether it is Slack that has the trouble, or whoever stands between it and us."""
    return _has_failed(error) or error_code(error) in AWAY | FAILING


def is_failing(error: BaseException) -> bool:
    """Return whether Slack fails at something of which nobody knows whether it ever will not."""
    return isinstance(error, SlackApiError) and error_code(error) in FAILING


def _has_failed(error: SlackApiError) -> bool:
    return bool(getattr(error.response, "status_code", 200) >= SERVER_ERROR)


def is_lacking(error: SlackApiError, method: str) -> bool:
    """Return whether Slack says that a workspace does not have *method*, wherever it is called."""
    code = error_code(error)
    return code in LACKING and not (code == "missing_scope" and method.startswith(BY_KIND))


def is_locked_out(error: BaseException | None) -> bool:
    """Return whether Slack refuses us whatever we ask, until somebody gives us a token that counts."""
    return isinstance(error, SlackApiError) and error_code(error) in LOCKED_OUT


def is_unclear(error: BaseException | None) -> bool:
    """Return whether a call that failed may have taken effect all the same."""
    if isinstance(error, SlackApiError):
        return is_server_error(error)
    never_sent = isinstance(error, aiohttp.ClientConnectorError)
    return isinstance(error, aiohttp.ClientError | TimeoutError) and not never_sent


def is_throttled(error: BaseException) -> bool:
    """Return whether Slack has had too much of a method for now."""
    return isinstance(error, SlackApiError) and error_code(error) in THROTTLED


def is_passing(error: BaseException | None) -> bool:
    """Return whether the same call can work later: Slack is away, in trouble, has had too much, or lets us in again."""
    if isinstance(error, SlackApiError):
        return _has_failed(error) or error_code(error) in AWAY | THROTTLED | LOCKED_OUT
    return isinstance(error, aiohttp.ClientError | TimeoutError)

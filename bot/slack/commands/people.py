"""`users` and `budget`: who may ask, who may do more, and how much each may have computed in a day."""

from bot.admin import budgets, people
from bot.admin.budgets import CHANNEL, PERSON, Budgets, Use
from bot.language import _
from bot.slack.commands.order_buttons import ask, done
from bot.slack.commands.order_words import is_channel, read_channel, read_number, read_user, read_words
from bot.slack.commands.orders import Call, Command, Reply, Role, UsageError
from bot.storage.admin_tables import Right
from bot.storage.db import Database

MOST_SHOWN = 40
DECISIONS = {"allow": Right.MEMBER, "block": Right.BLOCKED, "reset": None}
UNLIMITED, DEFAULT = "unlimited", "default"


def build_people_commands(database: Database, *, owners: frozenset[str], defaults: Budgets) -> list[Command]:
    """Build the two commands."""
    orders = PeopleOrders(database, owners, defaults)
    return [
        Command(
            name="users",
            usage=_("[list | allow @NAME | block @NAME | reset @NAME | role @NAME member|reviewer|admin]"),
            purpose=_("who may use me, and who may do more than others"),
            run=orders.users,
            role=Role.ADMIN,
            group=_("Run me"),
            words=("list", "allow", "block", "reset", "role"),
            example=_("users block @tom"),
        ),
        Command(
            name="budget",
            usage=_("[list | @NAME or #CHANNEL [TOKENS | unlimited | default]]"),
            purpose=_("how much of me you have used today; admins set how much somebody or a channel may use"),
            run=orders.budget,
            group=_("Run me"),
            words=("list",),
            example=_("budget #support 200000"),
            roles={"list": Role.ADMIN},
        ),
    ]


class PeopleOrders:
    """Decides about people, and about what they may use."""

    def __init__(self, database: Database, owners: frozenset[str], defaults: Budgets) -> None:
        self._database = database
        self._owners = owners
        self._defaults = defaults

    async def users(self, call: Call) -> Reply:
        """List those about whom something was decided, or decide about somebody."""
        words = read_words(call.words, "list")
        if words.verb == "list":
            return Reply(await self._list())
        if not words.parts:
            raise UsageError(_("I need a person, written as a mention: @name."))
        user_id = read_user(words.parts[0])
        if words.verb == "role":
            return await self._give_role(user_id, " ".join(words.parts[1:]), call)
        if words.verb not in DECISIONS or len(words.parts) > 1:
            raise UsageError(_("I do not know `{word}` here.").format(word=words.verb[:20].replace("`", "")))
        if words.verb == "block" and not words.is_sure:
            question = _("Block {user}? I answer them nothing any more, wherever they ask.").format(
                user=f"<@{user_id}>"
            )
            return ask(question, f"users block {user_id}", label=_("Block"))
        before = await people.decide(
            self._database, user_id, DECISIONS[words.verb], by=call.user_id, owners=self._owners
        )
        said = {
            "block": _("{user} is blocked: I answer them nothing any more."),
            "allow": _("{user} may use me as any member may, also as a guest or from another organisation."),
            "reset": _("Nothing is decided about {user} any more; Slack alone says who they are."),
        }
        return done(said[words.verb].format(user=f"<@{user_id}>"), _undo(user_id, before))

    async def _give_role(self, user_id: str, word: str, call: Call) -> Reply:
        right = people.WORDS.get(word.strip().lower())
        if right is None:
            raise UsageError(_("The roles are member, reviewer and admin."))
        before = await people.decide(self._database, user_id, right, by=call.user_id, owners=self._owners)
        said = _("{user} is {role} now. Guests and people of other organisations are never more than members.")
        lifted = _("{user} was blocked, and is not any more.") + " " if before == Right.BLOCKED else ""
        return done((lifted + said).format(user=f"<@{user_id}>", role=right.value), _undo(user_id, before))

    async def _list(self) -> str:
        found = await people.list_people(self._database, self._owners)
        if not found:
            return _("Every member of the workspace may use me, guests may not, and there is no admin: ADMIN_USER_IDS.")
        lines = [f"<@{person.user_id}>  {person.right}  ({_name(person.by)})" for person in found[:MOST_SHOWN]]
        if len(found) > MOST_SHOWN:
            lines.append(_("… and {count} more: `bot users list`").format(count=len(found) - MOST_SHOWN))
        return "\n".join([*lines, _("Everybody else: members of the workspace may use me, guests may not.")])

    async def budget(self, call: Call) -> Reply:
        """Say what was used today, or set what may be."""
        words = read_words(call.words)
        if not words.verb:
            channel_id = "" if call.channel_id.startswith("D") else call.channel_id
            return Reply(await self._tell(user_id=call.user_id, channel_id=channel_id))
        if words.verb == "list":
            return Reply(await self._list_budgets())
        if call.role < Role.ADMIN:
            raise UsageError(_("Only admins look at the budgets of others and set them; `budget` alone shows yours."))
        subject = words.verb.upper()
        kind, subject = (CHANNEL, read_channel(subject)) if is_channel(subject) else (PERSON, read_user(subject))
        if not words.parts:
            return Reply(await self._tell(**({"channel_id": subject} if kind == CHANNEL else {"user_id": subject})))
        tokens = _read_tokens(words.rest)
        before = await budgets.set_budget(self._database, kind, subject, tokens, by=call.user_id)
        shown = f"<#{subject}>" if kind == CHANNEL else f"<@{subject}>"
        said = _("{subject} may use {tokens} a day.").format(subject=shown, tokens=_say_tokens(tokens))
        return done(said, f"budget {subject} {_write_tokens(before)}")

    async def _tell(self, *, user_id: str = "", channel_id: str = "") -> str:
        uses = await budgets.read_use(self._database, self._defaults, user_id=user_id, channel_id=channel_id)
        return "\n".join(map(render_use, uses))

    async def _list_budgets(self) -> str:
        defaults = _("A person may use {person} a day and a channel {channel}, unless it says otherwise here.").format(
            person=_say_tokens(self._defaults.person), channel=_say_tokens(self._defaults.channel)
        )
        found = await budgets.list_budgets(self._database)
        lines = [
            f"{f'<#{subject}>' if kind == CHANNEL else f'<@{subject}>'}  {_say_tokens(tokens)}"
            for kind, subject, tokens in found[:MOST_SHOWN]
        ]
        return "\n".join([defaults, *lines])


def render_use(use: Use) -> str:
    """Say what a person or a channel has used today."""
    subject = f"<#{use.subject_id}>" if use.kind == CHANNEL else f"<@{use.subject_id}>"
    limit = _("of {limit}").format(limit=f"{use.limit:,}") if use.limit else _("without a limit")
    return _("{subject}: {used} tokens today {limit}, in {answers} answers.").format(
        subject=subject, used=f"{use.used:,}", limit=limit, answers=use.answers
    )


def _undo(user_id: str, before: str) -> str:
    """Return the order that decides about somebody as before."""
    orders = {"": f"users reset {user_id}", "blocked": f"users block {user_id}"}
    return orders.get(before, f"users role {user_id} {before}")


def _name(by: str) -> str:
    return f"<@{by}>" if by[:1] in {"U", "W"} else f"`{by}`"


def _read_tokens(word: str) -> int | None:
    if word.lower() == DEFAULT:
        return None
    return 0 if word.lower() == UNLIMITED else read_number(word, least=1)


def _write_tokens(tokens: int | None) -> str:
    return DEFAULT if tokens is None else UNLIMITED if tokens == 0 else str(tokens)


def _say_tokens(tokens: int | None) -> str:
    if tokens is None:
        return _("as many tokens as the settings say")
    return _("{count} tokens").format(count=f"{tokens:,}") if tokens else _("as many tokens as they like")

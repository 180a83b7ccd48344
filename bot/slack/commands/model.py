"""`model`: which model file answers, and another in its place."""

from bot.admin.model import ModelSwitch
from bot.language import _
from bot.slack.commands.order_buttons import ask, done
from bot.slack.commands.order_words import read_words
from bot.slack.commands.orders import Call, Command, Reply, Role, UsageError
from bot.slack.delivery.render import escape


def build_model_commands(switch: ModelSwitch | None) -> list[Command]:
    """Build the command; None: the engine is not ours to change."""

    async def run(call: Call) -> Reply:
        if switch is None:
            return Reply(_("The engine is the one of ENGINE_URL, so its model is changed there."), is_done=False)
        words = read_words(call.words, "show")
        if words.verb == "show" and not words.rest:
            return Reply(render_files(switch))
        if words.verb == "switch" and words.rest:
            return await _switch(switch, words.rest, call, is_sure=words.is_sure)
        if words.verb == "back" and not words.rest:
            before = await switch.back(by=call.user_id)
            return done(_("The model from before answers again, in place of {name}.").format(name=_code(before)))
        raise UsageError(_("I do not understand that."))

    return [
        Command(
            name="model",
            usage=_("[show | switch FILE | back]"),
            purpose=_("which model answers; serves another file in its place, or the one from before"),
            run=run,
            role=Role.ADMIN,
            group=_("Run me"),
            words=("show", "switch", "back"),
            example="model switch qwen3-8b-q4_k_m.gguf",
        )
    ]


async def _switch(switch: ModelSwitch, name: str, call: Call, *, is_sure: bool) -> Reply:
    if not is_sure:
        question = _(
            "Serve {name} from now on? Answers under way are completed first, and what people write meanwhile waits. "
            "Adapters that were learned for another model are put away."
        )
        return ask(question.format(name=_code(name)), f"model switch {name}", label=_("Switch"))
    before = await switch.switch(name, by=call.user_id)
    label = _("Back to {name}").format(name=before[:40])
    return done(_("{name} answers now.").format(name=_code(name)), "model back", label=label)


def render_files(switch: ModelSwitch) -> str:
    """List the files, the one that is served marked."""
    before = switch.before()
    lines = [
        f"{'▶' if file.is_served else '•'} {_code(file.name)}  {file.gigabytes:,.2f} GB" for file in switch.list_files()
    ]
    if before is not None:
        lines.append(_("`model back` serves {name} again.").format(name=_code(before.name)))
    return "\n".join(lines)


def _code(name: str) -> str:
    return f"`{escape(name.replace('`', ''))}`"

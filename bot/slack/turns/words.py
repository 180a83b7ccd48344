"""What is said below an answer, or in its place: what was left out, what is not stored, what went wrong."""

from bot.conversation.draft import Draft
from bot.errors import ContextOverflow, EngineBusy, EngineUnavailable
from bot.language import _
from bot.slack.calls import ABSENT, error_code


def tell_limits(draft: Draft) -> str:
    """Say what a reader cannot see: what was left out, and where it was cut."""
    notes = []
    fitted = draft.fitted
    if fitted is not None and fitted.used < fitted.total:
        notes.append(_say_kept(fitted.used, fitted.total, summarised=draft.summarised))
    if cut := tell_cut(draft.finish_reason, is_private=draft.question.put.is_private):
        notes.append(cut)
    return " ".join(notes)


def tell_cut(finish_reason: str | None, *, is_private: bool = False) -> str:
    """Say below an answer that it ends where it had to; what one person alone was shown is gone on with nowhere."""
    if finish_reason != "length":
        return ""
    if is_private:
        return _("I reached my length limit: the end is missing.")
    return _("I reached my length limit: ask me to go on.")


def _say_kept(used: int, total: int, *, summarised: int) -> str:
    """Say how much of a long thread the model read, and how: in full, in few words, or not at all."""
    if not summarised:
        kept = _("I could only keep the last {used} of {total} earlier messages in mind.")
    elif used + summarised >= total:
        kept = _("I could only keep the last {used} of {total} earlier messages in mind; the rest is summarised.")
    else:
        kept = _(
            "I could only keep the last {used} of {total} earlier messages in mind; "
            "of the rest, the first {summarised} are summarised."
        )
    return kept.format(used=used, total=total, summarised=summarised)


def tell_unstored(*, is_again: bool = False, wanted: int = 1) -> str:
    """Say under an answer that nothing of it stays; of a question that *is_again* answered there does.

    Of several that were *wanted* to choose from nothing could be kept until the choice.
    """
    if is_again:
        return _("As you wish, I have stored nothing of this answer.")
    if wanted > 1:
        return _("As you wish, I have stored nothing of your question and of this answer, so there is one alone.")
    return _("As you wish, I have stored nothing of your question and of this answer.")


def tell_apology(error: Exception, *, is_kept: bool = True) -> str:
    """Say what went wrong as far as it helps whoever asked; *is_kept*: their message is, for another try."""
    if isinstance(error, ContextOverflow):
        sentence = _(
            "Your message is too long for me: it has about {tokens} tokens, and I can take {limit}. Please send a "
            "shorter one."
        )
        return sentence.format(tokens=error.prompt_tokens, limit=error.limit)
    if isinstance(error, EngineBusy) and error.is_own_doing:
        return _("You have asked me a lot within a minute. Please try again a little later.")
    if isinstance(error, EngineBusy):
        return _("Too many people are asking me at once. Please try again in a minute.")
    if not is_kept:
        return _("Something went wrong on my side. I store nothing of what you say, so please send it again.")
    if isinstance(error, EngineUnavailable):
        return _("My language model is not running. Your message is kept; please try again in a minute.")
    return _("Something went wrong on my side. Your message is kept.")


ARCHIVED = "is_archived"


def tell_unsaid(channel_id: str, cause: BaseException | None) -> str:
    """Say to whoever asked, or pressed a button, why nothing came of it: Slack does not let us write there."""
    channel, reason = f"<#{channel_id}>", error_code(cause) if isinstance(cause, Exception) else ""
    if reason in ABSENT:
        said = _("I am not in {channel} any more, so I cannot answer there. Invite me, and press again.")
        return said.format(channel=channel)
    if reason == ARCHIVED:
        said = _("{channel} is archived, so I cannot answer there. I do if it is opened again within a day.")
        return said.format(channel=channel)
    said = _(
        "Slack does not let me write in {channel} ({reason}), so there is no other answer. Press again once it does."
    )
    return said.format(channel=channel, reason=reason)

"""Why a file was not read, in words."""

from collections.abc import Sequence

from bot.files.found import Trouble
from bot.files.kinds import Kind
from bot.language import _
from bot.storage.file_tables import MessageFile


def describe(row: MessageFile, *, megabytes: int) -> str:
    """Say why a file was not read, and what helps."""
    sentences = {
        "too_large": _("{name} is too large: I take files of up to {limit} MB."),
        "outside": _("{name} does not lie in Slack, so I did not fetch it: please upload the file itself."),
        "login": _("Slack does not hand {name} out to me: an admin has to give me the scope files:read."),
        "gone": _("I could not fetch {name} from Slack: please ask me again in a minute."),
        Kind.OTHER: _("I cannot read {name}: I take text, code, CSV, Markdown, JSON, logs, PDF and Word files."),
        Kind.AUDIO: _(
            "I cannot listen to {name}: that takes a speech model here (pip install 'apprentice[voice]', SPEECH_MODEL)."
        ),
        Trouble.DAMAGED: _("I could not read {name}: the file is damaged."),
        Trouble.LOCKED: _("I could not read {name}: it is protected by a password."),
        Trouble.EMPTY: _("There is no text in {name}: a scan or a picture of text is nothing that I can read."),
        Trouble.HEAVY: _("I gave up on {name}: reading it takes too much time or memory."),
    }
    return sentences.get(row.reason, sentences["gone"]).format(name=row.name, limit=megabytes)


def shorten(sentences: Sequence[str], *, most: int = 5) -> str:
    """Join sentences, the first few of them."""
    return " ".join([sentence for sentence in sentences if sentence][:most])

"""The languages of the interface: English in the code, others in catalogues beside it (GNU gettext).

`_("Taken back.")` is said in the language of whoever is being spoken to; text with values is
`_("Run {run} is queued.").format(run=7)`, never an f-string, so that it can be found and translated.
"""

import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "zh": "中文"}

_spoken: ContextVar[str] = ContextVar("spoken", default=ENGLISH)


def _(text: str) -> str:
    """Return *text*, which stands in the code in English, in the language that is spoken."""
    return _catalogue(_spoken.get()).gettext(text)


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for it
    """Return *text* as it stands, in English: it is found here for the catalogues, and looked up where it is shown."""
    return text


def spoken() -> str:
    """Return the code of the language that is spoken."""
    return _spoken.get()


def read_language(locale: str) -> str:
    """Return the language of a locale such as zh-CN; English for one that there is no catalogue of."""
    code = locale.replace("_", "-").partition("-")[0].lower()
    return code if code in LANGUAGES else ENGLISH


def speak(language: str) -> None:
    """Speak *language* from here on in this task, and in the tasks that it starts."""
    _spoken.set(read_language(language))


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak *language* while the block runs; a locale such as zh-CN is one too, an unknown one is English."""
    token = _spoken.set(read_language(language))
    try:
        yield
    finally:
        _spoken.reset(token)


@cache
def _catalogue(code: str) -> gettext.NullTranslations:
    return gettext.translation("bot", LOCALE, languages=[code], fallback=True)

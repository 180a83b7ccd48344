"""Every error that this product raises on purpose.

ApprenticeError
├── ConfigError            a setting is missing or wrong; the sentence names the variable and the mend
├── PromptError            a file under prompts/ is missing or has an unknown placeholder
├── StorageError           the database cannot be reached or is not at the right revision
├── EngineError            the engine answered with an error
│   ├── EngineUnavailable  not reachable, or gone in the middle of an answer: worth another try
│   ├── EngineBusy         refused because the queue is full: worth another try later
│   ├── ContextOverflow    the prompt can never fit into the model's context
│   ├── UnknownModel       a model or adapter that the server does not serve, or no more
│   ├── AdapterAway        the engine cannot read an adapter's file, which others may
│   └── ModelFileError     the model file is missing, damaged or of an unknown kind
├── AdminError             what an admin asked for cannot be done; the sentence says why and what to do
├── LearningError          what was learned cannot become an adapter; the sentence names the cause and the mend
├── QuestionChanged        edited while its answer was about to begin: read it again
└── DeliveryError          Slack did not take an answer in any form

A docstring is the sentence that a person sees when nothing better is known; only `bot/slack` and `bot/cli` show it.
"""

import errno
import os
from zoneinfo import ZoneInfoNotFoundError

REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}  # by the system


class ApprenticeError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__ or "")


class ConfigError(ApprenticeError):
    """A setting is missing or wrong."""


class PromptError(ApprenticeError):
    """A prompt file is missing or wrong."""


class StorageError(ApprenticeError):
    """The database cannot be used."""


class EngineError(ApprenticeError):
    """The language model could not answer."""


class EngineUnavailable(EngineError):  # noqa: N818 - reads as a state, not as a mistake
    """The language model is not reachable right now."""


class EngineBusy(EngineError):  # noqa: N818 - reads as a state, not as a mistake
    """The language model has too much to do right now."""

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float = 5.0,
        is_own_doing: bool = False,
        waiting: int | None = None,
        wait_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.is_own_doing = is_own_doing  # it is not that others ask too much
        self.waiting = waiting
        self.wait_seconds = wait_seconds


class ContextOverflow(EngineError):  # noqa: N818 - the field's own word
    """The conversation does not fit into the model's context."""

    def __init__(self, message: str | None = None, *, prompt_tokens: int = 0, limit: int = 0) -> None:
        super().__init__(message)
        self.prompt_tokens = prompt_tokens
        self.limit = limit


class UnknownModel(EngineError):  # noqa: N818 - reads as a state, not as a mistake
    """The model's server does not serve this model."""


class AdapterAway(EngineError):  # noqa: N818 - reads as a state, not as a mistake
    """The engine cannot read the adapter's file."""


class ModelFileError(EngineError):
    """The model file cannot be used."""


class AdminError(ApprenticeError):
    """That cannot be done."""


class LearningError(ApprenticeError):
    """What was learned cannot become an adapter."""


class QuestionChanged(ApprenticeError):  # noqa: N818 - reads as a state, not as a mistake
    """The question was edited just now."""


class AnswerRemoved(ApprenticeError):  # noqa: N818 - reads as a state, not as a mistake
    """Somebody deleted a message that carries the answer while it was written: they want it gone."""


class DeliveryError(ApprenticeError):
    """Slack did not take the answer."""

    def __init__(self, message: str | None = None, *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.is_passing = is_passing


def first_line(error: BaseException) -> str:
    """Return what a driver or the system said of an error."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]


def explain(error: Exception) -> str | None:
    """Return the sentence for an error of ours, or for what the system refuses; None for what nobody foresaw."""
    if isinstance(error, ApprenticeError):
        return str(error)
    if isinstance(error, ZoneInfoNotFoundError):  # of the machine; one that a person names is met where it is read
        zone = os.environ.get("TZ")
        return f"TZ is {zone}, and no such time zone is known: write one as Europe/Berlin, or leave it out."
    if isinstance(error, OSError) and error.errno in REFUSED:
        place = error.filename2 or error.filename or "What it writes to"
        mend = "make room there, or give this user the right to it, and try again."
        return f"{place} cannot be used ({error.strerror}): {mend}"
    return None

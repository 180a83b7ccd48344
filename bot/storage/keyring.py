"""Locks what must not lie open on the disk: the first key locks, and all of them unlock, so that keys can change."""

import asyncio
from collections.abc import Sequence

from bot.errors import ConfigError

NEW_KEY = "`bot new-key` makes one"


class Keyring:
    """The keys of TOKEN_ENCRYPTION_KEYS, the newest first; *is_outdated* is set once something was locked with another.

    That is so after a start too, where another process has a newer key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            from cryptography.fernet import Fernet, InvalidToken, MultiFernet
        except ModuleNotFoundError as error:
            raise ConfigError("SLACK_CLIENT_ID needs a package: pip install 'apprentice[oauth]'.") from error
        if not keys:
            raise ConfigError(f"TOKEN_ENCRYPTION_KEYS is not set: tokens are only kept locked; {NEW_KEY}.")
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise ConfigError(f"TOKEN_ENCRYPTION_KEYS: a key in it is not one; {NEW_KEY}.") from error
        self._invalid = InvalidToken
        self.is_outdated = asyncio.Event()

    def lock(self, text: str) -> str:
        """Return *text* as only these keys can read it."""
        return self._fernet.encrypt(text.encode()).decode()

    def unlock(self, locked: str) -> str:
        """Return what was locked; raise *ConfigError* when none of the keys fits."""
        try:
            return self._fernet.decrypt(locked).decode()
        except self._invalid as error:
            self.is_outdated.set()
            raise ConfigError(_LOST) from error

    def relock(self, locked: str) -> str:
        """Lock with the newest key what any of them had locked."""
        try:
            return self._fernet.rotate(locked).decode()
        except self._invalid as error:
            raise ConfigError(_LOST) from error


OUTDATED = (
    "TOKEN_ENCRYPTION_KEYS: another bot has locked a token with a key that this one lacks, so it stops. Give every bot "
    "the same keys."
)
_LOST = (
    "TOKEN_ENCRYPTION_KEYS: none of them opens a token that is kept. Put the old key behind the new one, "
    "or let the workspaces install the app again."
)


def make_key() -> str:
    """Return a new key."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()

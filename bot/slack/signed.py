"""Whether a request over HTTP comes from Slack, now, and for the first time; asked before anything reads its body."""

import time
from collections.abc import Callable, Mapping

from slack_sdk.signature import SignatureVerifier

LONGEST_S = 601.0  # Slack's clock may differ by five minutes to either side; what is older is refused as old
SIGNATURE, TIMESTAMP = "X-Slack-Signature", "X-Slack-Request-Timestamp"


class Signed:
    """Checks signatures and remembers those of requests that were taken, for as long as they would count."""

    def __init__(self, secret: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._verifier = SignatureVerifier(secret)
        self._clock = clock
        self._seen: dict[str, float] = {}

    def is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether Slack has signed this request within the last minutes."""
        try:
            return self._verifier.is_valid(body, headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, ""))
        except (ValueError, TypeError, OverflowError):  # a time that is none, a body that is no text
            return False

    def is_first(self, headers: Mapping[str, str]) -> bool:
        """Return whether a signed request came for the first time."""
        now, signature = self._clock(), headers[SIGNATURE]
        while self._seen and now - next(iter(self._seen.values())) > LONGEST_S:
            del self._seen[next(iter(self._seen))]
        if signature in self._seen:
            return False
        self._seen[signature] = now
        return True

    def give_back(self, headers: Mapping[str, str]) -> None:
        """Let a request come again, because it could not be handled."""
        self._seen.pop(headers.get(SIGNATURE, ""), None)

"""The hours in which a training may run by itself; pure."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Self

from bot.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Window:
    """From *opens* to *closes*, local time; it may reach over midnight, and is always open when both are the same."""

    opens: time
    closes: time

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `01:00-06:00`, or raise *ConfigError*."""
        wrong = ConfigError(f"TRAINING_WINDOW is {text!r}: write it as 01:00-06:00.")
        try:
            opens, closes = (time.fromisoformat(part.strip()) for part in text.split("-"))
        except ValueError as error:
            raise wrong from error
        if opens.tzinfo or closes.tzinfo:  # it is local time
            raise wrong
        return cls(opens, closes)

    def is_open(self, moment: datetime) -> bool:
        """Return whether *moment* lies within."""
        clock = moment.time()
        if self.opens < self.closes:
            return self.opens <= clock < self.closes
        return self.opens == self.closes or clock >= self.opens or clock < self.closes

    def end_after(self, moment: datetime) -> datetime:
        """Return when the window closes next after *moment*."""
        if self.opens == self.closes:
            return moment + timedelta(days=1)
        end = moment.replace(hour=self.closes.hour, minute=self.closes.minute, second=0, microsecond=0)
        return end if end > moment else end + timedelta(days=1)

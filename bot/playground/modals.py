"""The modals each person has open: a stack of at most three views."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.playground.entities import Json

MAX_DEPTH = 3


@dataclass(slots=True)
class Modal:
    """One open view, as Slack's view object, with the errors its last submission got."""

    user: str
    view: Json
    errors: dict[str, str] | None = None

    @property
    def id(self) -> str:
        """The view's id."""
        return str(self.view["id"])

    def to_page(self) -> Json:
        """Return the view as a page shows it."""
        return {**self.view, "errors": self.errors}


@dataclass(slots=True)
class Modals:
    """Everybody's stacks of open modals, the top one last."""

    stacks: dict[str, list[Modal]] = field(default_factory=dict)

    def stack(self, user: str) -> list[Modal]:
        """Return the person's stack, which may be changed."""
        return self.stacks.setdefault(user, [])

    def find(self, view_id: str) -> Modal | None:
        """Find an open modal by its view's id."""
        return next((modal for stack in self.stacks.values() for modal in stack if modal.id == view_id), None)

    def find_external(self, external_id: str) -> Modal | None:
        """Find an open modal by the id that the app gave it."""
        return next(
            (
                modal
                for stack in self.stacks.values()
                for modal in stack
                if external_id and modal.view.get("external_id") == external_id
            ),
            None,
        )

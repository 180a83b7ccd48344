"""From an accepted event to its one visible outcome, and the buttons under it."""

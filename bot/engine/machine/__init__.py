"""What a model takes and what this machine has: what goes where."""

"""What an admin can ask and do: one function each; the slash command and the command line are two faces of it."""

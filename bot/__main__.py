"""`python -m bot` is the same as the console command `bot`."""

from bot.cli import main

main()

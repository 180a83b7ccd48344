"""The commands `bot models …`. Imports nothing heavy before one of them runs."""

import click


@click.group()
def models() -> None:
    """Look at models, download them and make them smaller."""

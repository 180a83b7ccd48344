"""`bot doctor`: what is wrong with this installation, and how to mend it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.errors import ConfigError

if TYPE_CHECKING:
    from bot.findings import Finding


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--manifest",
    "manifest_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The app's manifest as App Manifest shows it at api.slack.com/apps (JSON or YAML), to compare with.",
)
def doctor(*, is_json: bool, manifest_path: Path | None) -> None:
    """Look at everything that the assistant needs, and say how to mend what is wrong. Nothing is changed.

    One line each: ok, skipped, warning or wrong. Ends with 1 when something is wrong.
    """
    from bot.findings import is_sound, render_findings, to_json

    manifest = _read(manifest_path) if manifest_path else None
    findings: list[Finding] = []

    async def work() -> None:
        async for finding in _examine(manifest):
            findings.append(finding)
            if not is_json:
                click.echo(render_findings([finding]))

    asyncio.run(work())
    if is_json:
        click.echo(json.dumps(to_json(findings), indent=2, ensure_ascii=False))
    if not is_sound(findings):
        sys.exit(1)


async def _examine(manifest: Mapping[str, Any] | None) -> "AsyncIterator[Finding]":
    from bot.doctor import examine
    from bot.findings import wrong
    from bot.start import start

    try:
        settings = start()
    except ConfigError as error:
        for line in str(error).splitlines():
            yield wrong("Settings", line, "correct it in .env or in the environment; .env.example explains each one.")
        return
    async for finding in examine(settings, manifest=manifest):
        yield finding


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML as well
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is neither JSON nor YAML ({error}).") from error
    if not isinstance(manifest, dict):
        raise ConfigError(f"{path} is no app manifest: it must be an object.")
    return manifest

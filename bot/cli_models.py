"""The commands `bot models …`. Imports nothing heavy before one of them runs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.start import start

if TYPE_CHECKING:
    from bot.engine.files.quantization import Rung
    from bot.settings import Settings

KINDS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
SHOWN_HASH = 12
SAMPLE = Path(__file__).parent / "models" / "sample.txt"
FILE = click.Path(path_type=Path)


@click.group()
def models() -> None:
    """See what a model is and what it takes, download it, make it smaller."""


@models.command(name="list")
def list_command() -> None:
    """Show the models under DATA_DIR/models and the one that is served (*)."""
    from bot.engine.files.inspection import list_files, summarize

    settings = start()
    folder, served = settings.data_dir / "models", find_served(settings)
    found = dict.fromkeys(path.resolve() for path in [*list_files(folder), served, settings_starter()])
    rows = [["", "FILE", "SIZE", "TYPE", "CONTEXT", "SHA-256", "FROM"]]
    for path in found:
        if path.is_file():
            mark = "*" if path == served.resolve() else ""
            rows.append(
                [mark, show_path(path, folder), *summarize(path), *find_origin(path, settings.data_dir / "cache")]
            )
    print_table(rows)
    if settings.engine_url:
        click.echo(f"\nENGINE_URL is set: {settings.engine_place()} serves its own model, not one of these.")
    elif not served.is_file():
        click.echo(f"\n* is not here yet: `bot models pull {settings.model_repo} {settings.model_file}`, or `bot run`.")


@models.command()
@click.argument("repo")
@click.argument("file")
def pull(repo: str, file: str) -> None:
    """Download FILE of the Hugging Face repository REPO to DATA_DIR/models, all its parts if it has several.

    It goes on where it broke off, and its SHA-256 is compared. Private and gated repositories need HF_TOKEN.
    """
    from bot.hub import Access
    from bot.model_files import pull as fetch

    settings = start()
    access = Access(settings.hf_endpoint, settings.hf_token.get_secret_value())
    path = fetch(repo, file, settings.data_dir / "models", access)
    click.echo(f"{path.resolve()} is there. To serve it: MODEL_REPO={repo} and MODEL_FILE={file}, or MODEL_PATH.")


@models.command()
@click.argument("file", type=FILE)
def inspect(file: Path) -> None:
    """Show what FILE is: its shape, type and chat template, and whether it fits this machine. Nothing is loaded."""
    from bot.cli_engine import build_options, read_defaults
    from bot.engine.files.inspection import describe
    from bot.engine.loaded import plan_model

    settings = start()
    path = find_file(file, settings)
    facts = describe(path)
    for name, value in {"file": str(path), **facts}.items():
        click.echo(f"  {name:<14} {value}")
    if "made for" in facts:
        return
    values = {**read_defaults(settings), "model": path, "api_key": "", "socket_path": None}
    plan = plan_model(build_options(values))
    click.echo(f"\nOn this machine:\n{plan.render()}")
    if lack := plan.explain_lack():
        click.echo(f"\n{lack}")


@models.command()
@click.argument("source", type=FILE)
@click.option("--to", "kinds", default=",".join(KINDS), show_default=True, help="Types to write, separated by commas.")
@click.option(
    "--text", type=FILE, default=SAMPLE, help="What the models read to be compared.  [default: an English text]"
)
@click.option("--force", is_flag=True, help="Quantize even what is quantized already.")
def quantize(source: Path, kinds: str, text: Path, force: bool) -> None:
    """Write smaller copies of SOURCE beside it and show what each one loses.

    The less a copy's perplexity on the text grows, the less it lost; the error says how sure that is. A copy that is
    there already is measured again, not written again. SOURCE should be F16 or BF16.
    """
    from bot.engine.files.quantization import climb
    from bot.errors import ConfigError

    settings = start()
    wanted = [kind.strip().upper() for kind in kinds.split(",") if kind.strip()]
    if not wanted or (unknown := [kind for kind in wanted if kind not in KINDS]):
        raise ConfigError(f"--to: {', '.join(unknown) if wanted else 'nothing'} is not one of {', '.join(KINDS)}.")
    if not text.is_file():
        raise ConfigError(f"--text: there is no file {text}.")
    path = find_file(source, settings)
    rungs = climb(path, list(dict.fromkeys(wanted)), text=text, is_forced=force, report=show_progress)
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    print_table(describe_rungs(rungs))
    if any(rung.fallbacks for rung in rungs):
        click.echo("\n+ some of its tensors have an odd width and take the next larger type.")


def describe_rungs(rungs: "Sequence[Rung]") -> list[list[str]]:
    """Return the table of a model and its smaller copies."""
    rows = [["FILE", "TYPE", "MIB", "OF SOURCE", "PERPLEXITY", "CHANGE"]]
    for rung in rungs:
        change = rung.change
        said = f"{100 * change.change:+.2f} % ± {100 * change.error:.2f}" if change else ""
        kind = rung.kind + ("+" if rung.fallbacks else "")
        share = f"{100 * rung.size / rungs[0].size:.0f} %"
        rows.append([rung.path.name, kind, f"{rung.size / 2**20:,.1f}", share, f"{rung.perplexity:,.3f}", said])
    return rows


def show_progress(what: str, share: float) -> None:
    """Say how far it is: a line that changes on a terminal, each end of a step elsewhere."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{what}: {100 * share:.0f} %", nl=False, err=True)
    elif share >= 1:
        click.echo(f"{what}: done", err=True)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a head, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def find_served(settings: "Settings") -> Path:
    """Return the file that the settings name, whether it is here or not."""
    from bot.model_files import list_parts

    if settings.model_repo:
        return settings.data_dir / "models" / list_parts(settings.model_file)[0]
    return settings.model_path


def find_file(path: Path, settings: "Settings") -> Path:
    """Return a file by its path, or by its name under DATA_DIR/models."""
    from bot.errors import ConfigError

    for found in (path, settings.data_dir / "models" / path):
        if found.is_file():
            return found
    raise ConfigError(f"There is no file {path}, neither here nor under {settings.data_dir / 'models'}.")


def find_origin(path: Path, cache_dir: Path) -> tuple[str, str]:
    """Return the beginning of a file's SHA-256, where it is known without reading gigabytes, and its repository."""
    from bot.engine.files.checksum import recall_hash
    from bot.model_files import read_origin

    origin = read_origin(path)
    sha256 = origin.sha256 if origin else recall_hash(path, cache_dir)
    return sha256[:SHOWN_HASH], origin.repo if origin else ""


def settings_starter() -> Path:
    """Return the model that ships with the product."""
    from bot.settings import STARTER_MODEL

    return STARTER_MODEL


def show_path(path: Path, folder: Path) -> str:
    """Return a short name for a file under *folder*, the whole path for another."""
    base = folder.resolve()
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)

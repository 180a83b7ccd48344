"""Who may import whom, and how large a file or function may grow: the house stays readable or the tests fail."""

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BOT = ROOT / "bot"
BASE = {"findings", "language", "errors", "lock", "shipped", "metrics", "logs", "signals", "confine"}
ENGINE_FACE = {"engine.client", "engine.types"}
# A room may import itself, the base, and what stands here: left may import right, never back.
MAY_IMPORT = {
    "language": set(),
    "findings": set(),
    "errors": set(),
    "lock": set(),
    "shipped": set(),
    "metrics": set(),
    "logs": set(),
    "signals": set(),
    "confine": set(),
    "log_writer": set(),
    "settings": set(),
    "hub": set(),
    "model_files": {"hub"},
    "door": set(),
    "web": {"door"},
    "storage": set(),
    "engine": set(),
    "files": set(),
    "playground": None,  # nothing at all, not even the base
    "conversation": {"storage", "files", *ENGINE_FACE},
    # Its trainer reads the header of the file that is served, and takes as many cores as the engine would.
    "learning": {
        "storage",
        *ENGINE_FACE,
        "engine.files.gguf_header",
        "engine.files.checksum",
        "engine.machine.hardware",
    },
    "learning_parts": {"storage", "learning", "settings", *ENGINE_FACE},
    "admin": {"storage", "learning.forgetting", *ENGINE_FACE},  # a restore forgets again, in its own transaction
    "jobs": {"storage", "admin", "conversation", "learning"},
    "slack": {"storage", "files", "admin", "conversation", "learning", *ENGINE_FACE},
    "running_engine": {"settings", "admin.model", "hub", "model_files", "engine"},
    "ground": {"running_engine", "settings", "conversation", "slack", "storage"},
    "listening": {"settings", "slack", "engine.client", "web"},
    "slack_parts": {"ground", "settings", "conversation.turn", "slack", "storage.stopping"},
    "app": {
        "ground",
        "listening",
        "running_engine",
        "doctor",
        "files",
        "storage",
        "admin",
        "jobs",
        "conversation",
        "learning",
        "learning_parts",
        "slack",
        "slack_parts",
        "settings",
        "hub",
        "model_files",
        "engine",
    },
    "demo": {"app", "settings", *ENGINE_FACE},
    "start": {"log_writer", "settings"},
    "cli_learning": {
        "start",
        "cli_opened",
        "settings",
        "running_engine",
        "conversation.prompt_book",
        "learning",
        "learning_parts",
        "storage",
        *ENGINE_FACE,
    },
    "cli_opened": {"start", "settings", "learning.atomic", "storage"},
    "cli_backup": {"start", "cli_opened", "settings", "admin", "storage"},
    "cli_admin": {"cli_opened", "settings", "admin", "storage"},
    "cli_records": {"cli_opened", "settings", "admin", "learning", "storage"},
    "cli_dataset": {"start", "cli_opened", "admin", "conversation.prompt_book", "learning", "storage"},
    "contradictions": {
        "jobs",
        "learning.window",
        "learning_parts",
        "settings",
        "slack.setup.checkup_questions",
        "storage.keyring",
    },
    "doctor": {
        "admin.backup",
        "contradictions",
        "storage",
        "settings",
        "conversation.prompt_book",
        "learning.adapter_place",
        "learning.training_extra",
        "slack.setup.checkup",
        "slack.setup.checkup_questions",
        "slack.setup.checkup_workspaces",
        "jobs",
        "engine.client",
        "engine.files",
    },
    "cli_doctor": {"start", "doctor"},
    "cli_prompts": {"start", "settings", "running_engine", "conversation"},
    "cli_engine": {"start", "settings", "hub", "model_files", "engine"},
    "cli_models": {"start", "settings", "hub", "model_files", "engine", "cli_engine"},
}
# Within the engine: what plans knows no llama.cpp, and nothing below the API knows that it is served by HTTP.
ENGINE_WALLS = {
    "batching": {"types"},
    "machine": {"types", "files"},
    "chat": {"types", "supervisor", "api.tool_fields", "api.fields", "api.api_error"},
    "sight": {"types", "supervisor", "llama", "mtmd"},
    "files": {"types", "supervisor", "llama", "machine", "chat"},
}
# Within the room of Slack: what brings an answer out, and what the set-up is, knows nothing of questions or commands.
SLACK_WALLS = {
    "delivery": {"blocks", "calls", "rates", "sent"},
    "setup": {"calls", "workspaces"},
}
WALLS = [(*pair, "engine") for pair in ENGINE_WALLS.items()] + [(*pair, "slack") for pair in SLACK_WALLS.items()]
ONLY_IN = {
    "llama_cpp": {"engine/llama/"},
    "apscheduler": {"jobs.py"},
    "sqlalchemy": {"storage/"},
    "alembic": {"storage/db.py"},
    "cryptography": {"storage/keyring.py"},
    "slack_bolt": {"slack/", "listening.py", "app.py", "ground.py", "web.py"},
    "slack_sdk": {"slack/", "app.py", "ground.py", "playground/testing.py"},
    "torch": {"learning/training/"},
    "transformers": {"learning/training/"},
    "peft": {"learning/training/"},
    "trl": {"learning/training/"},
    "safetensors": {"learning/proof/export.py"},
    "gguf": {"learning/"},
    "pypdf": {"files/"},
    "PIL": {"engine/sight/", "files/"},
    "defusedxml": {"files/"},
    "faster_whisper": {"files/"},
}


def files(folder: Path = BOT) -> list[Path]:
    """Return the Python files of a folder."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports anywhere, not only at its top."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    """Return the room of a file: the folder, or the module at the top."""
    relative = path.relative_to(BOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@pytest.mark.parametrize("path", [path for path in files() if room(path) in MAY_IMPORT], ids=str)
def test_imports_point_one_way(path: Path) -> None:
    """A room imports only what lies to its right."""
    own = room(path)
    allowed = MAY_IMPORT[own]
    wanted = {name.removeprefix("bot.") for name in imports(path) if name.startswith("bot.")}
    known = {own} if allowed is None else {own, *BASE, *allowed}
    wrong = {name for name in wanted if not any(name == good or name.startswith(f"{good}.") for good in known)}

    assert not wrong


@pytest.mark.parametrize(("inner", "neighbours", "outer"), WALLS)
def test_a_room_within_a_room_has_walls(inner: str, neighbours: set[str], outer: str) -> None:
    """It imports its neighbours as listed and nothing else of the house it stands in."""
    prefix = f"bot.{outer}."
    wanted = {
        name.removeprefix(prefix)
        for path in files(BOT / outer / inner)
        for name in imports(path)
        if name.startswith(prefix)
    }
    allowed = {inner, *neighbours}
    known = {name for name in wanted if any(name == good or name.startswith(f"{good}.") for good in allowed)}

    assert wanted - known - {good.split(".")[0] for good in allowed} == set()


def test_every_room_has_a_rule() -> None:
    """A new room or module at the top says whom it may import; only the entries may import everybody."""
    assert {room(path) for path in files()} - set(MAY_IMPORT) == {"__init__", "__main__", "cli"}


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_foreign_library_has_one_home(library: str) -> None:
    """What changes under us is met in one place."""
    users = {
        str(path.relative_to(BOT))
        for path in files()
        if any(name == library or name.startswith(f"{library}.") for name in imports(path))
    }

    assert {user for user in users if not any(user.startswith(home) for home in ONLY_IN[library])} == set()


def test_files_stay_small() -> None:
    """Median at most 100 lines, nine of ten at most 220, none above 350."""
    lines = {path: len(path.read_text().splitlines()) for path in files()}
    long = sorted(count for count in lines.values() if count > 3)

    assert {str(path): count for path, count in lines.items() if count > 350} == {}
    assert statistics.median(long) <= 100
    assert statistics.quantiles(long, n=10)[-1] <= 220


def test_functions_stay_small() -> None:
    """Median at most 10 lines, nine of ten at most 30, none above 60."""
    sizes: dict[str, int] = {}
    for path in files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                sizes[f"{path.relative_to(ROOT)}:{node.name}:{node.lineno}"] = node.end_lineno - node.lineno + 1

    assert {name: size for name, size in sizes.items() if size > 60} == {}
    assert statistics.median(sizes.values()) <= 10
    assert statistics.quantiles(sizes.values(), n=10)[-1] <= 30


def test_folders_are_two_deep_at_most() -> None:
    """A reader finds a file from the room's name."""
    assert [str(path) for path in files() if len(path.relative_to(BOT).parts) > 3] == []


def test_no_module_is_a_drawer() -> None:
    """A file is named after what it does."""
    assert [path for path in files() if path.stem in {"utils", "helpers", "common", "misc"}] == []


def test_help_imports_nothing_heavy() -> None:
    """`bot --help` answers before anything large is loaded."""
    script = "import sys, bot.cli; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    heavy = {"aiohttp", "sqlalchemy", "slack_sdk", "llama_cpp", "numpy", "pydantic", "torch", "transformers", "gguf"}
    assert set(loaded) & heavy == set()

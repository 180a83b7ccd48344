"""Where the model comes from: a path that exists, or a download that happens once."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from bot.errors import ConfigError
from bot.model_files import resolve_model

CONTENT = b"GGUF" + bytes(range(256)) * 64
SCRIPT = """
import sys
from pathlib import Path
from bot.model_files import resolve_model
print(resolve_model(path=Path("unused"), repo="team/model", file=sys.argv[1], folder=Path("kept")))
"""


@pytest.fixture
async def hub() -> AsyncIterator[tuple[str, list[str]]]:
    """Serve one file as a model hub does; return its address and the requests that came."""
    requests: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        requests.append(f"{request.method} {request.path}")
        if not request.path.endswith("/resolve/main/model.gguf"):
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        headers = {"ETag": '"0123456789abcdef0123456789abcdef01234567"', "X-Repo-Commit": "a" * 40}
        return web.Response(body=CONTENT, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", requests
    await runner.cleanup()


async def fetch(endpoint: str, file: str, folder: Path) -> tuple[int, str]:
    """Resolve *file* in a process of its own, since the hub's library reads its address once."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SCRIPT,
        file,
        cwd=folder,
        env={"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HOME": str(folder), "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_a_repository_is_downloaded_once(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    """The second start takes the file that is there and asks nobody."""
    endpoint, requests = hub
    code, output = await fetch(endpoint, "model.gguf", tmp_path)
    assert code == 0, output
    assert (tmp_path / "kept" / "model.gguf").read_bytes() == CONTENT

    requests.clear()
    code, output = await fetch(endpoint, "model.gguf", tmp_path)
    assert code == 0, output
    assert requests == []


@pytest.mark.parametrize(("file", "is_up"), [("wrong-name.gguf", True), ("model.gguf", False)])
async def test_a_failed_download_names_the_variables(
    hub: tuple[str, list[str]], tmp_path: Path, file: str, is_up: bool
) -> None:
    """A wrong name or a missing network: the error says which settings to look at and how to go without."""
    code, output = await fetch(hub[0] if is_up else "http://127.0.0.1:1", file, tmp_path)

    assert code == 1
    assert "ConfigError: MODEL_REPO/MODEL_FILE" in output
    assert "MODEL_PATH" in output


def test_a_path_is_used_as_it_is(tmp_path: Path) -> None:
    """No copy is made of a file that the admin has."""
    model = tmp_path / "mine.gguf"
    model.write_bytes(CONTENT)
    assert resolve_model(path=model, repo="", file="", folder=tmp_path) == model

    with pytest.raises(ConfigError, match=r"MODEL_PATH: there is no file .*other\.gguf"):
        resolve_model(path=tmp_path / "other.gguf", repo="", file="", folder=tmp_path)

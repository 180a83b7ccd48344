"""Where the model comes from: a path that exists, or a download that happens once, as a whole and unharmed."""

import asyncio
import hashlib
import json
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from bot.admin.model import ModelSwitch
from bot.errors import ConfigError
from bot.hub import Access, RemoteFile, find_file
from bot.model_files import is_complete, list_parts, pull, read_origin, resolve_model
from tests.model_hub import COMMIT, CONTENT, Hub, running_hub

CUT = 3 * len(CONTENT) // 4
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SCRIPT = """
import logging, os, sys
from pathlib import Path
from bot.hub import Access
from bot.model_files import resolve_model
access = Access(os.environ["HF_ENDPOINT"], os.environ["HF_TOKEN"])
logging.basicConfig(level="INFO", format="%(message)s")
print(resolve_model(path=Path("unused"), repo=sys.argv[2], file=sys.argv[1], folder=Path("kept"), access=access))
"""


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """Return a running hub."""
    async with running_hub() as hub:
        yield hub


async def start_fetch(
    endpoint: str, file: str, folder: Path, *, repo: str = "team/model"
) -> asyncio.subprocess.Process:
    """Resolve *file* in a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SCRIPT, file, repo),
        cwd=folder,
        env={"HF_ENDPOINT": endpoint, "HF_TOKEN": "hf_secret", "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def fetch(endpoint: str, file: str, folder: Path, *, repo: str = "team/model") -> tuple[int, str]:
    """Resolve *file* and return how that ended."""
    process = await start_fetch(endpoint, file, folder, repo=repo)
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_a_repository_is_downloaded_once(hub: Hub, tmp_path: Path) -> None:
    """The checksum is compared and said; the second start takes the file that is there and asks nobody."""
    code, output = await fetch(hub.address, "model.gguf", tmp_path)
    kept = tmp_path / "kept" / "model.gguf"
    assert code == 0, output
    assert kept.read_bytes() == CONTENT
    assert f"SHA-256 {SHA256} (as the repository says)" in output
    origin = read_origin(kept)
    assert origin
    assert (origin.repo, origin.revision, origin.sha256, origin.size) == ("team/model", COMMIT, SHA256, len(CONTENT))
    assert [path.name for path in (tmp_path / "kept").iterdir() if path != kept] == ["model.gguf.origin.json"]

    hub.requests.clear()
    code, output = await fetch("http://127.0.0.1:1", "model.gguf", tmp_path)
    assert code == 0, output
    assert hub.requests == []


async def test_a_download_that_broke_off_goes_on(hub: Hub, tmp_path: Path) -> None:
    """A killed process leaves no half model in its place, and the next start asks for the rest only."""
    hub.cut_at = CUT
    process = await start_fetch(hub.address, "model.gguf", tmp_path)
    await asyncio.wait_for(hub.resumed.wait(), 60)  # it noticed, and tries again by itself
    process.kill()
    await process.communicate()
    assert not (tmp_path / "kept" / "model.gguf").exists()

    hub.cut_at = None
    hub.requests.clear()
    code, output = await fetch(hub.address, "model.gguf", tmp_path)
    assert code == 0, output
    ranges = [int(request.partition("bytes=")[2].rstrip("-")) for request in hub.requests if "bytes=" in request]
    assert len(ranges) == 1
    assert 0 < ranges[0] <= CUT
    assert (tmp_path / "kept" / "model.gguf").read_bytes() == CONTENT


async def test_a_hub_that_cannot_resume_begins_anew(hub: Hub, tmp_path: Path) -> None:
    """Some mirrors send the whole file again; it is not appended to what is there."""
    hub.ignores_ranges = True
    part = tmp_path / "kept" / ".unfinished" / f"model.gguf.{SHA256[:12]}"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])
    code, output = await fetch(hub.address, "model.gguf", tmp_path)

    assert code == 0, output
    assert hub.resumed.is_set()
    assert (tmp_path / "kept" / "model.gguf").read_bytes() == CONTENT


async def test_the_token_stays_with_the_hub(hub: Hub, tmp_path: Path) -> None:
    """A renamed repository is followed; the storage behind the hub gets the request without HF_TOKEN."""
    async with running_hub() as storage:
        hub.renamed, hub.storage = True, storage.address
        code, output = await fetch(hub.address, "model.gguf", tmp_path)

    assert code == 0, output
    assert set(hub.tokens) == {"Bearer hf_secret"}
    assert storage.requests == [f"GET /crew/model/resolve/{COMMIT}/model.gguf"]
    assert storage.tokens == [""]


async def test_a_hub_that_falls_silent_is_named(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more comes: a few tries with longer pauses, then one sentence; what arrived is kept."""
    hub.cut_at = 1000
    monkeypatch.setattr("bot.hub.FIRST_PAUSE", 0.01)
    with pytest.raises(ConfigError, match="sends nothing any more"):
        await asyncio.to_thread(pull, "team/model", "model.gguf", tmp_path, Access(hub.address))

    assert [path.stat().st_size for path in (tmp_path / ".unfinished").iterdir()] == [1000]


async def test_two_do_not_download_the_same(hub: Hub, tmp_path: Path) -> None:
    """The second one says so instead of writing into the first one's file."""
    hub.cut_at = 1000
    first = await start_fetch(hub.address, "model.gguf", tmp_path)
    await asyncio.wait_for(hub.resumed.wait(), 60)
    code, output = await fetch(hub.address, "model.gguf", tmp_path)
    first.kill()
    await first.communicate()

    assert code == 1
    assert "another process is downloading it" in output.splitlines()[-1]


async def test_a_damaged_download_is_never_served(hub: Hub, tmp_path: Path) -> None:
    """Right size, wrong bytes: refused and deleted, and the next start begins anew."""
    hub.spoiled = True
    code, output = await fetch(hub.address, "model.gguf", tmp_path)
    assert code == 1
    assert "model.gguf arrived damaged" in output
    assert [path for path in (tmp_path / "kept").rglob("*") if path.is_file() and path.stat().st_size > 1000] == []

    hub.spoiled = False
    code, output = await fetch(hub.address, "model.gguf", tmp_path)
    assert code == 0, output
    assert (tmp_path / "kept" / "model.gguf").read_bytes() == CONTENT


async def test_every_part_of_a_model_is_fetched(hub: Hub, tmp_path: Path) -> None:
    """Whichever part is named, all come, and the first one is served; one that is here already is not fetched again."""
    names = [f"Q4/big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    hub.files = {name: CONTENT + name.encode() for name in names}
    code, output = await fetch(hub.address, names[1], tmp_path)
    assert code == 0, output
    assert output.splitlines()[-1].endswith(names[0])
    assert "file 3 of 3" in output
    assert all((tmp_path / "kept" / name).read_bytes() == hub.files[name] for name in names)

    (tmp_path / "kept" / names[2]).unlink()
    hub.requests.clear()
    assert (await fetch(hub.address, names[0], tmp_path))[0] == 0
    assert {request.rpartition("/")[2].split()[0] for request in hub.requests} == {Path(names[2]).name}


@pytest.mark.parametrize(("file", "is_up"), [("wrong-name.gguf", True), ("model.gguf", False)])
async def test_a_failed_download_names_the_variables(hub: Hub, tmp_path: Path, file: str, is_up: bool) -> None:
    """A wrong name or a missing network: the error says which settings to look at and how to go without."""
    code, output = await fetch(hub.address if is_up else "http://127.0.0.1:1", file, tmp_path)

    assert code == 1
    assert "ConfigError: MODEL_REPO/MODEL_FILE" in output
    assert "MODEL_PATH" in output


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, "RepoNotFound", "team/model does not exist or is private"),
        (403, "GatedRepo", "asks for an agreement"),
        (418, "", "418"),
    ],
)
async def test_a_refusal_of_the_hub_is_explained(hub: Hub, tmp_path: Path, status: int, error: str, said: str) -> None:
    """Private, gated, or something that nobody has seen yet."""
    hub.status, hub.error = status, error
    code, output = await fetch(hub.address, "model.gguf", tmp_path)

    assert code == 1
    assert said in output.splitlines()[-1]


def test_a_file_of_another_repository_is_not_taken_for_this_one(tmp_path: Path) -> None:
    """Many repositories have a model.gguf; one that was put there by hand is taken as it is."""
    kept = tmp_path / "model.gguf"
    kept.write_bytes(CONTENT)
    assert is_complete(kept, repo="team/model")

    note = {"repo": "other/model", "file": "model.gguf", "revision": "", "size": len(CONTENT), "sha256": SHA256}
    kept.with_name("model.gguf.origin.json").write_text(json.dumps(note))
    assert is_complete(kept, repo="other/model")
    with pytest.raises(ConfigError, match="came from other/model"):
        is_complete(kept, repo="team/model")
    kept.write_bytes(CONTENT[:-1])
    assert not is_complete(kept, repo="other/model")


@pytest.mark.parametrize("name", ["../model.gguf", "/etc/model.gguf", "a/../../b.gguf", "model.bin", ""])
def test_a_name_stays_in_its_folder(name: str) -> None:
    """What is no file of a repository is refused before anybody is asked."""
    with pytest.raises(ConfigError, match="MODEL_FILE"):
        list_parts(name)


def test_a_path_is_used_as_it_is(tmp_path: Path) -> None:
    """No copy is made of a file that the admin has."""
    model = tmp_path / "mine.gguf"
    model.write_bytes(CONTENT)
    assert resolve_model(path=model, repo="", file="", folder=tmp_path, access=Access()) == model

    with pytest.raises(ConfigError, match=r"MODEL_PATH: there is no file .*other\.gguf"):
        resolve_model(path=tmp_path / "other.gguf", repo="", file="", folder=tmp_path, access=Access())


async def test_a_hub_that_sends_too_much_is_named(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is longer than the hub says would be fetched again and again, for good."""
    monkeypatch.setattr("bot.hub.FIRST_PAUSE", 0.01)
    hub.excess = 10
    with pytest.raises(ConfigError, match=r"sends more than the 4,194,308 bytes"):
        await asyncio.to_thread(pull, "team/model", "model.gguf", tmp_path, Access(hub.address))
    assert [request[:3] for request in hub.requests] == ["HEA", "GET"]

    hub.excess = 0
    assert (await asyncio.to_thread(pull, "team/model", "model.gguf", tmp_path, Access(hub.address))).exists()


@pytest.mark.parametrize("most", [100_000, len(CONTENT) + 4096])
async def test_a_disk_that_fills_up_is_named(hub: Hub, tmp_path: Path, most: int) -> None:
    """Not the hub, which is asked once: what is lacking is room, for the file or for the note beside it."""
    folder = tmp_path / "models"
    if most > len(CONTENT):
        (folder / "model.gguf.origin.json").mkdir(parents=True)
    limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))  # the system refuses what is longer
    try:
        with pytest.raises(ConfigError, match=r"DATA_DIR: .* cannot be written .* make room.*is kept"):
            await asyncio.to_thread(pull, "team/model", "model.gguf", folder, Access(hub.address))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    assert len(hub.requests) == 2
    assert [path.stat().st_size > 0 for path in (folder / ".unfinished").iterdir()] == [True]


async def test_what_another_process_has_fetched_meanwhile_is_taken(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It puts its file in its place while this one has only asked for it; nothing is fetched twice."""
    there: list[Path] = []

    def find(repo: str, file: str, access: Access) -> RemoteFile:
        found = find_file(repo, file, access)
        if not there:
            there.append(tmp_path)
            pull(repo, file, tmp_path, access)
        return found

    monkeypatch.setattr("bot.model_files.find_file", find)
    path = await asyncio.to_thread(pull, "team/model", "model.gguf", tmp_path, Access(hub.address))
    assert path.read_bytes() == CONTENT
    assert [request[:3] for request in hub.requests] == ["HEA", "HEA", "GET"]
    assert not (tmp_path / ".unfinished").exists()


async def test_the_settings_own_model_can_be_chosen_again(tmp_path: Path) -> None:
    """Wherever it lies: after two switches no `back` would lead to it."""
    own, other = tmp_path / "own" / "starter.gguf", tmp_path / "models" / "other.gguf"
    for path in (own, other):
        path.parent.mkdir()
        path.write_bytes(CONTENT)

    async def serve(_path: Path) -> None:
        """Serve nothing."""

    database: Any = None
    switch = ModelSwitch(
        database,
        current=other,
        configured=own,
        folders=[other.parent],
        folder=tmp_path,
        serve=serve,
        hold=nullcontext,
        tell=lambda _path: None,
    )
    assert [(file.name, file.is_served) for file in switch.list_files()] == [
        ("other.gguf", True),
        ("starter.gguf", False),
    ]

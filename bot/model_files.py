"""Model files: where the served one lies, and how one gets here: once, resumed, with its checksum."""

import hashlib
import json
import logging
import re
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from bot.errors import ConfigError
from bot.hub import Access, HubFailure, RemoteFile, claiming, download, find_file

log = logging.getLogger(__name__)

UNFINISHED = ".unfinished"
SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")
MAX_SHARDS = 1000
MIB = 2**20
BAR_SECONDS, LINE_SECONDS, BAR_WIDTH = 0.2, 10.0, 30
MEND = "Check both names and the network (what has arrived is kept), or download it yourself and set MODEL_PATH."


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a downloaded file came from; it stands beside the file."""

    repo: str
    file: str
    revision: str
    size: int
    sha256: str


def resolve_model(*, path: Path, repo: str, file: str, folder: Path, access: Access) -> Path:
    """Return the GGUF to serve, downloaded once to *folder* when a repository is named."""
    if repo:
        return pull(repo, file, folder, access)
    if not path.is_file():
        raise ConfigError(f"MODEL_PATH: there is no file {path}. Give the path of a GGUF, or leave it empty.")
    return path


def resolve_mmproj(given: Path | None, *, repo: str, folder: Path, access: Access) -> Path | None:
    """Return the file by which the model sees, downloaded once when it is named as one of the model's repository."""
    if given is None or given.is_file():
        return given
    if repo and not given.is_absolute():
        return pull(repo, str(given), folder, access)
    mend = "Give the path of an mmproj, or the name of one in MODEL_REPO, or leave it empty."
    raise ConfigError(f"MODEL_MMPROJ: there is no file {given}. {mend}")


def pull(repo: str, file: str, folder: Path, access: Access) -> Path:
    """Return the file of a repository, downloaded if it is not there yet, every part of it when it has several."""
    parts = list_parts(file)
    missing = [part for part in parts if not is_complete(folder / part, repo=repo)]
    for number, part in enumerate(missing, start=1):
        if len(missing) > 1:
            log.info("model: file %d of %d", number, len(missing))
        _download(repo, part, folder, access)
    return folder / parts[0]


def list_parts(file: str) -> list[str]:
    """Return the names of all files that make up the model of which *file* is one, the first one first."""
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or not path.name.endswith(".gguf"):
        raise ConfigError(f"MODEL_FILE: {file} is not the name of a GGUF file in a repository.")
    found = SHARD.fullmatch(path.name)
    count = int(found[3]) if found else 1
    if not found or not 0 < count <= MAX_SHARDS:
        return [str(path)]
    return [str(path.with_name(f"{found[1]}-{number:05}-of-{found[3]}.gguf")) for number in range(1, count + 1)]


def is_complete(path: Path, *, repo: str) -> bool:
    """Whether a file is here as a whole; one without a note was put there by hand and is taken as it is."""
    if not path.is_file():
        return False
    origin = read_origin(path)
    if origin is None:
        return True
    if origin.repo != repo:
        raise ConfigError(f"MODEL_FILE: {path} came from {origin.repo}, not from {repo}: move it away or rename it.")
    return path.stat().st_size == origin.size


def read_origin(path: Path) -> Origin | None:
    """Return where a file came from, if it was downloaded by us."""
    try:
        return Origin(**json.loads(_note(path).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.origin.json")


def _download(repo: str, file: str, folder: Path, access: Access) -> None:
    """Download one file, compare its checksum, and only then put it in its place."""
    try:
        remote = find_file(repo, file, access)
        unfinished = folder / UNFINISHED / f"{file.replace('/', '__')}.{(remote.sha256 or remote.revision)[:12]}"
        with claiming(unfinished):
            if is_complete(folder / file, repo=repo):  # another process was faster
                unfinished.unlink()
            else:
                _check_space(folder, unfinished, size=remote.size)
                log.info("model: downloading %s from %s, %s", file, repo, f"{remote.size / MIB:,.0f} MiB")
                download(remote, unfinished, access, report=Progress())
                _put_in_place(remote, unfinished, folder / file, repo=repo, file=file)
            with suppress(OSError):  # another file is still on its way
                unfinished.parent.rmdir()
    except HubFailure as error:
        raise ConfigError(f"MODEL_REPO/MODEL_FILE: {file} could not be downloaded: {error}. {MEND}") from error
    except OSError as error:
        place = error.filename or folder
        raise ConfigError(
            f"DATA_DIR: {place} cannot be written ({error.strerror or error}): make room, or give the bot the right to "
            "write there, then start again; what has arrived is kept."
        ) from error


def _put_in_place(remote: RemoteFile, unfinished: Path, target: Path, *, repo: str, file: str) -> None:
    with unfinished.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if remote.sha256 and sha256 != remote.sha256:
        unfinished.unlink()
        raise ConfigError(
            f"MODEL_REPO/MODEL_FILE: {file} arrived damaged: its SHA-256 is {sha256[:12]}…, the repository's is "
            f"{remote.sha256[:12]}…. It was deleted; start again."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    origin = Origin(repo, file, remote.revision, remote.size, sha256)
    _note(target).write_text(json.dumps(asdict(origin), indent=1))
    unfinished.replace(target)
    said = "as the repository says" if remote.sha256 else "the repository states none to compare"
    log.info("model: %s is complete, SHA-256 %s (%s)", target, sha256, said)


def _check_space(folder: Path, unfinished: Path, *, size: int) -> None:
    begun = unfinished.stat().st_size
    free = shutil.disk_usage(folder).free
    if size - begun > free:
        raise ConfigError(
            f"DATA_DIR: the model needs {size / MIB:,.0f} MiB and {folder} has room for {free / MIB:,.0f} MiB: "
            "free some, or set DATA_DIR to a larger disk."
        )


class Progress:
    """A bar on a terminal; a line every ten seconds in a log file."""

    def __init__(self) -> None:
        self._begun = self._said = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """Say how far it is, unless that was said a moment ago."""
        now = time.monotonic()
        self._first = done if self._first is None else self._first
        is_terminal = sys.stderr.isatty()
        if now - self._said < (BAR_SECONDS if is_terminal else LINE_SECONDS) and done < total:
            return
        self._said = now
        speed = (done - self._first) / max(now - self._begun, 0.001)
        left = f"{(total - done) / speed:,.0f} s left" if speed else ""
        text = f"{100 * done // total:3d} % of {total / MIB:,.0f} MiB, {speed / MIB:,.1f} MiB/s, {left}"
        if is_terminal:
            filled = BAR_WIDTH * done // total
            end = "\n" if done == total else ""
            sys.stderr.write(f"\r  [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {text}  {end}")
            sys.stderr.flush()
        else:
            log.info("model: %s", text)

"""Downloads a file from a Hugging Face repository by plain HTTP: pinned to a revision, and resumed after any end.

The hub's own library starts anew after a process that ended, and asks for more than the file. Knows no settings.
"""

import errno
import fcntl
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

DEFAULT_ENDPOINT = "https://huggingface.co"
TIMEOUT_SECONDS = 30.0
CHUNK_BYTES = 1024 * 1024
MAX_MOVES, MAX_TRIES = 5, 5
FIRST_PAUSE = 0.5
OF_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}  # no hub is to blame, and no other try helps
FORBIDDEN = {
    "GatedRepo": "asks for an agreement: accept it on its page and set HF_TOKEN",
    "RepoNotFound": "does not exist or is private, which needs HF_TOKEN",
    "EntryNotFound": "has no such file",
}
Progress = Callable[[int, int], None]


class HubFailure(Exception):  # noqa: N818 - reads as a state, not as a mistake
    """The file cannot be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Access:
    """Which hub is asked, and with which token, if any."""

    endpoint: str = DEFAULT_ENDPOINT
    token: str = ""

    def build_request(self, url: str, method: str) -> urllib.request.Request:
        """Return a request whose token goes to the hub alone and not to the storage behind it."""
        request = urllib.request.Request(url, method=method)  # noqa: S310 - the settings checked the endpoint
        request.add_header("User-Agent", "apprentice")
        request.add_header("Accept-Encoding", "identity")
        if self.token:
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        return request


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What a hub says of a file: where its bytes are, how many, their SHA-256 if it states one, and the revision."""

    url: str
    size: int
    sha256: str
    revision: str


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Lets a move be seen, because the hub's answer has what the storage behind it does not say."""

    def redirect_request(self, *_: object) -> None:
        return None


def find_file(repo: str, file: str, access: Access) -> RemoteFile:
    """Return what the hub says of a file, or raise *HubFailure*."""
    url = f"{access.endpoint.rstrip('/')}/{urllib.parse.quote(repo)}/resolve/main/{urllib.parse.quote(file)}"
    for _ in range(MAX_MOVES):
        headers = _ask(url, access, repo=repo)
        moved = urllib.parse.urljoin(url, headers.get("Location") or url)
        is_elsewhere = urllib.parse.urlsplit(moved).netloc != urllib.parse.urlsplit(url).netloc
        if moved == url or is_elsewhere or "X-Linked-Etag" in headers:
            return _describe(url, headers)
        url = moved
    raise HubFailure(f"{repo} was moved too often")


def _ask(url: str, access: Access, *, repo: str) -> Mapping[str, str]:
    """Return the headers of the hub's answer, whether it sends the file itself or names another place."""
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(access.build_request(url, "HEAD"), timeout=TIMEOUT_SECONDS) as response:
            return _by_title(response.headers)
    except urllib.error.HTTPError as error:
        headers = _by_title(error.headers)
        error.close()
        if 300 <= error.code < 400:
            return headers
        raise HubFailure(f"{repo} {FORBIDDEN.get(headers.get('X-Error-Code', ''), f'answers {error.code}')}") from error
    except (OSError, http.client.HTTPException) as error:
        raise HubFailure(f"{urllib.parse.urlsplit(url).netloc} cannot be reached ({_name(error)})") from error


def _describe(url: str, headers: Mapping[str, str]) -> RemoteFile:
    etag = (headers.get("X-Linked-Etag") or headers.get("Etag") or "").removeprefix("W/").strip('"')
    size = headers.get("X-Linked-Size") or headers.get("Content-Length") or ""
    revision = headers.get("X-Repo-Commit", "")
    if not size.isdecimal():
        raise HubFailure(f"{url} does not say how large it is")
    is_sha256 = len(etag) == 64 and set(etag) <= set("0123456789abcdef")
    pinned = url.replace("/resolve/main/", f"/resolve/{revision}/", 1) if revision else url
    return RemoteFile(pinned, int(size), etag if is_sha256 else "", revision)


@contextmanager
def claiming(target: Path) -> Iterator[None]:
    """Have *target*, empty or begun, to oneself while the block runs; *HubFailure* while another process has it."""
    while True:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise HubFailure("another process is downloading it just now: wait for that one") from error
            if _is_at(target, lock.fileno()):  # else that one has put it in its place
                yield
                return


def _is_at(path: Path, opened: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(opened))
    except FileNotFoundError:
        return False


def download(remote: RemoteFile, target: Path, access: Access, *, report: Progress) -> None:
    """Fill *target*, which is claimed, beginning where it ends; *HubFailure* when nothing comes any more.

    Asks for the rest until it is complete, with pauses that grow while nothing comes.
    """
    tries, pause = 0, FIRST_PAUSE
    while (have := target.stat().st_size) != remote.size:
        if have > remote.size:
            os.truncate(target, 0)
            continue
        try:
            _continue(remote, target, access, have=have, report=report)
            reason = "the connection ended early"
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                raise HubFailure(f"{_host(remote)} answers {error.code}") from error
            if isinstance(error, OSError) and error.errno in OF_DISK:
                raise
            reason = _name(error)
        arrived = target.stat().st_size
        tries, pause = (0, FIRST_PAUSE) if arrived > have else (tries + 1, pause * 2)
        if tries >= MAX_TRIES:
            raise HubFailure(f"{_host(remote)} sends nothing any more ({reason})")
        if arrived != remote.size:
            time.sleep(pause)


def _continue(remote: RemoteFile, target: Path, access: Access, *, have: int, report: Progress) -> None:
    request = access.build_request(remote.url, "GET")
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - the admin's own address
        is_rest = response.status == http.client.PARTIAL_CONTENT
        with target.open("ab" if is_rest else "wb") as file:
            while chunk := response.read1(CHUNK_BYTES):
                file.write(chunk)
                if file.tell() > remote.size:  # it would do so again and again
                    raise HubFailure(f"{_host(remote)} sends more than the {remote.size:,} bytes that it states")
                report(file.tell(), remote.size)


def _by_title(headers: Message) -> dict[str, str]:
    """Return headers under one way to write their names."""
    return {name.title(): value for name, value in headers.items()}


def _host(remote: RemoteFile) -> str:
    return urllib.parse.urlsplit(remote.url).netloc


def _name(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason) or type(error).__name__

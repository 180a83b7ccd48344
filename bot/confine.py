"""What a process that works on other people's files gives up for good: all other files, and the network.

By Landlock and seccomp of Linux, which need no root. What the kernel lacks is not enforced, and what is enforced is
returned, so that it can be said. Call it before the process has threads or has read anything.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # Landlock's calls, the same on every machine
VERSION, PATH_BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
READ = EXECUTE | READ_FILE | READ_DIR
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE  # the rest are rights over folders
RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1}  # by version; from 3 on with TRUNCATE
SYSTEM = ("/bin", "/etc", "/lib", "/lib32", "/lib64", "/nix", "/opt", "/sbin", "/sys", "/usr")
DEVICES = ("/dev", "/proc")  # a GPU is written to, and so is by whom memory is given up first
SCOPED_VERSION, SCOPED = 6, 0b11  # neither signals nor abstract sockets reach processes outside

NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2
SOCKET_CALL = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
CAPABILITIES, KEPT = 0x20080522, 0b110  # root keeps reading and writing whatever the rules below leave
FOREIGN_CALL, IO_URING = 0x40000000, 425  # another numbering of the same calls, and a way around them
ALLOWED_FAMILIES = (1, 16)  # unix and netlink: between processes of this machine, and to its kernel
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES
LIBC = ctypes.CDLL(None, use_errno=True)


def limit(
    *, memory_bytes: int = 1024**3, cpu_seconds: int | None = 20, has_threads: bool = False, niceness: int = 10
) -> None:
    """Let a process that reads what strangers made be ended in the middle of anything, and write no file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for whoever started this, and ends it
    limits = {resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_NOFILE: 64}
    limits |= dict.fromkeys((resource.RLIMIT_CORE, resource.RLIMIT_FSIZE), 0)
    if cpu_seconds is not None:
        limits[resource.RLIMIT_CPU] = cpu_seconds
    if not has_threads:
        limits[resource.RLIMIT_NPROC] = 0
    for kind, value in limits.items():
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (value, value))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.nice(niceness)


def confine(*, read: Iterable[Path] = (), write: Iterable[Path] = ()) -> str:
    """Leave this process the system, Python, and what is named; return which of `files` and `network` that closed."""
    if sys.platform != "linux" or LIBC.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return "nothing"
    if not os.geteuid():  # root could read the memory of others
        LIBC.capset(struct.pack("Ii", CAPABILITIES, 0), struct.pack("6I", KEPT, KEPT, 0, 0, 0, 0))
    closed = {"files": _close_files([*map(Path, SYSTEM), *_python(), *read], [*map(Path, DEVICES), *write])}
    closed["network"] = _close_network()
    return " and ".join(what for what, is_closed in closed.items() if is_closed) or "nothing"


def _python() -> list[Path]:
    """Return where this Python and what it imports lies; of a folder that holds our source only the source."""
    package = Path(__file__).parent
    named = (os.environ.get("LD_LIBRARY_PATH", "") + ":" + os.environ.get("PYTHONPATH", "")).split(":")
    return [package, *map(Path, {sys.prefix, sys.exec_prefix, sys.base_prefix, *filter(None, named)})]


def _close_files(read: Iterable[Path], write: Iterable[Path]) -> bool:
    version = LIBC.syscall(CREATE_RULESET, None, 0, VERSION)
    if version < 1:
        return False
    every = RIGHTS.get(version, RIGHTS[2] | TRUNCATE)
    wanted = struct.pack("QQQ", every, 0, SCOPED)[: 24 if version >= SCOPED_VERSION else 8]
    ruleset = LIBC.syscall(CREATE_RULESET, wanted, len(wanted), 0)
    if ruleset < 0:
        return False
    try:
        rules = [(path, READ) for path in read] + [(path, every) for path in write]
        # Whoever imports a package lists the folder that it lies in.
        for path, rights in [*rules, (Path(__file__).parent.parent, READ_DIR)]:
            with suppress(FileNotFoundError):
                _add_rule(ruleset, path, rights & every)
        return not LIBC.syscall(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _add_rule(ruleset: int, path: Path, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        allowed = rights if path.is_dir() else rights & OF_FILES
        LIBC.syscall(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", allowed, place), 0)
    finally:
        os.close(place)


def _close_network() -> bool:
    """Refuse sockets of every other family: a program of a few lines that the kernel runs before each call."""
    if platform.machine() not in SOCKET_CALL or sys.maxsize < 2**32:
        return False
    machine, socket_call = SOCKET_CALL[platform.machine()]
    load, equals, at_least, end = 0x20, 0x15, 0x35, 0x06  # BPF's words
    lines = [
        (load, 0, 0, 4),  # the machine
        (equals, 0, 7, machine),
        (load, 0, 0, 0),  # the call's number
        (at_least, 5, 0, FOREIGN_CALL),
        (equals, 4, 0, IO_URING),
        (equals, 0, 4, socket_call),
        (load, 0, 0, 16),  # its first argument: the family
        (equals, 2, 0, ALLOWED_FAMILIES[0]),
        (equals, 1, 0, ALLOWED_FAMILIES[1]),
        (end, 0, 0, REFUSE),
        (end, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code)))
    return not LIBC.prctl(SECCOMP, FILTER, program, 0, 0)

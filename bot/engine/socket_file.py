"""A private Unix socket: only the engine's own user can reach it, and a dead engine's leftover is no obstacle.

Knows nothing of what is served on it.
"""

import os
import socket
import stat
import struct
import sys
from asyncio.trsock import TransportSocket
from pathlib import Path

from bot.errors import ConfigError

MAX_PATH_BYTES = 100
LOCAL_PEERCRED = 1


def open_socket(path: Path) -> socket.socket:
    """Return a listening socket at *path* with mode 0600 in a directory of mode 0700."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise ConfigError(f"{path} is too long for a Unix socket: choose a shorter DATA_DIR.")
    _prepare_directory(path.parent)
    _remove_stale(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        server.bind(str(path))
    except OSError as error:
        server.close()
        raise ConfigError(f"{path} cannot be created ({error.strerror}).") from error
    finally:
        os.umask(previous)
    server.setblocking(False)
    return server


def _prepare_directory(directory: Path) -> None:
    """Create the directory for ourselves alone; refuse one that belongs to somebody else."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.stat()
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"{directory} can be changed by others: the engine's socket needs a directory of its own.")


def _remove_stale(path: Path) -> None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigError(f"{path} exists and is not a socket: remove it or choose another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise ConfigError(f"{path} is in use: another engine is running.")


def read_peer_uid(connection: "socket.socket | TransportSocket") -> int | None:
    """Return whose process is at the other end; None where the system cannot say (then the mode alone protects)."""
    if hasattr(socket, "SO_PEERCRED"):
        _, uid, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)
    if sys.platform == "darwin":  # struct xucred: version, uid, number of groups, groups
        _, uid = struct.unpack_from("II", connection.getsockopt(0, LOCAL_PEERCRED, 76))
        return int(uid)
    return None

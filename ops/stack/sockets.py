"""Where the listening sockets are: Unix sockets of the servers, and the port of the web process."""

import contextlib
import errno
import hashlib
import os
import re
import socket
import stat
import tempfile
from pathlib import Path

from ops.stack.program import UnixUser

# The kernel allows 108 bytes; PostgreSQL needs a few more for its lock file beside the socket.
PATH_BYTES = 95
PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
# A slow client's kernel buffer holds at most this much, so that the hub sees it is slow.
NOTSENT_LOWAT_BYTES = 16 * 1024
PORTS_TRIED = 50
HIGHEST_PORT = 65535


class SocketFolderUnsafe(RuntimeError):
    """The short folder for sockets belongs to somebody else."""


class PortTaken(RuntimeError):
    """The port that was asked for is in use."""


def socket_folder(*, folder: Path, name: str, user: UnixUser | None = None) -> Path:
    """Return a folder, private to `user`, in which a socket called `name` has a path short and plain enough."""
    place = folder / "socket"
    if not fits(path=place / name):
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        place = short_root(name=name) / f"ticker-{digest}"
    place.mkdir(mode=0o700, exist_ok=True)
    owner = user.uid if user else os.geteuid()
    found = place.lstat()
    if user and found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode):
        os.chown(place, user.uid, user.gid)
        found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise SocketFolderUnsafe(f"{place} must be a folder that only user id {owner} can enter")
    return place


def fits(*, path: Path) -> bool:
    """Say whether a Unix socket can have this path, in every form it is written."""
    return len(os.fsencode(path)) <= PATH_BYTES and PLAIN.fullmatch(str(path)) is not None


def open_listener(*, host: str, port: int, strict: bool) -> socket.socket:
    """Return a listening socket on `port` or, unless `strict`, on the next free one."""
    last = min(HIGHEST_PORT, port if strict else port + PORTS_TRIED)
    for candidate in range(port, last + 1):
        with contextlib.suppress(PortTaken):
            return _listen(host, candidate)
    raise PortTaken(f"port {port} on {host} is taken" if strict else f"no port free from {port} on {host}")


def free_port(*, host: str, port: int, strict: bool) -> int:
    """Return a port that another program can open now."""
    with open_listener(host=host, port=port, strict=strict) as listener:
        return int(listener.getsockname()[1])


def short_root(*, name: str) -> Path:
    """Return the temporary folder in which a socket called `name`, one folder deeper, has a path that fits."""
    for root in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 (the folder made in it is checked)
        if fits(path=root / "ticker-0123456789abcdef" / "socket" / name):
            return root
    raise SocketFolderUnsafe("no folder with a path short enough for a Unix socket was found")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_LOWAT_BYTES)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno in {errno.EADDRINUSE, errno.EACCES}:
            raise PortTaken(f"port {port} on {host} is taken") from error
        raise
    return listener

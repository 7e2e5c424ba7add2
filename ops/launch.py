"""Start a child process that cannot outlive its parent."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixUser:
    """The operating-system user a child runs as when the supervisor is root."""

    uid: int
    gid: int


def spawn(
    *,
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    user: UnixUser | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in its own session. Call it from the main thread: Linux binds the death signal to the thread."""
    return subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(pass_fds),
        preexec_fn=die_with(parent=os.getpid(), death_signal=death_signal),  # noqa: PLW1509 (one thread, and it only calls prctl)
        user=user and user.uid,
        group=user and user.gid,
        extra_groups=user and [],
    )


def output_of(*, command: Sequence[str], folder: Path, user: UnixUser | None = None) -> str:
    """Return what `command` printed; raise `CalledProcessError`, which carries the output, when it failed."""
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.defpath, "HOME": str(folder), "LC_ALL": "C"},
        check=True,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        user=user and user.uid,
        group=user and user.gid,
        extra_groups=user and [],
    ).stdout


def can_reach(*, path: Path, user: UnixUser | None) -> bool:
    """Say whether `user` may enter the folders above `path` and read it."""
    command = ["/bin/sh", "-c", 'test -r "$1"', "sh", str(path)]
    try:
        output_of(command=command, folder=Path("/"), user=user)
    except subprocess.CalledProcessError:
        return False
    return True


def die_with(*, parent: int, death_signal: signal.Signals) -> Callable[[], None] | None:
    """Return what a new child of `parent` must run before it becomes another program."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def bind() -> None:
        # It runs after the change of user, because that change clears the signal.
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os._exit(1)

    return bind

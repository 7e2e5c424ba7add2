"""Start a child process that cannot outlive its parent."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ops.stack.program import Program, UnixUser

PR_SET_PDEATHSIG = 1
# Making a database is the longest of them.
OUTPUT_SECONDS = 300
FORBID_BYTECODE = "PYTHONDONTWRITEBYTECODE"


def spawn(*, program: Program, output: int) -> subprocess.Popen[bytes]:
    """Start `program` in its own session. Call it from the main thread: Linux binds the death signal to the thread."""
    user = program.user
    return subprocess.Popen(
        program.command,
        env=program.environment,
        cwd=program.folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=program.pass_fds,
        preexec_fn=die_with(parent=os.getpid(), death_signal=program.death_signal),  # noqa: PLW1509 (we have no threads)
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )


def output_of(*, command: Sequence[str], folder: Path, user: UnixUser | None = None) -> str:
    """Return what `command` printed; raise `CalledProcessError`, which carries the output, when it failed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.defpath, "HOME": str(folder), "LC_ALL": "C"},
        check=True,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
        timeout=OUTPUT_SECONDS,
    )
    return done.stdout


def can_reach(*, path: Path, user: UnixUser | None) -> bool:
    """Say whether `user` may enter the folders above `path`, and enter or execute it."""
    command = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
    try:
        output_of(command=command, folder=Path("/"), user=user)
    except subprocess.CalledProcessError:
        return False
    return True


def with_bytecode(environment: Mapping[str, str], *, folder: Path) -> dict[str, str]:
    """Return an environment in which Python keeps its byte code, in `folder` where the shell forbids it elsewhere.

    Every program imports some thousand modules; compiling them anew makes each start three times as long.
    """
    kept = {name: value for name, value in environment.items() if name != FORBID_BYTECODE}
    if environment.get(FORBID_BYTECODE):
        kept.setdefault("PYTHONPYCACHEPREFIX", str(folder))
    return kept


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

"""Make a virtual environment equal to a lock file. Standard library only, and readable by an old Python."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Optional  # noqa: UP035 (an older Python must be able to say it is too old)

OLDEST = (3, 11)
CANDIDATES = ("python3.13", "python3.12", "python3.11", "python3.14")
STAMP = "installed-locks"
# A lock is a whole closure: nothing is resolved, every file is checked, nothing is built.
STRICT = ("--no-deps", "--require-hashes", "--only-binary", ":all:")


def prepare(*, root: Path, lock: str, folder: str = ".venv") -> str:
    """Return the environment's Python, with everything in `lock` installed; leave with a sentence if that cannot be."""
    _require_python()
    home = root / folder
    python = home / "bin" / "python"
    wanted = _stamp_line(root, lock)
    if python.exists() and wanted in _stamps(home):
        return str(python)
    with _alone(root):
        if not (python.exists() and wanted in _stamps(home)):
            _install(root, lock, home)
    return str(python)


def _require_python() -> None:
    if sys.version_info >= OLDEST:
        return
    for name in CANDIDATES:
        found = shutil.which(name)
        if found and _works(found):
            os.execv(found, [found, *sys.argv])
    version = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"Python 3.11 or later is needed. This is {version}, and no newer python3.x is on the PATH.")


def _works(python: str) -> bool:
    """Tell a real, new enough interpreter from a broken link or a version manager's shim."""
    program = f"import sys; sys.exit(sys.version_info < {OLDEST!r})"
    return subprocess.call([python, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def _install(root: Path, lock: str, home: Path) -> None:
    began = time.monotonic()
    uv = shutil.which("uv")
    _say(f"Installing {_count(root / lock)} packages from {lock} with {'uv' if uv else 'pip (about a minute)'} …")
    _make_environment(home, uv)
    python = str(home / "bin" / "python")
    if uv:
        _call([uv, "pip", "install", "--quiet", "--python", python, *STRICT, "-r", str(root / lock)])
    else:
        _pip(python, root / lock)
    # The development lock contains the other one; installing either makes the stamps of an older lock untrue.
    held = ["requirements.lock", lock] if lock == "requirements-dev.lock" else [lock]
    (home / STAMP).write_text("".join(f"{_stamp_line(root, name)}\n" for name in held))
    _say(f"Installed in {time.monotonic() - began:.0f} s.")


def _make_environment(folder: Path, uv: Optional[str]) -> None:  # noqa: UP045
    python = folder / "bin" / "python"
    if python.exists() and _works(str(python)) and (uv or _has_pip(str(python))):
        return
    if uv:
        _call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        return
    if importlib.util.find_spec("ensurepip") is None:
        version = "{}.{}".format(*sys.version_info[:2])
        sys.exit(
            f"This Python has no ensurepip, so it cannot make a virtual environment.\n"
            f"On Debian and Ubuntu: sudo apt install python{version}-venv. Or install uv, which needs no ensurepip."
        )
    _call([sys.executable, "-m", "venv", "--clear", str(folder)])


def _has_pip(python: str) -> bool:
    return subprocess.call([python, "-c", "import pip"], stderr=subprocess.DEVNULL) == 0


def _pip(python: str, lock: Path) -> None:
    # Byte code is written on first import, which is quicker than compiling what is never imported.
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile", *STRICT]
    with subprocess.Popen(
        [*command, "--progress-bar", "off", "-r", str(lock)],
        env=_pip_environment(),
        stdout=subprocess.PIPE,
        universal_newlines=True,
    ) as process:
        heard = _show_progress(iter(process.stdout or ()), _count(lock))
    if process.returncode:
        _say("\n".join(heard[-20:]))
        sys.exit("pip could not install the packages; its reason is above.")


def _show_progress(lines: Iterator[str], total: int) -> List[str]:  # noqa: UP006
    heard = []
    collected = 0
    for line in lines:
        heard.append(line.rstrip())
        if line.startswith("Collecting "):
            collected += 1
            if collected % 20 == 0:
                _say(f"  {collected} of {total} packages fetched")
        elif line.startswith("Installing collected"):
            _say(f"  {collected} of {total} packages fetched, unpacking")
    return heard


def _pip_environment() -> Dict[str, str]:  # noqa: UP006
    return {**os.environ, "PIP_USER": "0", "PIP_CONSTRAINT": os.devnull}


def _call(command: List[str]) -> None:  # noqa: UP006
    code = subprocess.call(command)
    if code:
        sys.exit(f"{Path(command[0]).name} failed (exit code {code}); its reason is above.")


def _count(lock: Path) -> int:
    return sum("==" in line and not line.startswith((" ", "#")) for line in lock.read_text().splitlines())


def _stamps(home: Path) -> List[str]:  # noqa: UP006
    stamp = home / STAMP
    return stamp.read_text().splitlines() if stamp.exists() else []


def _stamp_line(root: Path, lock: str) -> str:
    digest = hashlib.sha256((root / lock).read_bytes()).hexdigest()
    return f"{lock} {digest} {root}"


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let one installation run at a time in this folder."""
    descriptor = os.open(str(root), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()

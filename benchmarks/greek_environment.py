"""Environments of their own for the kernel's peers: one lives only with pins of 2021, which ours must not have."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from tests.greeks.book import Book

PINS = {
    "py_vollib_vectorized": ["py_vollib_vectorized==0.1.1", "py_lets_be_rational==1.0.1", "py_vollib==1.0.1"],
    "pyvolr": ["pyvolr==0.1.7"],
}
COLUMNS = ("price", "forward", "strike", "t", "r", "sign")
INSTALL_SECONDS = 600
SCRIPT = Path(__file__).with_name("greek_peers.py")
ONE_THREAD = {"RAYON_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Unavailable(Exception):
    """The peer cannot be had here; the text says why."""


def interpreter(*, name: str, folder: Path) -> Path:
    """Return the interpreter of the peer's environment, made on first use; raises Unavailable."""
    home = folder / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        uv = shutil.which("uv")
        made = (
            [uv, "venv", "-q", "--clear", "--python", sys.executable]
            if uv
            else [sys.executable, "-m", "venv", "--clear"]
        )
        filled = [uv, "pip", "install", "-q", "--python", python] if uv else [python, "-m", "pip", "install", "-q"]
        steps = [[*made, "--clear", home], [*filled, *PINS[name]]]
        for step in steps:
            _run([str(word) for word in step])
        (home / "ready").touch()
    return python


def _run(words: list[str]) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.CalledProcessError as error:
        raise Unavailable(error.stderr.strip().splitlines()[-1] if error.stderr.strip() else str(error)) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error


class Peer:
    """A running peer that times the book whenever it is asked."""

    def __init__(self, *, name: str, folder: Path, book: Book, judged: Book) -> None:
        """Start it; raises Unavailable."""
        self.name = name
        python = interpreter(name=name, folder=folder)
        self._files = tempfile.TemporaryDirectory()
        given, self._answer = Path(self._files.name) / "book.npz", Path(self._files.name) / "iv.npz"
        columns = {
            f"{prefix}{column}": getattr(rows, column)
            for prefix, rows in (("", book), ("judged_", judged))
            for column in COLUMNS
        }
        np.savez(given, allow_pickle=False, **columns)
        self._process = subprocess.Popen(
            [str(python), str(SCRIPT), name, str(given), str(self._answer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, **ONE_THREAD},
        )
        self.seconds()

    def seconds(self) -> float:
        """Return how long the full set of the book took this time; raises Unavailable when the peer died."""
        if self._process.stdin is None or self._process.stdout is None or self._process.stderr is None:
            raise Unavailable("it has no pipes")
        try:
            self._process.stdin.write("again\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._process.stdout.readline()
        if not line:
            raise Unavailable((self._process.stderr.read().strip().splitlines() or ["it ended without a word"])[-1])
        return float(line)

    def volatilities(self) -> np.ndarray:
        """Return its answers for the judged book."""
        found: np.ndarray = np.load(self._answer)["iv"]
        return found

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._files.cleanup()

"""Where the programs' output goes: one file each, and one prefixed, coloured stream for the reader."""

import sys
from pathlib import Path
from typing import TextIO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
FILE_BYTES = 8 * 1024 * 1024
FILES_KEPT = 3
NAME_WIDTH = 9


class Journal:
    """Writes lines; the programs' files are rotated by size."""

    def __init__(self, *, folder: Path, terminal: TextIO | None = sys.stdout, coloured: bool = False) -> None:
        self._folder = folder
        self._terminal = terminal
        self._coloured = coloured
        self._colours: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, *, name: str, line: str, quiet: bool = False) -> None:
        """Append one line of `name` to its file and, unless `quiet`, show it."""
        self._append(name, line)
        if not quiet:
            self.show(name=name, line=line)

    def show(self, *, name: str, line: str) -> None:
        """Show one line to the reader, without keeping it."""
        prefix = f"{name:<{NAME_WIDTH}} |"
        if self._coloured:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self._print(f"{prefix} {line}\n")

    def announce(self, text: str) -> None:
        """Show the supervisor's own words, without a prefix."""
        self._print(f"{text}\n")

    def path(self, name: str) -> Path:
        """Return the file that holds the output of `name`."""
        return self._folder / f"{name}.log"

    def tail(self, name: str, *, lines: int = 20) -> str:
        """Return the last lines of `name`, to explain a failure."""
        path = self.path(name)
        if not path.exists():
            return ""
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def _append(self, name: str, line: str) -> None:
        path = self.path(name)
        if path.exists() and path.stat().st_size > FILE_BYTES:
            self._rotate(path)
        with path.open("a", errors="replace") as file:
            file.write(f"{line}\n")

    def _rotate(self, path: Path) -> None:
        for number in range(FILES_KEPT - 1, 0, -1):
            older = path.with_suffix(f".log.{number}")
            if older.exists():
                older.replace(path.with_suffix(f".log.{number + 1}"))
        path.replace(path.with_suffix(".log.1"))

    def _print(self, text: str) -> None:
        if self._terminal is None:
            return
        try:
            self._terminal.write(text)
            self._terminal.flush()
        except OSError:
            # The reader went away: `./run | head`, or a closed terminal. The files go on.
            self._terminal = None

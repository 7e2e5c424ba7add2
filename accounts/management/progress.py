"""A bar of one line on a terminal; on anything else it stays silent."""

from typing import Final, TextIO

WIDTH: Final = 30


class Bar:
    """Shows what is being done and which share of it is; draws only when the picture changes."""

    def __init__(self, *, stream: TextIO, title: str) -> None:
        self._stream = stream
        self._title = title
        self._drawn = ""
        self._shown = stream.isatty()

    def show(self, stage: str, share: float) -> None:
        """Draw the bar at this share, 0 to 1, of the stage."""
        full = round(min(max(share, 0.0), 1.0) * WIDTH)
        line = f"{self._title} [{'#' * full}{'.' * (WIDTH - full)}] {share:4.0%} {stage}"
        if not self._shown or line == self._drawn:
            return
        self._drawn = line
        self._stream.write(f"\r{line:<78}")
        self._stream.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._stream.write(f"\r{'':<78}\r")
            self._stream.flush()

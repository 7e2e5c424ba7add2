"""The append-only record of everything that reached the exchange; proofs count orders here."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

SECRET_NAMES = frozenset(
    {"access_token", "request_token", "checksum", "password", "totp", "refresh_token", "api_secret"}
)


@dataclass(slots=True)
class Entry:
    """One thing that reached the exchange and what the exchange decided."""

    seq: int
    at: str
    wall: float
    kind: str
    source: str
    user_id: str | None = None
    method: str = ""
    path: str = ""
    route: str = ""
    params: dict[str, object] = field(default_factory=dict)
    verdict: str = "received"
    status: int = 0
    error_type: str | None = None
    message: str | None = None
    order_ids: list[str] = field(default_factory=list)
    tag: str | None = None
    faults: list[str] = field(default_factory=list)
    answer: str = "sent"


class Journal:
    """Keeps every entry in memory and, with a path, on disk."""

    def __init__(self, *, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._file: TextIO | None = None if path is None else path.open("a", encoding="utf-8")

    def begin(self, *, at: str, kind: str, source: str) -> Entry:
        entry = Entry(seq=len(self._entries) + 1, at=at, wall=time.time(), kind=kind, source=source)
        self._entries.append(entry)
        return entry

    def close(self, entry: Entry) -> None:
        if self._file is not None:
            self._file.write(json.dumps(asdict(entry), separators=(",", ":")) + "\n")
            self._file.flush()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, *, since: int = 0, limit: int = 100_000, **wanted: str) -> list[dict[str, object]]:
        """Return entries after number `since` whose fields equal `wanted`; `order_id` looks into order_ids."""
        chosen = (entry for entry in self._entries[since:] if _fits(entry, wanted))
        return [asdict(entry) for entry, _ in zip(chosen, range(limit), strict=False)]

    def last(self, count: int, *, kind: str) -> list[Entry]:
        return [entry for entry in self._entries[-2_000:] if entry.kind == kind][-count:]

    def stop(self) -> None:
        if self._file is not None:
            self._file.close()


def _fits(entry: Entry, wanted: dict[str, str]) -> bool:
    for name, value in wanted.items():
        if name == "order_id":
            if value not in entry.order_ids:
                return False
        elif str(getattr(entry, name, None)) != value:
            return False
    return True


def without_secrets(params: Iterable[tuple[str, object]]) -> dict[str, object]:
    return {name: "***" if name in SECRET_NAMES else value for name, value in params}

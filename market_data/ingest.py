"""From frames to sequenced batches: collect, decode once a flush, keep the last values. Pure."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kite.wire import TICK, Rows, decode
from market_data.batches import Batch, BatchKind
from market_data.table import LastValues, Slots, Tokens, join, take

# So many frames of full packets still fit the processor's cache when they are decoded.
DECODED_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Flushed:
    """One flush: what changed, every packet as it came, and the arrivals (source, received_at, packets).

    `first` says that an instrument got its first value.
    """

    batch: Batch
    raw: Batch
    arrivals: list[tuple[str, float, int]]
    first: bool = False


class Ingest:
    """The last values and the sequence of one shard in one epoch."""

    def __init__(self, *, shard: int, epoch: int, inherited: Rows | None = None) -> None:
        self.shard = shard
        self.epoch = epoch
        self.sequence = 0
        self.counts: Counter[str] = Counter()
        self._table = LastValues()
        self._frames: list[bytes] = []
        self._decoded: list[Rows] = []
        self._arrivals: list[tuple[str, float, int]] = []
        self._withheld: Slots = np.zeros(0, np.intp)
        if inherited is not None and len(inherited):
            self._table.put(inherited, 1)
            self.sequence = 1
        self._known = self._table.count()

    def receive(self, *, source: str, frame: bytes, received_at: float) -> None:
        """Keep a frame for the next flush."""
        self._frames.append(frame)
        self._arrivals.append((source, received_at, frame[0] << 8 | frame[1]))
        if len(self._frames) == DECODED_AT_ONCE:
            self._decode_kept()

    def flush(self, *, published_at: float, only: Tokens | None = None) -> Flushed | None:
        """Return what came since the last flush, None where nothing did.

        With `only`, the hubs get these instruments alone; the others' last values go out with the next whole flush.
        """
        owing = only is None and len(self._withheld) > 0
        if not self._arrivals and not owing:
            return None
        self._decode_kept()
        arrivals, rows = self._arrivals, join(self._decoded) if self._decoded else np.zeros(0, TICK)
        self._arrivals, self._decoded = [], []
        if not len(rows) and not owing:
            return None
        self.sequence += 1
        changed = self._chosen(self._table.put(rows, self.sequence), only)
        batch = self._batch(BatchKind.DELTA, take(self._table.rows, changed), published_at)
        raw = self._batch(BatchKind.RAW, rows, published_at)
        known, self._known = self._known, self._table.count()
        return Flushed(batch=batch, raw=raw, arrivals=arrivals, first=self._known > known)

    def heartbeat(self, *, published_at: float) -> Batch:
        """Return an empty batch that says the shard lives and how far it is."""
        return self._batch(BatchKind.HEARTBEAT, np.zeros(0, TICK), published_at)

    def snapshot(self, *, published_at: float) -> Batch:
        """Return every last value."""
        return self._batch(BatchKind.SNAPSHOT, self._table.held(), published_at)

    def keep_only(self, tokens: Tokens) -> None:
        """Forget the values of instruments that nobody wants here any more."""
        held = self._table.held()["instrument_token"]
        self._table.drop(held[~np.isin(held, tokens)])
        self._known = self._table.count()

    def last_prices(self, tokens: Tokens) -> dict[int, float]:
        """Return the last price in rupees of each of these instruments that has one."""
        held = self._table.held()
        mine = held[np.isin(held["instrument_token"], tokens)]
        return dict(zip(mine["instrument_token"].tolist(), mine["last_price"].tolist(), strict=True))

    def _chosen(self, changed: Slots, only: Tokens | None) -> Slots:
        """A value that changes while it is withheld is lost to the hubs: it is counted, the recorder has it."""
        if only is None and not len(self._withheld):
            return changed
        again = np.isin(changed, self._withheld)
        if only is None:
            chosen, self._withheld = np.union1d(changed, self._withheld), np.zeros(0, np.intp)
        else:
            now = np.isin(self._table.rows["instrument_token"][changed], only)
            chosen = changed[now]
            self._withheld = np.union1d(self._withheld, changed[~now]).astype(np.intp)
            self.counts["withheld"] += int((~now).sum())
        self.counts["conflated"] += int(again.sum())
        return chosen

    def _decode_kept(self) -> None:
        if not self._frames:
            return
        rows = self._decode(self._frames, self._arrivals[-len(self._frames) :])
        self.counts["frames"] += len(self._frames)
        self.counts["packets"] += len(rows)
        self._decoded.append(rows)
        self._frames = []

    def _decode(self, frames: list[bytes], arrivals: list[tuple[str, float, int]]) -> Rows:
        decoded = decode(frames)
        if decoded.skipped or decoded.truncated:
            self.counts["skipped"] += decoded.skipped
            self.counts["truncated"] += decoded.truncated
            return self._decode_singly(frames, arrivals)
        rows = decoded.rows
        rows["received_at"] = _repeated(arrivals)
        return rows

    def _decode_singly(self, frames: list[bytes], arrivals: list[tuple[str, float, int]]) -> Rows:
        """A strange packet breaks the count of rows per frame, so each frame gets its own time of arrival."""
        parts = []
        for frame, (_, received_at, _) in zip(frames, arrivals, strict=True):
            rows = decode([frame]).rows
            rows["received_at"] = received_at
            parts.append(rows)
        return np.concatenate(parts)

    def _batch(self, kind: BatchKind, rows: Rows, published_at: float) -> Batch:
        leads_on = kind in {BatchKind.DELTA, BatchKind.RAW}
        return Batch(
            kind=kind,
            shard=self.shard,
            epoch=self.epoch,
            from_sequence=self.sequence - 1 if leads_on else self.sequence,
            to_sequence=self.sequence,
            published_us=int(published_at * 1e6),
            rows=rows,
        )


def _repeated(arrivals: list[tuple[str, float, int]]) -> npt.NDArray[np.float64]:
    return np.repeat([received_at for _, received_at, _ in arrivals], [packets for _, _, packets in arrivals])

"""The memory in which all chains' blobs are made, beat after beat: what never changes is written once. No I/O."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from greeks import kernel, store
from greeks.conventions import Prices
from greeks.kernel import Bits
from greeks.layout import Layout
from greeks.market import Market
from greeks.valuation import Terms
from market_data.weaving import Lane

# As many rows as stay in the processor's cache while all their columns are written.
BLOCK_ROWS: Final = 4_096


class Sheets:
    """Headers, rows and symbols of a layout's chains, each kind in one piece; `lanes` weave them into blobs.

    The blob behind those of the chains is the index: all headers.
    """

    def __init__(self, plan: Layout) -> None:
        self._plan = plan
        self.rows = np.zeros(plan.options, store.ROW)
        self.rows["instrument_token"] = plan.token[: plan.options]
        self.rows["strike"], self.rows["sign"], self.rows["closing_oi"] = plan.strike, plan.sign, plan.closing_oi
        self.heads = _blank_heads(plan)
        symbols = np.frombuffer(b"".join(slot.symbols for slot in plan.slots), np.uint8)
        self.lanes = [
            _lane(self.heads, np.ones(len(plan.slots), np.intp), last=len(plan.slots)),
            _lane(self.rows, plan.lengths),
            _lane(symbols, self.heads["symbol_bytes"].astype(np.intp)),
        ]

    def fill_rows(self, *, market: Market, prices: Prices, result: kernel.Result, flags: Bits, now: datetime) -> None:
        """Write what this beat found about every option."""
        columns: dict[str, npt.NDArray[Any]] = {name: getattr(result, name) for name in kernel.COLUMNS}
        columns |= {name: getattr(market.quotes, name) for name in ("bid", "ask", "last")}
        columns |= {name: getattr(market, name) for name in ("close", "oi", "volume")}
        columns |= {"flags": flags, "price_source": prices.source, "price": prices.value}
        columns |= {"price_at": now.timestamp() - prices.age}
        written = [(self.rows[name], values[: self._plan.options]) for name, values in columns.items()]
        for part in _blocks(self._plan.options):
            for cells, values in written:
                cells[part] = values[part]

    def fill_heads(self, *, terms: Terms, sequences: npt.NDArray[np.int64], now: datetime) -> None:
        """Write what every chain was valued with."""
        stamp, heads = now.timestamp(), self.heads
        heads["sequence"], heads["as_of"] = sequences, stamp
        heads["years"], heads["rate"] = terms.years, terms.rate
        heads["spot"], heads["spot_at"] = terms.spot, stamp - terms.spot_age
        heads["forward"], heads["forward_at"] = terms.forward.value, stamp - terms.forward.age
        heads["forward_source"], heads["forward_flags"] = terms.forward.source, terms.flags
        heads["parity_strikes"], heads["parity_dispersion"] = terms.parity.strikes, terms.parity.dispersion


def _blank_heads(plan: Layout) -> store.Rows:
    heads = np.zeros(len(plan.slots), store.HEADER)
    heads["magic"], heads["version"] = store.MAGIC, store.VERSION
    for head, slot in zip(heads, plan.slots, strict=True):
        head["profile"], head["lot_size"], head["layout"] = slot.profile.code, slot.lot_size, slot.layout
        head["underlying"], head["exchange"] = slot.key.underlying.encode(), slot.exchange.encode()
        head["expiry_ordinal"], head["expires_at"] = slot.key.expiry.toordinal(), slot.expires_at.timestamp()
        head["rows"], head["symbol_bytes"] = slot.rows.stop - slot.rows.start, len(slot.symbols)
        head["dividend"] = slot.dividend
        head["closing_oi_at"] = slot.closing_oi_at.timestamp() if slot.closing_oi_at else 0.0
    return heads


def _lane(values: npt.NDArray[Any], counts: npt.NDArray[np.intp], *, last: int = 0) -> Lane:
    sizes = np.append(counts, last) * values.itemsize
    starts = np.append(np.cumsum(sizes[:-1]) - sizes[:-1], 0)
    return Lane(values.view(np.uint8).data, starts, sizes)


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK_ROWS) for start in range(0, rows, BLOCK_ROWS))

"""Minutes of single options as columns, which of them are worth keeping, and their binary COPY form. Pure."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from greeks.store import Chain, Rows

GREEKS: Final = ("iv", "delta", "gamma", "theta", "vega", "rho", "vanna", "charm", "vomma")
LIVE, BACKFILL = 0, 1
SOURCES: Final = ("live", "backfill")
SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
EPOCH_2000: Final = 946_684_800
DAY_2000: Final = 730_120
ABSENT: Final = -1
NAME_BYTES: Final = 24

COLUMNS: Final = {
    "minute_at": ">i8",
    "instrument_token": ">i8",
    "expiry": ">i4",
    "strike": ">f8",
    "sign": ">i2",
    "profile": ">i2",
    "source": ">i2",
    "flags": ">i4",
    "price_source": ">i2",
    "forward_source": ">i2",
    "oi": ">i8",
    "volume": ">i8",
    "price": ">f4",
    "price_age": ">f4",
    "spot": ">f4",
    "forward": ">f8",
    **dict.fromkeys(GREEKS, ">f4"),
}
# A column that may be absent, and the one whose NaN says so: the Greeks come and go with the volatility.
GUARDS: Final = {
    "price": "price",
    "price_age": "price_age",
    "spot": "spot",
    "forward": "forward",
    **dict.fromkeys(GREEKS, "iv"),
}
KINDS: Final = tuple(dict.fromkeys(GUARDS.values()))
MINUTE: Final = np.dtype(
    [
        ("minute_at", "f8"),
        ("expiry", "i4"),
        *[(name, kind.replace(">", "<")) for name, kind in COLUMNS.items() if name not in {"minute_at", "expiry"}],
    ]
)


def worth_keeping(*, chain: Chain, each_side: int) -> npt.NDArray[np.bool_]:
    """Return which rows were held or traded, or stand within so many strikes of the forward."""
    strikes = np.unique(chain.rows["strike"])
    centre = chain.value("forward")
    if not np.isfinite(centre):
        centre = chain.value("spot")
    near = np.zeros(len(chain.rows), bool)
    if np.isfinite(centre) and len(strikes):
        middle = int(np.argmin(np.abs(strikes - centre)))
        low, high = strikes[max(middle - each_side, 0)], strikes[min(middle + each_side, len(strikes) - 1)]
        near = (chain.rows["strike"] >= low) & (chain.rows["strike"] <= high)
    kept: npt.NDArray[np.bool_] = near | (chain.rows["oi"] > 0) | (chain.rows["volume"] > 0)
    return kept


def live_minutes(*, chain: Chain, kept: npt.NDArray[np.bool_], minute: float) -> Rows:
    """Return the chosen rows of a live chain as minutes."""
    rows = chain.rows[kept]
    found = np.zeros(len(rows), MINUTE)
    found["minute_at"], found["expiry"], found["source"] = minute, int(chain.header["expiry_ordinal"]), LIVE
    found["profile"], found["forward_source"] = int(chain.header["profile"]), int(chain.header["forward_source"])
    found["spot"], found["forward"] = chain.value("spot"), chain.value("forward")
    found["price_age"] = np.maximum(chain.value("as_of") - rows["price_at"], 0.0)
    for name in ("instrument_token", "strike", "sign", "flags", "price_source", "oi", "volume", "price", *GREEKS):
        found[name] = rows[name]
    return found


def encode(*, underlying: str, rows: Rows) -> Iterator[bytes]:
    """Yield a COPY stream of one underlying's minutes; what is unknown becomes null."""
    yield SIGNATURE
    known = [np.isfinite(rows[name]) for name in KINDS]
    pattern = sum(np.left_shift(flag.astype(np.uint8), bit) for bit, flag in enumerate(known))
    for found in np.unique(pattern):
        yield _block(underlying.encode(), rows[pattern == found], int(found)).tobytes()
    yield TRAILER


def _block(name: bytes, rows: Rows, pattern: int) -> Rows:
    """A tuple's width depends on which of its values are absent, so each pattern of absence is a block of its own."""
    block = np.zeros(len(rows), _layout(len(name), pattern))
    block["columns"], block["underlying_size"], block["underlying"] = len(COLUMNS) + 1, len(name), name
    for column, kind in COLUMNS.items():
        if column in (block.dtype.names or ()):
            block[f"{column}_size"] = np.dtype(kind).itemsize
            block[column] = _values(column, rows)
        else:
            block[f"{column}_size"] = ABSENT
    return block


def _values(column: str, rows: Rows) -> npt.NDArray[Any]:
    if column == "minute_at":
        return np.asarray(np.rint((rows[column] - EPOCH_2000) * 1e6))
    if column == "expiry":
        return np.asarray(rows[column] - DAY_2000)
    return np.asarray(rows[column])


@cache
def _layout(name_bytes: int, pattern: int) -> "np.dtype[np.void]":
    fields: list[tuple[str, str]] = [("columns", ">i2"), ("underlying_size", ">i4"), ("underlying", f"S{name_bytes}")]
    for column, kind in COLUMNS.items():
        fields.append((f"{column}_size", ">i4"))
        guard = GUARDS.get(column)
        if guard is None or pattern >> KINDS.index(guard) & 1:
            fields.append((column, kind))
    return np.dtype(fields)

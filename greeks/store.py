"""A computed chain as one packed blob: fixed header, rows, trading symbols. The latest one stands on the bus."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from greeks.conventions import ForwardSource, Profile
from greeks.errors import BadChainBlob, InvalidChain
from greeks.kernel import Floats

MAGIC: Final = b"GRK"
# Part of every key: after an upgrade nobody reads what the former version left behind.
VERSION: Final = 2
SYMBOL_SEPARATOR: Final = "\n"
INDEX: Final = f"chains.{VERSION}"
# The open interest of an option of which no minute of the last session is kept.
UNKNOWN_OI: Final = 0xFFFFFFFF

HEADER: Final = np.dtype(
    [
        ("magic", "S3"),
        ("version", "u1"),
        ("profile", "u1"),
        ("forward_source", "u1"),
        ("forward_flags", "u2"),
        ("underlying", "S24"),
        ("exchange", "S8"),
        ("expiry_ordinal", "u4"),
        ("lot_size", "u4"),
        ("rows", "u4"),
        ("symbol_bytes", "u4"),
        ("parity_strikes", "u4"),
        ("layout", "u8"),
        ("sequence", "u8"),
        ("as_of", "f8"),
        ("expires_at", "f8"),
        ("years", "f8"),
        ("rate", "f8"),
        ("dividend", "f8"),
        ("spot", "f8"),
        ("spot_at", "f8"),
        ("forward", "f8"),
        ("forward_at", "f8"),
        ("parity_dispersion", "f8"),
        ("closing_oi_at", "f8"),
    ]
)
ROW: Final = np.dtype(
    [
        ("instrument_token", "u4"),
        ("flags", "u2"),
        ("price_source", "u1"),
        ("sign", "i1"),
        ("strike", "f8"),
        ("price_at", "f8"),
        ("price", "f4"),
        ("bid", "f4"),
        ("ask", "f4"),
        ("last", "f4"),
        ("iv", "f4"),
        ("delta", "f4"),
        ("gamma", "f4"),
        ("theta", "f4"),
        ("vega", "f4"),
        ("rho", "f4"),
        ("vanna", "f4"),
        ("charm", "f4"),
        ("vomma", "f4"),
        ("intrinsic", "f4"),
        ("time_value", "f4"),
        ("close", "f4"),
        ("oi", "u4"),
        ("volume", "u4"),
        ("closing_oi", "u4"),
    ]
)
Rows = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True, order=True)
class ChainKey:
    """One underlying and expiry; its text form names it on the socket and on the bus."""

    underlying: str
    expiry: date

    def __str__(self) -> str:
        return f"{self.underlying}:{self.expiry.isoformat()}"

    @property
    def blob(self) -> str:
        return f"chain.{VERSION}:{self}"


@dataclass(frozen=True, slots=True)
class Chain:
    """A computed chain; `rows` is a read-only view of the blob's bytes."""

    header: np.void
    rows: Rows
    symbols: tuple[str, ...]

    @property
    def key(self) -> ChainKey:
        return ChainKey(self.header["underlying"].decode(), date.fromordinal(int(self.header["expiry_ordinal"])))

    @property
    def sequence(self) -> int:
        return int(self.header["sequence"])

    @property
    def as_of(self) -> datetime:
        return datetime.fromtimestamp(float(self.header["as_of"]), UTC)

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(float(self.header["expires_at"]), UTC)

    @property
    def profile(self) -> Profile:
        return list(Profile)[int(self.header["profile"])]

    @property
    def forward_source(self) -> ForwardSource:
        return ForwardSource(int(self.header["forward_source"]))

    def column(self, name: str) -> Floats:
        """Return a column of all rows as float64."""
        return self.rows[name].astype(np.float64)

    def value(self, name: str) -> float:
        """Return a number of the header."""
        return float(self.header[name])


def parse_key(text: str) -> ChainKey:
    """Return the chain that UNDERLYING:YYYY-MM-DD names; raises InvalidChain."""
    underlying, _, expiry = text.partition(":")
    try:
        return ChainKey(underlying.upper(), date.fromisoformat(expiry))
    except ValueError as error:
        raise InvalidChain(f"a chain is named like NIFTY:2026-11-26, was {text[:60]!r}", field="chain") from error


def unpack_index(blob: bytes) -> list[Chain]:
    """Return the live chains without their rows; raises BadChainBlob."""
    if len(blob) % HEADER.itemsize:
        raise BadChainBlob(f"an index has headers of {HEADER.itemsize} bytes, was {len(blob)}")
    return [Chain(_checked(header), np.zeros(0, ROW), ()) for header in np.frombuffer(blob, HEADER)]


def unpack(blob: bytes) -> Chain:
    """Return the chain; raises BadChainBlob for bytes of another version or length."""
    if len(blob) < HEADER.itemsize:
        raise BadChainBlob(f"a chain has at least {HEADER.itemsize} bytes, was {len(blob)}")
    header = _checked(np.frombuffer(blob, HEADER, 1)[0])
    end = HEADER.itemsize + int(header["rows"]) * ROW.itemsize
    if len(blob) != end + int(header["symbol_bytes"]):
        raise BadChainBlob(f"{header['rows']} rows were announced in {len(blob)} bytes")
    rows = np.frombuffer(blob, ROW, int(header["rows"]), HEADER.itemsize)
    text = blob[end:].decode()
    return Chain(header, rows, tuple(text.split(SYMBOL_SEPARATOR)) if text else ())


def _checked(header: np.void) -> np.void:
    if header["magic"] != MAGIC or header["version"] != VERSION:
        raise BadChainBlob(f"was version {header['version']} of {header['magic']!r}")
    return header

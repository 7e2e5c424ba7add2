"""Real option-chain answers of the exchange, read where they lie; nothing of them is kept in the repository."""

import gzip
import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest

from greeks.conventions import IST
from greeks.kernel import Floats

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "nse-chain"


@dataclass(frozen=True, slots=True)
class NseChain:
    """Columns of one answer; `iv` in points as the exchange prints it."""

    taken_at: datetime
    spot: float
    expiry: list[date]
    strike: Floats
    sign: Floats
    last: Floats
    bid: Floats
    ask: Floats
    iv: Floats
    volume: Floats

    def of(self, expiry: date) -> Floats:
        return np.array([day == expiry for day in self.expiry])


def chains() -> list[NseChain]:
    files = sorted(FOLDER.glob("*.json.gz")) if FOLDER.is_dir() else []
    if not files:
        pytest.skip("no real exchange chain beside the repository")
    return [_read(path) for path in files]


def _read(path: Path) -> NseChain:
    document = json.loads(gzip.decompress(path.read_bytes()))
    document = document.get("records", document)
    rows = [
        (datetime.strptime(entry[side]["expiryDate"], "%d-%b-%Y").replace(tzinfo=IST).date(), sign, entry[side])
        for entry in document["data"]
        for side, sign in (("CE", 1.0), ("PE", -1.0))
        if side in entry
    ]

    def column(name: str) -> Floats:
        return np.array([float(row[name]) for _, _, row in rows])

    return NseChain(
        taken_at=datetime.strptime(document["timestamp"], "%d-%b-%Y %H:%M:%S").replace(tzinfo=IST),
        spot=float(document["underlyingValue"]),
        expiry=[expiry for expiry, _, _ in rows],
        strike=column("strikePrice"),
        sign=np.array([sign for _, sign, _ in rows]),
        last=column("lastPrice"),
        bid=column("bidprice"),
        ask=column("askPrice"),
        iv=column("impliedVolatility"),
        volume=column("totalTradedVolume"),
    )

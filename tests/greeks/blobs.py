"""Chains packed by hand, for the tests that need no market."""

from collections.abc import Mapping

import numpy as np

from greeks.store import HEADER, MAGIC, VERSION, Rows


def packed(*, rows: Rows, header: Mapping[str, object], symbols: bytes = b"") -> bytes:
    """Return the blob of a chain."""
    head = np.zeros(1, HEADER)
    head["magic"], head["version"] = MAGIC, VERSION
    head["rows"], head["symbol_bytes"] = len(rows), len(symbols)
    for name, value in header.items():
        head[name] = value
    return head.tobytes() + rows.tobytes() + symbols

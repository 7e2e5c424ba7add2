"""What the control API and scenarios do to a running exchange."""

from __future__ import annotations

from datetime import datetime, time

import numpy as np

from sandbox.clock import IST, parse_jump
from sandbox.faults import Fault
from sandbox.market import Market
from sandbox.site import Site


def inject(site: Site, spec: dict[str, object]) -> dict[str, object]:
    """Start a fault; those that act on what is already open act at once."""
    fault = site.faults.add(spec)
    if fault.kind == "token_killed":
        kill_tokens(site, fault)
        site.faults.clear(fault.number)
    elif fault.kind == "socket_drop":
        code = fault.number_of("code", 0) or None
        fault.hits = site.streamer.drop(user_id=fault.user, code=code)
        site.faults.clear(fault.number)
    elif fault.kind == "connection_refused" and fault.user is None and fault.route == "*" and fault.count is None:
        seconds = 3.0 if fault.ends is None else fault.ends - fault.starts
        site.faults.clear(fault.number)
        if site.door is not None:
            site.door.close_for(seconds)
    return {"id": fault.number, "kind": fault.kind, "user": fault.user, "route": fault.route, "hits": fault.hits}


def kill_tokens(site: Site, fault: Fault) -> None:
    for user in site.logins.users:
        if fault.user in {None, user.user_id}:
            fault.hits += site.logins.kill(user_id=user.user_id)
    site.reap_sessions()


def jump_target(site: Site, text: str) -> datetime:
    """Read a jump; `expiry` is the opening of the next day on which an index option expires."""
    now = site.clock.now()
    if text != "expiry":
        return parse_jump(text, now=now)
    days = {one.expiry for one in site.universe.instruments if one.is_option and one.expiry is not None}
    openings = [datetime.combine(day, time(9, 15), tzinfo=IST) for day in days]
    return min(opening for opening in openings if opening > now)


def move_price(site: Site, *, key: str, price: float) -> dict[str, object]:
    """Move an instrument's market to `price`; a spot takes its derivatives along."""
    market = site.market
    row = site.universe.by_key[key]
    if not 0 < price < 1e8:
        raise ValueError(f"price must be above 0, was {price}")
    market.move_to(row=row, price=price)
    rows = _related(market, row)
    market.requote(rows)
    site.settle(rows)
    return {"instrument": key, "last_price": market.last_price(row)}


def _related(market: Market, row: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    if market.universe.instruments[row].is_equity or market.is_index[row]:
        return np.flatnonzero(market.model.spot == market.model.spot[row]).astype(np.int64)
    return np.array([row], dtype=np.int64)

"""The readiness strip: the numbers that say whether the floor can trade."""

from ops.state import State, Tile

OLD_LIST_SECONDS, DEAD_LIST_SECONDS = 26 * 3600.0, 80 * 3600.0


def of(state: State) -> tuple[Tile, ...]:
    """Return the tiles in reading order."""
    first = (_accounts(state), _addresses(state), _ticks(state), _instruments(state), _orders(state), _doubt(state))
    return (*first, *_machinery(state))


def _accounts(state: State) -> Tile:
    rows = state.accounts.values()
    ready = [row for row in rows if row.token.live and row.state == "active"]
    tone = "good" if ready and len(ready) == len(rows) else "warn" if ready else "bad"
    return Tile(name="Accounts ready", value=len(ready), of=len(rows), note=_readiness(state), tone=tone)


def _readiness(state: State) -> str:
    missing = [label for label, row in state.accounts.items() if not row.token.live]
    out = [label for label, row in state.accounts.items() if row.state != "active"]
    if missing:
        return f"log in {', '.join(missing)}"
    if out:
        return f"out: {', '.join(out)}"
    return "all logged in" if state.accounts else "none yet"


def _addresses(state: State) -> Tile:
    """Say how many of the accounts that registered an address were seen to leave from it."""
    rows = [row for row in state.accounts.values() if row.address is not None]
    seen = [row for row in rows if row.address is not None and row.address.verdict == "registered"]
    foreign = [row.label for row in rows if row.egress_fault]
    looks = [row.address.at for row in rows if row.address is not None and row.address.at is not None]
    note = f"foreign: {', '.join(foreign)}" if foreign else "leave as registered" if rows else "none registered"
    tone = "bad" if foreign else "good" if rows and len(seen) == len(rows) else "quiet"
    return Tile(
        name="Addresses", value=len(seen), of=len(rows), note=note, tone=tone, at=min(looks, default=None), old=86_400
    )


def _ticks(state: State) -> Tile:
    quiet = state.market.state == "open" and not state.feed.ticks_per_second
    return Tile(
        name="Ticks",
        value=round(state.feed.ticks_per_second),
        unit="/ s",
        note="" if state.feed.newest_at else "none received",
        tone="bad" if quiet else "quiet",
        at=state.feed.newest_at,
        old=5,
        dead=15,
    )


def _instruments(state: State) -> Tile:
    return Tile(name="Streaming", value=state.feed.live, of=state.feed.wanted, note="instruments")


def _orders(state: State) -> Tile:
    filled = next((stage.count for stage in state.orders.funnel if stage.name == "Filled"), 0)
    return Tile(name="Orders today", value=state.orders.total, note=f"{filled:,} filled")


def _doubt(state: State) -> Tile:
    unknown = state.orders.unknown
    note = "being looked up by tag" if unknown else "all accounted for"
    return Tile(name="In doubt", value=unknown, note=note, tone="bad" if unknown else "good")


def _machinery(state: State) -> tuple[Tile, ...]:
    chains = state.greeks.chains
    computed = [chain.computed_at for chain in chains if chain.computed_at]
    alive = sum(process.tone == "good" for process in state.processes)
    down = [process.name for process in state.processes if process.tone == "bad"]
    return (
        Tile(
            name="Option chains",
            value=len(chains),
            note="live" if chains else "none is live",
            at=min(computed) if computed else None,
            old=4,
            dead=15,
        ),
        Tile(
            name="Processes",
            value=alive,
            of=len(state.processes),
            note=f"not heard: {', '.join(down)}" if down else "all heard",
            tone="bad" if down else "good",
        ),
        Tile(
            name="Instruments",
            value=state.instruments.listed,
            note="list" if state.instruments.synced_at else "not loaded",
            at=state.instruments.synced_at,
            tone="quiet" if state.instruments.listed else "warn",
            old=OLD_LIST_SECONDS,
            dead=DEAD_LIST_SECONDS,
        ),
    )

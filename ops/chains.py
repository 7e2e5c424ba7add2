"""The live option chains as the Desk shows them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from greeks.models import ChainSetting
from greeks.store import Chain as Computed
from greeks.store import ChainKey, unpack
from market_data.bus import sync_bus
from market_data.errors import FeedDown
from market_data.queries import listed
from ops import books
from ops.pulse import Pulse, Report, number
from ops.state import Chain, Fact, Greeks
from orders.clock import trading_day

NEAR_STRIKES = 11
NO_BUS = "Redis does not answer, so no chain can be read."


def read(*, now: datetime, pulse: Pulse) -> Greeks:
    """Return one line a live chain, soonest expiry first."""
    if pulse.bus:
        return Greeks(chains=(), note=NO_BUS)
    bus = sync_bus()
    try:
        blobs = {key: bus.get_blob(key.blob) for key in keys_of_minute(trading_day(now), int(now.timestamp()) // 60)}
    except FeedDown:
        return Greeks(chains=(), note=NO_BUS)
    held = books.read(now=now)
    report = pulse.reports.get("greeks")
    return Greeks(
        chains=tuple(_line(key, blob) for key, blob in blobs.items()),
        note=_note(report),
        facts=tuple(_facts(report)),
        book=held.lines,
        book_at=held.read_at,
    )


@lru_cache(maxsize=1)
def keys_of_minute(day: date, _minute: int) -> tuple[ChainKey, ...]:
    """The list changes once a day; it is read once a minute."""
    settings = {row.underlying: row for row in ChainSetting.objects.filter(enabled=True)}
    options = listed().filter(name__in=settings, instrument_type__in=["CE", "PE"], expiry__gte=day)
    found = options.order_by("name", "expiry").values_list("name", "exchange", "expiry").distinct()
    keys: dict[str, list[ChainKey]] = {name: [] for name in settings}
    for name, exchange, expiry in found:
        setting = settings[name]
        if exchange == setting.exchange and expiry and len(keys[name]) < setting.expiries:
            keys[name].append(ChainKey(name, expiry))
    return tuple(sorted((key for rows in keys.values() for key in rows), key=lambda key: (key.expiry, key.underlying)))


def _line(key: ChainKey, blob: bytes | None) -> Chain:
    if blob is None:
        return Chain(
            underlying=key.underlying,
            expiry=key.expiry.isoformat(),
            forward=None,
            atm_iv=None,
            solved=0,
            contracts=0,
            oldest_input_at=None,
            computed_at=None,
        )
    chain = unpack(blob)
    solved = np.isfinite(chain.rows["iv"]) & (chain.rows["iv"] > 0)
    forward = chain.value("forward")
    near = np.isin(chain.rows["strike"], _near(chain, count=NEAR_STRIKES))
    priced = chain.rows["price_at"][near & (chain.rows["price_at"] > 0)]
    return Chain(
        underlying=key.underlying,
        expiry=key.expiry.isoformat(),
        forward=forward if np.isfinite(forward) and forward > 0 else None,
        atm_iv=atm_iv(chain),
        solved=int(solved.sum()),
        contracts=len(chain.rows),
        oldest_input_at=datetime.fromtimestamp(float(priced.min()), tz=UTC) if len(priced) else None,
        computed_at=chain.as_of,
    )


def atm_iv(chain: Computed) -> float | None:
    """Return the mean volatility of the options at the strike nearest to the forward."""
    sigmas = chain.rows["iv"][np.isin(chain.rows["strike"], _near(chain, count=1))]
    sigmas = sigmas[np.isfinite(sigmas) & (sigmas > 0)]
    return float(sigmas.mean()) if len(sigmas) else None


def _near(chain: Computed, *, count: int) -> npt.NDArray[np.float64]:
    """Return the strikes nearest to the forward, none where there is no forward."""
    forward = chain.value("forward")
    strikes = np.unique(chain.rows["strike"])
    if not np.isfinite(forward) or forward <= 0:
        return strikes[:0]
    return strikes[np.argsort(np.abs(strikes - forward), kind="stable")[:count]]


def _facts(report: Report | None) -> Iterator[Fact]:
    solved, options, late = (number(report, name) for name in ("solved", "options", "p99_seconds"))
    if solved is None or options is None:
        return
    yield Fact(name="Solve time p99", value=None if late is None else round(late * 1000, 1), unit="ms")
    yield Fact(name="Without a volatility", value=options - solved, unit="options")


def _note(report: Report | None) -> str:
    solved, options, seconds = (number(report, name) for name in ("solved", "options", "seconds"))
    if solved is None or options is None or seconds is None:
        return ""
    return f"{solved:,.0f} of {options:,.0f} options solved in {seconds * 1000:.1f} ms"

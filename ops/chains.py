"""The live option chains as the Desk shows them."""

from datetime import UTC, date, datetime
from functools import lru_cache

import numpy as np

from greeks.models import ChainSetting
from greeks.store import Chain as Computed
from greeks.store import ChainKey, unpack
from market_data.bus import sync_bus
from market_data.errors import FeedDown
from market_data.queries import listed
from ops.state import Chain, Greeks
from orders.clock import trading_day

NONE_LIVE = "No chain is live. Enable an underlying in the admin, under Chain settings."
NO_BUS = "Redis does not answer, so no chain can be read."


def read(*, now: datetime) -> Greeks:
    """Return one line a live chain, soonest expiry first."""
    bus = sync_bus()
    try:
        blobs = {key: bus.get_blob(key.blob) for key in keys_of_minute(trading_day(now), int(now.timestamp()) // 60)}
    except FeedDown:
        return Greeks(chains=(), note=NO_BUS)
    return Greeks(chains=tuple(_line(key, blob) for key, blob in blobs.items()), note=NONE_LIVE)


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
    priced = chain.rows["price_at"][solved & (chain.rows["price_at"] > 0)]
    forward = chain.value("forward")
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
    strikes, forward = chain.rows["strike"], chain.value("forward")
    if not len(strikes) or not np.isfinite(forward):
        return None
    nearest = strikes[np.argmin(np.abs(strikes - forward))]
    sigmas = chain.rows["iv"][strikes == nearest]
    sigmas = sigmas[np.isfinite(sigmas) & (sigmas > 0)]
    return float(sigmas.mean()) if len(sigmas) else None

"""What others ask about instruments, wishes and last prices."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final

import numpy as np
from django.contrib.postgres.search import SearchQuery
from django.db.models import Max, Q, QuerySet

from accounts.statements import first
from kite.types import Mode
from kite.wire import Rows
from market_data.aliases import INDICES, candidates
from market_data.bus import sync_bus
from market_data.calendar import IST
from market_data.errors import IndexUnknown, InstrumentUnknown
from market_data.freezes import FreezeQuantity
from market_data.freshness import Freshness, leaders
from market_data.models import Instrument, InstrumentSync, Subscription
from market_data.thresholds import ages_allowed
from market_data.trading_days import read_calendar

LISTED_BY_SYMBOL: Final = "listed AND exchange = %s AND tradingsymbol = %s"
WIDTH: Final[Mapping[str, int]] = {Mode.LTP: 0, Mode.QUOTE: 1, Mode.FULL: 2}


def listed() -> QuerySet[Instrument]:
    """Return the instruments that trade."""
    return Instrument.objects.filter(listed=True)


def catalogue_version() -> str:
    """Return a text that changes with every load of the instruments and every freeze quantity."""
    load = InstrumentSync.objects.aggregate(newest=Max("pk"))["newest"]
    return f"{load}.{FreezeQuantity.objects.aggregate(newest=Max('updated_at'))['newest']}"


def instrument_by_symbol(*, exchange: str, tradingsymbol: str) -> Instrument:
    """Return the listed instrument; raises InstrumentUnknown."""
    found = first(Instrument, LISTED_BY_SYMBOL, exchange, tradingsymbol)
    if found is None:
        raise InstrumentUnknown(f"no listed instrument {exchange}:{tradingsymbol}", field="instrument")
    return found


def instruments_by_keys(keys: Sequence[str]) -> dict[str, Instrument]:
    """Return the listed instruments among keys such as NSE:INFY or their aliases, by key as asked, in one query."""
    meant = {key: candidates(key) for key in keys}
    symbols = {symbol for found in meant.values() for _, symbol in found}
    rows = {(row.exchange, row.tradingsymbol): row for row in listed().filter(tradingsymbol__in=symbols)}
    named = ((key, next((rows[one] for one in found if one in rows), None)) for key, found in meant.items())
    return {key: row for key, row in named if row is not None}


def instruments_by_tokens(tokens: Iterable[int]) -> dict[int, Instrument]:
    """Return the listed instruments among the tokens, by token, in one query."""
    return {row.instrument_token: row for row in listed().filter(instrument_token__in=list(tokens))}


def chain_instruments(*, name: str, expiry: date) -> list[Instrument]:
    """Return the listed calls and puts of an underlying and expiry, by strike."""
    options = listed().filter(name=name, expiry=expiry, instrument_type__in=["CE", "PE"])
    return list(options.order_by("strike", "instrument_type"))


def expiries(*, name: str) -> list[date]:
    """Return the expiries with listed options, soonest first."""
    options = listed().filter(name=name, instrument_type__in=["CE", "PE"], expiry__isnull=False)
    return [found for found in options.order_by("expiry").values_list("expiry", flat=True).distinct() if found]


def futures(*, name: str) -> list[Instrument]:
    """Return the listed futures of an underlying, soonest expiry first."""
    return list(listed().filter(name=name, instrument_type="FUT").order_by("expiry"))


def index_instrument(name: str) -> Instrument:
    """Return what an underlying's derivatives are priced from: its index, else its share; raises IndexUnknown."""
    exchange, symbol = INDICES.get(name, ("NSE", name))
    found = listed().filter(exchange=exchange, tradingsymbol=symbol).first()
    if found is None:
        raise IndexUnknown(f"no index or share for {name}", field="underlying")
    return found


def search(*, words: str) -> QuerySet[Instrument]:
    """Return the listed instruments for which each word begins the symbol, or a word of the name, strike or type."""
    rows = listed()
    for word in re.split(r"[^\w.&-]+", words):
        lexemes = " & ".join(f"{part}:*" for part in re.split(r"[^\w.]+", word.lower()) if part.strip("."))
        if not lexemes:
            continue
        query = SearchQuery(lexemes, config="simple", search_type="raw")
        rows = rows.filter(Q(tradingsymbol__startswith=word.upper()) | Q(words=query))
    return rows


def desired_modes(*, now: datetime, without: str = "") -> dict[int, Mode]:
    """Return the union of all wishes in force, but for one wisher's: the widest mode per instrument token."""
    wishes = living_wishes(now=now).filter(instrument__listed=True).exclude(wanted_by=without)
    desired: dict[int, Mode] = {}
    for token, mode in wishes.values_list("instrument__instrument_token", "mode"):
        if token not in desired or WIDTH[mode] > WIDTH[desired[token]]:
            desired[token] = Mode(mode)
    return desired


def strikes_of(tokens: Iterable[int]) -> dict[int, tuple[int, float]]:
    """Return (token of the index that prices it, strike in rupees) of each option among the tokens."""
    symbols = {symbol: name for name, (_, symbol) in INDICES.items()}
    rows = (
        listed().filter(segment="INDICES", tradingsymbol__in=symbols).values_list("tradingsymbol", "instrument_token")
    )
    index = {symbols[symbol]: token for symbol, token in rows}
    options = listed().filter(instrument_token__in=list(tokens), instrument_type__in=["CE", "PE"], name__in=index)
    found = options.values_list("instrument_token", "name", "strike")
    return {token: (index[name], float(strike)) for token, name, strike in found}


def living_wishes(*, now: datetime) -> QuerySet[Subscription]:
    """Return the wishes that have not expired."""
    return Subscription.objects.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))


def latest_of(tokens: Iterable[int], *, now: datetime) -> dict[int, tuple[np.void, bool]]:
    """Return the last row of `kite.wire.TICK` of each token that has one, and whether it is stale.

    It is where it is older than its class allows while its exchange trades.
    """
    rows = sync_bus().latest()
    freshness = Freshness(limits=ages_allowed())
    freshness.follow(read_calendar(since=now.astimezone(IST).date()), now=now)
    freshness.lead(leaders(rows))
    chosen = _chosen(rows, tokens)
    judged = freshness.stale(chosen, at=now.timestamp()).tolist()
    return {int(row["instrument_token"]): (row, stale) for row, stale in zip(chosen, judged, strict=True)}


def last_prices(tokens: Iterable[int], *, now: datetime) -> dict[int, tuple[float, float]]:
    """Return (last price in rupees, age in seconds) of each token that has one."""
    chosen = _chosen(sync_bus().latest(), tokens)
    ages = np.maximum(now.timestamp() - chosen["received_at"], 0.0)
    return dict(
        zip(
            chosen["instrument_token"].tolist(),
            zip(chosen["last_price"].tolist(), ages.tolist(), strict=True),
            strict=True,
        )
    )


def _chosen(rows: Rows, tokens: Iterable[int]) -> Rows:
    return rows[np.isin(rows["instrument_token"], np.fromiter(tokens, np.uint32))]

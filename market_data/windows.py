"""Chain windows: the strikes around a price, wished for and moved with it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

import structlog
from django.db import transaction

from kite.types import Mode
from market_data import strikes, subscriptions
from market_data.calendar import IST
from market_data.errors import MarketDataError, WindowUnknown
from market_data.models import ChainWindow, Instrument
from market_data.queries import index_instrument, last_prices, listed

log = structlog.get_logger(__name__)


def save(*, underlying: str, wanted_by: str, terms: Mapping[str, object], now: datetime) -> ChainWindow:
    """Make or change a wisher's window of an underlying and adjust it at once; doing it again changes nothing.

    Raises IndexUnknown, and CapacityExceeded where the accounts have no room for it; nothing is written then.
    """
    index_instrument(underlying)
    with transaction.atomic():
        window, _ = ChainWindow.objects.update_or_create(
            underlying=underlying, wanted_by=wanted_by, defaults=dict(terms)
        )
        window.refresh_from_db()
        adjust(window=window, price=_prices([window], now=now).get(underlying), now=now)
    return window


def drop(*, underlying: str, wanted_by: str) -> None:
    """Want a window no more; raises WindowUnknown."""
    with transaction.atomic():
        window = ChainWindow.objects.select_for_update().filter(underlying=underlying, wanted_by=wanted_by).first()
        if window is None:
            raise WindowUnknown(f"{wanted_by} has no window of {underlying}", field="underlying")
        subscriptions.unwish_everything(wanted_by=window.wisher)
        window.delete()


def adjust_all(*, now: datetime) -> int:
    """Let every window follow its price and return how many moved; one that cannot is marked with its fault."""
    windows = list(ChainWindow.objects.order_by("pk"))
    prices = _prices(windows, now=now)
    moved = 0
    for window in windows:
        with transaction.atomic():
            held = ChainWindow.objects.select_for_update(skip_locked=True).filter(pk=window.pk).first()
            if held is not None:
                moved += _follow(held, prices.get(held.underlying), now)
    return moved


def adjust(*, window: ChainWindow, price: Decimal | None, now: datetime) -> bool:
    """Hold the wishes of a window equal to its strikes and say whether it moved; without a price it wants the index.

    Raises IndexUnknown and CapacityExceeded.
    """
    options = _options(window, today=now.astimezone(IST).date())
    ladder = _ladder(options, min((row.expiry for row in options if row.expiry), default=None))
    center = window.center
    if price is not None and ladder:
        center = strikes.follow(ladder, center=center, price=price, hysteresis=window.hysteresis)
    wanted = [index_instrument(window.underlying), *_within(options, center, window.strikes)]
    subscriptions.replace(
        instruments=wanted,
        mode=Mode(window.mode),
        wanted_by=window.wisher,
        reason=f"{window.underlying} ± {window.strikes} for {window.wanted_by} {window.reason}"[:200].strip(),
        now=now,
    )
    moved = center != window.center
    if moved or window.fault:
        window.center, window.fault = center, ""
        window.moved_at = now if moved else window.moved_at
        window.save(update_fields=["center", "moved_at", "fault"])
    return moved


def _follow(window: ChainWindow, price: Decimal | None, now: datetime) -> bool:
    try:
        with transaction.atomic():
            moved = adjust(window=window, price=price, now=now)
    except MarketDataError as error:
        log.warning("market_data.window.stuck", window=str(window), reason=str(error))
        ChainWindow.objects.filter(pk=window.pk).update(fault=str(error)[:200])
        return False
    if moved:
        log.info("market_data.window.moved", window=str(window), center=str(window.center), price=str(price))
    return moved


def _options(window: ChainWindow, *, today: date) -> list[Instrument]:
    chains = listed().filter(name=window.underlying, instrument_type__in=["CE", "PE"], expiry__gte=today)
    days = chains.order_by("expiry").values_list("expiry", flat=True).distinct()[: window.expiries]
    return list(chains.filter(expiry__in=list(days)).order_by("expiry", "strike"))


def _ladder(options: Sequence[Instrument], expiry: date | None) -> list[Decimal]:
    return sorted({row.strike for row in options if row.expiry == expiry})


def _within(options: Sequence[Instrument], center: Decimal | None, count: int) -> list[Instrument]:
    """Return the options of each expiry whose strike is in reach; expiries may have steps of their own."""
    if center is None:
        return []
    wanted: list[Instrument] = []
    for expiry in sorted({row.expiry for row in options if row.expiry}):
        chosen = set(strikes.around(_ladder(options, expiry), center=center, count=count))
        wanted += [row for row in options if row.expiry == expiry and row.strike in chosen]
    return wanted


def _prices(windows: Sequence[ChainWindow], *, now: datetime) -> dict[str, Decimal]:
    """Return the last price of each underlying that has one."""
    tokens: dict[str, int] = {}
    for name in {window.underlying for window in windows}:
        try:
            tokens[name] = index_instrument(name).instrument_token
        except MarketDataError as error:
            log.warning("market_data.window.no_index", underlying=name, reason=str(error))
    found = last_prices(tokens.values(), now=now)
    return {name: Decimal(str(found[token][0])) for name, token in tokens.items() if token in found}

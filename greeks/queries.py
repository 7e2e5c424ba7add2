"""What the chain computation needs to know from the database, in few queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TypeAlias

from django.db import connection
from django.db.models import Count, Max, Q
from django.db.models.functions import TruncDate
from django.utils import timezone

from greeks.conventions import IST
from greeks.errors import NoRate
from greeks.models import ChainMinute, ChainSetting, DividendSetting, OptionMinute, RateSetting, UnderlyingMinute
from market_data.aliases import INDICES
from market_data.calendar import NeverOpens
from market_data.errors import InstrumentUnknown
from market_data.models import Instrument
from market_data.queries import instruments_by_keys, listed
from market_data.trading_days import read_calendar

# Any two workers that compute chains meet at this lock.
LEASE = 7_301_446
# The longest that exchanges stay closed, and more.
LOOK_BACK = timedelta(days=30)

# A contract, whatever its token: expiry, strike, type.
Contract: TypeAlias = tuple[date, float, str]


@dataclass(frozen=True, slots=True)
class Option:
    """A listed option and the chain it stands in."""

    instrument_token: int
    underlying: str
    expiry: date


@dataclass(frozen=True, slots=True)
class Closing:
    """What of each contract was open in the last recorded minute of the last session; no moment where none is kept."""

    at: datetime | None = None
    oi: Mapping[Contract, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Underlying:
    """A live underlying with everything listed on it, strikes in order, futures soonest first."""

    setting: ChainSetting
    index: Instrument | None
    futures: tuple[Instrument, ...]
    options: tuple[Instrument, ...]
    dividend: float
    closing: Closing = Closing()


def fingerprint() -> tuple[object, ...]:
    """Return a value that changes whenever a setting or the list of instruments does."""
    settings = [
        tuple(model.objects.aggregate(Count("pk"), Max("changed_at")).values())
        for model in (ChainSetting, RateSetting, DividendSetting)
    ]
    return (*settings, Instrument.objects.aggregate(Max("synced_at"))["synced_at__max"])


def rate_on(*, day: date) -> float:
    """Return the interest rate in force on the day; raises NoRate."""
    found = RateSetting.objects.filter(effective_date__lte=day).order_by("-effective_date").first()
    if found is None:
        raise NoRate(f"no interest rate is in force on {day}", field="rate")
    return float(found.rate)


def dividends_on(*, day: date) -> dict[str, float]:
    """Return the dividend yields in force on the day by underlying."""
    rows = DividendSetting.objects.filter(effective_date__lte=day).order_by("effective_date")
    return {row.underlying: float(row.annual_yield) for row in rows}


def dated_rates(*, underlying: str) -> tuple[dict[date, float], dict[date, float]]:
    """Return every interest rate by the day it came into force, and the underlying's dividend yields."""
    rates = RateSetting.objects.values_list("effective_date", "rate")
    dividends = DividendSetting.objects.filter(underlying=underlying).values_list("effective_date", "annual_yield")
    return {day: float(rate) for day, rate in rates}, {day: float(part) for day, part in dividends}


def standing_on(*, option: Instrument) -> tuple[Instrument | None, list[Instrument]]:
    """Return what prices an option's underlying, if it is listed, and the underlying's futures, soonest first."""
    setting = ChainSetting.objects.filter(underlying=option.name).first()
    named = (
        (setting.index_exchange, setting.index_symbol) if setting else INDICES.get(option.name, ("NSE", option.name))
    )
    is_spot = Q(exchange=named[0], tradingsymbol=named[1])
    is_future = Q(exchange=option.exchange, name=option.name, instrument_type="FUT", expiry__gte=option.expiry)
    rows = list(listed().filter(is_spot | is_future).order_by("expiry"))
    spot = next((row for row in rows if (row.exchange, row.tradingsymbol) == named), None)
    return spot, [row for row in rows if row.instrument_type == "FUT"]


def options_of(*, underlying: str, expiry: date) -> list[Instrument]:
    """Return the options of a chain by strike and side, whether or not they still trade."""
    rows = Instrument.objects.filter(name=underlying, expiry=expiry, instrument_type__in=["CE", "PE"])
    return list(rows.order_by("strike", "instrument_type"))


def instrument_by_key(*, key: str) -> Instrument:
    """Return the instrument that a key such as NFO:NIFTY26NOV24000CE names; raises InstrumentUnknown."""
    found = instruments_by_keys([key]).get(key)
    if found is None:
        raise InstrumentUnknown(f"no listed instrument {key[:60]}", field="instrument")
    return found


def live_underlyings(*, day: date) -> list[Underlying]:
    """Return the enabled underlyings with their options of the nearest expiries, day's own included."""
    settings = list(ChainSetting.objects.filter(enabled=True).order_by("underlying"))
    names = [setting.underlying for setting in settings]
    by_name: dict[str, list[Instrument]] = {name: [] for name in names}
    derivatives = listed().filter(name__in=names, instrument_type__in=["CE", "PE", "FUT"], expiry__gte=day)
    for row in derivatives.order_by("expiry", "strike", "instrument_type"):
        by_name[row.name].append(row)
    indices = _indices(settings)
    dividends = dividends_on(day=day)
    return [
        _underlying(
            setting,
            [row for row in by_name[setting.underlying] if row.exchange == setting.exchange],
            indices.get((setting.index_exchange, setting.index_symbol)),
            dividends.get(setting.underlying, 0.0),
            closing_of(underlying=setting.underlying, exchange=setting.exchange, day=day),
        )
        for setting in settings
    ]


def closing_of(*, underlying: str, exchange: str, day: date) -> Closing:
    """Return what was open at the end of the last session before the day, as our own minutes have it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=IST)
    calendar = read_calendar(since=day - LOOK_BACK, until=day)
    try:
        session = calendar.last_closing(exchange=exchange, before=midnight).astimezone(IST).date()
    except NeverOpens:
        return Closing()
    start = datetime(session.year, session.month, session.day, tzinfo=IST)
    rows = OptionMinute.objects.filter(
        underlying=underlying, minute_at__gte=start, minute_at__lt=start + timedelta(days=1)
    )
    last = rows.aggregate(at=Max("minute_at"))["at"]
    if last is None:
        return Closing()
    held = rows.filter(minute_at=last).values_list("expiry", "strike", "sign", "oi")
    return Closing(last, {(expiry, strike, "CE" if sign > 0 else "PE"): oi for expiry, strike, sign, oi in held})


def is_live(*, underlying: str, expiry: date, day: date) -> bool:
    """Say whether the chain is one that gets computed on the day."""
    setting = ChainSetting.objects.filter(enabled=True, underlying=underlying).first()
    if setting is None or expiry < day:
        return False
    options = listed().filter(name=underlying, exchange=setting.exchange, instrument_type__in=["CE", "PE"])
    ahead = options.filter(expiry__gte=day).order_by("expiry").values_list("expiry", flat=True).distinct()
    return expiry in ahead[: setting.expiries]


def history_strikes() -> dict[str, int]:
    """Return by underlying how many strikes each side of the forward are kept every minute."""
    return dict(ChainSetting.objects.values_list("underlying", "history_strikes"))


def minutes(*, underlying: str, expiry: date, start: datetime, end: datetime) -> list[ChainMinute]:
    """Return a chain's minutes with start <= minute_at < end, by time."""
    rows = ChainMinute.objects.filter(underlying=underlying, expiry=expiry, minute_at__gte=start, minute_at__lt=end)
    return list(rows.order_by("minute_at"))


def underlying_minutes(*, underlying: str, start: datetime, end: datetime) -> list[UnderlyingMinute]:
    """Return an underlying's minutes with start <= minute_at < end, by time."""
    rows = UnderlyingMinute.objects.filter(underlying=underlying, minute_at__gte=start, minute_at__lt=end)
    return list(rows.order_by("minute_at"))


def latest_minute(*, underlying: str) -> UnderlyingMinute | None:
    """Return the newest minute of an underlying."""
    return UnderlyingMinute.objects.filter(underlying=underlying).order_by("-minute_at").first()


def closing_minutes(*, underlying: str, before: datetime, sessions: int) -> list[UnderlyingMinute]:
    """Return the last minute of each of the newest days before today in India, latest day first, in two queries."""
    today = timezone.localtime(before, IST).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = UnderlyingMinute.objects.filter(underlying=underlying, minute_at__lt=today)
    days = rows.annotate(day=TruncDate("minute_at", tzinfo=IST)).values("day").annotate(last=Max("minute_at"))
    closes = days.order_by("-day").values_list("last", flat=True)[:sessions]
    return list(rows.filter(minute_at__in=list(closes)).order_by("-minute_at"))


def options_by_keys(*, keys: Sequence[str]) -> dict[str, Option]:
    """Return the options that keys such as NFO:NIFTY26NOV24000CE name; raises InstrumentUnknown."""
    found = {
        key: Option(row.instrument_token, row.name, row.expiry)
        for key, row in instruments_by_keys(keys).items()
        if row.instrument_type in {"CE", "PE"} and row.expiry is not None
    }
    for key in keys:
        if key not in found:
            raise InstrumentUnknown(f"no listed option {key[:60]}", field="positions")
    return found


def derivatives_by_keys(*, keys: Sequence[str]) -> dict[str, Instrument]:
    """Return the options and futures that the keys name; raises InstrumentUnknown."""
    found = {
        key: row
        for key, row in instruments_by_keys(keys).items()
        if row.instrument_type in {"CE", "PE", "FUT"} and row.expiry is not None
    }
    for key in keys:
        if key not in found:
            raise InstrumentUnknown(f"no listed option or future {key[:60]}", field="positions")
    return found


def take_lease() -> bool:
    """Take the computation's lock for the rest of this transaction, False when another worker holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LEASE])
        (taken,) = cursor.fetchone()
    return bool(taken)


def _underlying(
    setting: ChainSetting, rows: Sequence[Instrument], index: Instrument | None, dividend: float, closing: Closing
) -> Underlying:
    options = [row for row in rows if row.instrument_type != "FUT"]
    live = sorted({row.expiry for row in options if row.expiry})[: setting.expiries]
    return Underlying(
        setting=setting,
        index=index,
        futures=tuple(row for row in rows if row.instrument_type == "FUT"),
        options=tuple(row for row in options if row.expiry in live),
        dividend=dividend,
        closing=closing,
    )


def _indices(settings: Sequence[ChainSetting]) -> dict[tuple[str, str], Instrument]:
    rows = listed().filter(tradingsymbol__in=[setting.index_symbol for setting in settings])
    return {(row.exchange, row.tradingsymbol): row for row in rows}

"""What the chain computation needs to know from the database, in few queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection
from django.db.models import Count, Max

from greeks.errors import NoRate
from greeks.models import ChainSetting, DividendSetting, RateSetting
from market_data.models import Instrument
from market_data.queries import listed

# Any two workers that compute chains meet at this lock.
LEASE = 7_301_446


@dataclass(frozen=True, slots=True)
class Underlying:
    """A live underlying with everything listed on it, strikes in order, futures soonest first."""

    setting: ChainSetting
    index: Instrument | None
    futures: tuple[Instrument, ...]
    options: tuple[Instrument, ...]
    dividend: float


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
        )
        for setting in settings
    ]


def is_live(*, underlying: str, expiry: date, day: date) -> bool:
    """Say whether the chain is one that gets computed on the day."""
    setting = ChainSetting.objects.filter(enabled=True, underlying=underlying).first()
    if setting is None or expiry < day:
        return False
    options = listed().filter(name=underlying, exchange=setting.exchange, instrument_type__in=["CE", "PE"])
    ahead = options.filter(expiry__gte=day).order_by("expiry").values_list("expiry", flat=True).distinct()
    return expiry in ahead[: setting.expiries]


def take_lease() -> bool:
    """Take the computation's lock for the rest of this transaction, False when another worker holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LEASE])
        (taken,) = cursor.fetchone()
    return bool(taken)


def _underlying(
    setting: ChainSetting, rows: Sequence[Instrument], index: Instrument | None, dividend: float
) -> Underlying:
    options = [row for row in rows if row.instrument_type != "FUT"]
    live = sorted({row.expiry for row in options if row.expiry})[: setting.expiries]
    return Underlying(
        setting=setting,
        index=index,
        futures=tuple(row for row in rows if row.instrument_type == "FUT"),
        options=tuple(row for row in options if row.expiry in live),
        dividend=dividend,
    )


def _indices(settings: Sequence[ChainSetting]) -> dict[tuple[str, str], Instrument]:
    rows = listed().filter(tradingsymbol__in=[setting.index_symbol for setting in settings])
    return {(row.exchange, row.tradingsymbol): row for row in rows}

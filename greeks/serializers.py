"""Chains as documents: every value with its source, its age and, where there is none, the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rest_framework import serializers

from accounts.strict import StrictSerializer
from greeks.analytics import SIGN_ASSUMPTION
from greeks.book import Totals, Unpriced
from greeks.conventions import ForwardSource, PriceSource
from greeks.errors import InvalidSpan
from greeks.kernel import Flag, Floats
from greeks.smile import Fit, Skew
from greeks.store import UNKNOWN_OI, Chain, Rows
from greeks.summary import SmilePoints, Summary

UNITS: Final[Mapping[str, str]] = {
    "iv": "fraction",
    "delta": "per rupee of the delta_basis",
    "gamma": "per rupee squared",
    "theta": "rupees per calendar day",
    "vega": "rupees per volatility point",
    "rho": "rupees per percentage point",
    "vanna": "delta per volatility point",
    "charm": "delta per calendar day",
    "vomma": "vega per volatility point",
    "oi": "units",
    "volume": "units",
}
DECIMALS: Final[Mapping[str, int]] = {
    "price": 4,
    "bid": 4,
    "ask": 4,
    "last": 4,
    "close": 4,
    "intrinsic": 4,
    "time_value": 4,
    "iv": 6,
    "delta": 6,
    "gamma": 9,
    "theta": 4,
    "vega": 4,
    "rho": 4,
    "vanna": 6,
    "charm": 6,
    "vomma": 6,
}
LONGEST_SPAN: Final = timedelta(days=31)
SIDES: Final[Mapping[int, str]] = {1: "CE", -1: "PE"}


class ChainHeadSerializer(serializers.Serializer[Any]):
    """One live chain in the list."""

    chain = serializers.CharField()
    underlying = serializers.CharField()
    expiry = serializers.DateField()
    exchange = serializers.CharField()
    profile = serializers.CharField()
    sequence = serializers.IntegerField()
    as_of = serializers.DateTimeField()
    age_seconds = serializers.FloatField()
    lot_size = serializers.IntegerField()
    options = serializers.IntegerField()
    expires_at = serializers.DateTimeField()
    years = serializers.FloatField()
    rate = serializers.FloatField()
    delta_basis = serializers.ChoiceField(["forward", "spot"])
    spot = serializers.DictField()
    forward = serializers.DictField()
    oi_change = serializers.DictField(help_text="Since when the options' oi_change counts, or why it is null")


class ChainListSerializer(serializers.Serializer[Any]):
    """Every live chain."""

    results = ChainHeadSerializer(many=True)


class OptionLegSerializer(serializers.Serializer[Any]):
    """One option; null values are explained by `flags`."""

    instrument_token = serializers.IntegerField()
    tradingsymbol = serializers.CharField()
    price = serializers.FloatField(allow_null=True)
    price_source = serializers.CharField()
    price_age_seconds = serializers.FloatField(allow_null=True)
    bid = serializers.FloatField(allow_null=True)
    ask = serializers.FloatField(allow_null=True)
    last = serializers.FloatField(allow_null=True)
    close = serializers.FloatField(allow_null=True)
    change = serializers.FloatField(allow_null=True)
    oi = serializers.IntegerField(allow_null=True)
    oi_change = serializers.IntegerField(allow_null=True)
    volume = serializers.IntegerField(allow_null=True)
    iv = serializers.FloatField(allow_null=True)
    delta = serializers.FloatField(allow_null=True)
    gamma = serializers.FloatField(allow_null=True)
    theta = serializers.FloatField(allow_null=True)
    vega = serializers.FloatField(allow_null=True)
    rho = serializers.FloatField(allow_null=True)
    vanna = serializers.FloatField(allow_null=True)
    charm = serializers.FloatField(allow_null=True)
    vomma = serializers.FloatField(allow_null=True)
    intrinsic = serializers.FloatField(allow_null=True)
    time_value = serializers.FloatField(allow_null=True)
    flags = serializers.ListField(child=serializers.CharField())


class StrikeSerializer(serializers.Serializer[Any]):
    """The call and the put of one strike."""

    strike = serializers.FloatField()
    call = OptionLegSerializer(allow_null=True)
    put = OptionLegSerializer(allow_null=True)


class SpanSerializer(serializers.Serializer[Any]):
    """A span of time: at most a month, by default the last day."""

    start = serializers.DateTimeField(required=False)
    end = serializers.DateTimeField(required=False)

    def span(self, *, now: datetime) -> tuple[datetime, datetime]:
        """Return start and end; raises InvalidSpan."""
        end = self.validated_data.get("end", now)
        start = self.validated_data.get("start", end - timedelta(days=1))
        if not timedelta(0) < end - start <= LONGEST_SPAN:
            raise InvalidSpan(f"a span ends after it starts and takes at most {LONGEST_SPAN.days} days", field="start")
        return start, end


class PositionSerializer(serializers.Serializer[Any]):
    """A holding in units, negative when short."""

    instrument = serializers.CharField(max_length=100, help_text="NFO:NIFTY26NOV24000CE")
    quantity = serializers.IntegerField(min_value=-(10**9), max_value=10**9)


class MovesSerializer(serializers.Serializer[Any]):
    """The moves to try on a book; without moves only the sums are answered."""

    spot_moves = serializers.ListField(
        child=serializers.FloatField(min_value=-0.9, max_value=5.0), max_length=41, required=False, default=[0.0]
    )
    vol_moves = serializers.ListField(
        child=serializers.FloatField(min_value=-100.0, max_value=200.0), max_length=21, required=False, default=[0.0]
    )
    days = serializers.ListField(
        child=serializers.FloatField(min_value=0.0, max_value=1000.0), max_length=10, required=False, default=[0.0]
    )


class BookSerializer(StrictSerializer, MovesSerializer):
    """Positions, and the moves to try on them."""

    positions = serializers.ListField(child=PositionSerializer(), min_length=1, max_length=1000)


class ChainSerializer(ChainHeadSerializer):
    """One chain with every option and what it says as a whole."""

    units = serializers.DictField()
    analytics = serializers.DictField()
    strikes = StrikeSerializer(many=True)


def head_document(*, chain: Chain, now: datetime) -> dict[str, Any]:
    """Return a chain's header as clients see it."""
    return {
        "chain": str(chain.key),
        "underlying": chain.key.underlying,
        "expiry": chain.key.expiry.isoformat(),
        "exchange": chain.header["exchange"].decode(),
        "profile": chain.profile.value,
        "sequence": chain.sequence,
        "as_of": chain.as_of.isoformat(),
        "age_seconds": _age(chain.value("as_of"), now),
        "lot_size": int(chain.header["lot_size"]),
        "options": int(chain.header["rows"]),
        "expires_at": chain.expires_at.isoformat(),
        "years": chain.value("years"),
        "rate": chain.value("rate"),
        "delta_basis": "spot" if chain.profile.on_spot else "forward",
        "spot": {"value": number(chain.value("spot"), 4), "age_seconds": _age(chain.value("spot_at"), now)},
        "forward": _forward_document(chain, now),
        "oi_change": _oi_change_document(chain),
    }


def chain_document(*, chain: Chain, summary: Summary, now: datetime) -> dict[str, Any]:
    """Return the whole chain, a call and a put a strike."""
    columns = columns_document(rows=chain.rows)
    ages = [_age(stamp, now) for stamp in chain.rows["price_at"].tolist()]
    by_strike: dict[float, dict[str, Any]] = {}
    for row, symbol in enumerate(chain.symbols):
        leg = {name: values[row] for name, values in columns.items() if name not in {"strike", "side", "price_at"}}
        leg |= {"tradingsymbol": symbol, "price_age_seconds": ages[row]}
        strike = columns["strike"][row]
        entry = by_strike.setdefault(strike, {"strike": strike, "call": None, "put": None})
        entry["call" if columns["side"][row] == "CE" else "put"] = leg
    return {
        **head_document(chain=chain, now=now),
        "units": dict(UNITS),
        "analytics": summary_document(summary=summary),
        "strikes": [by_strike[strike] for strike in sorted(by_strike)],
    }


def columns_document(*, rows: Rows) -> dict[str, list[Any]]:
    """Return rows as one list a column, null where there is no value."""
    return {
        "instrument_token": rows["instrument_token"].tolist(),
        "strike": rows["strike"].tolist(),
        "side": [SIDES[sign] for sign in rows["sign"].tolist()],
        "price_source": [PriceSource(code).name.lower() for code in rows["price_source"].tolist()],
        "price_at": numbers(rows["price_at"], 3),
        **{name: numbers(rows[name], decimals) for name, decimals in DECIMALS.items()},
        "change": numbers(_change(rows), DECIMALS["last"]),
        "oi": _counts(rows["oi"], rows["bid"]),
        "oi_change": _oi_change(rows),
        "volume": _counts(rows["volume"], rows["last"]),
        "flags": [reasons(bits) for bits in rows["flags"].tolist()],
    }


def _change(rows: Rows) -> Floats:
    """The last price less the last session's close, NaN without either."""
    last, close = (np.where(rows[name] > 0.0, rows[name], np.nan).astype(np.float64) for name in ("last", "close"))
    return last - close


def _counts(values: npt.NDArray[Any], witness: Floats) -> list[int | None]:
    """A count is known where the packet that carries it came: only full ones have a bid."""
    return [value if known else None for value, known in zip(values.tolist(), np.isfinite(witness), strict=True)]


def _oi_change(rows: Rows) -> list[int | None]:
    """The open interest less that of the last session's end, null without either."""
    changes = rows["oi"].astype(np.int64) - rows["closing_oi"].astype(np.int64)
    return _counts(changes, np.where(rows["closing_oi"] == UNKNOWN_OI, np.nan, rows["bid"]))


def reasons(bits: int) -> list[str]:
    """Return the names of the flags in a bit set."""
    return [str(flag.name).lower() for flag in Flag if bits & flag]


def summary_document(*, summary: Summary) -> dict[str, Any]:
    """Return a chain's numbers as clients see them."""
    return {
        "priced": summary.priced,
        "unpriced": summary.unpriced,
        "atm_iv": number(summary.atm_iv, 6),
        "max_pain": number(summary.max_pain, 2),
        "put_call_ratio": {
            "open_interest": number(summary.ratios.open_interest, 4),
            "volume": number(summary.ratios.volume, 4),
        },
        "straddle": {
            "strike": number(summary.straddle.strike, 2),
            "price": number(summary.straddle.price, 2),
        },
        "expected_move": number(summary.straddle.expected_move, 2),
        "gamma_exposure": {
            "rupees_per_percent": number(summary.exposure.rupees_per_percent, 2),
            "units_per_rupee": number(summary.exposure.units_per_rupee, 4),
            "zero_gamma": number(summary.exposure.zero_gamma, 2),
            "unpriced": summary.exposure.unpriced,
            "sign_assumption": SIGN_ASSUMPTION,
        },
    }


def smile_document(*, points: SmilePoints, fit: Fit, skew: Skew, years: float) -> dict[str, Any]:
    """Return the smile's points beside the slice fitted through them."""
    svi = fit.svi
    return {
        "points": {
            "strike": points.strike.tolist(),
            "log_moneyness": numbers(points.k, 6),
            "iv": numbers(points.iv, 6),
            "fitted_iv": numbers(svi.volatility(k=points.k, t=years), 6),
        },
        "svi": {"a": svi.a, "b": svi.b, "rho": svi.rho, "m": svi.m, "sigma": svi.sigma},
        "rmse_points": number(fit.rmse_points, 4),
        "worst_points": number(fit.worst_points, 4),
        "butterfly_free": fit.butterfly_free,
        "skew": {
            "atm_iv": number(skew.atm, 6),
            "call_25_delta_iv": number(skew.call, 6),
            "put_25_delta_iv": number(skew.put, 6),
            "risk_reversal": number(skew.risk_reversal, 6),
            "butterfly": number(skew.butterfly, 6),
            "slope": number(skew.slope, 6),
        },
    }


def totals_document(*, name: str, totals: Totals, profit: Floats, by: str = "underlying") -> dict[str, Any]:
    """Return a group's sums, and its profit by spot move, volatility move and days."""
    sums = {name: round(value, 4) if np.isfinite(value) else None for name, value in asdict(totals).items()}
    flat = numbers(profit.ravel(), 2)
    _, vols, days = profit.shape
    lines = [flat[start : start + days] for start in range(0, len(flat), days)]
    grid = [lines[start : start + vols] for start in range(0, len(lines), vols)]
    return {by: name, **sums, "profit": grid}


def unpriced_document(*, unpriced: Sequence[Unpriced], names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return the positions missing from every sum, with the reasons."""
    return [
        {
            "instrument": names[item.position.instrument_token],
            "quantity": item.position.quantity,
            "reasons": list(item.reasons),
        }
        for item in unpriced
    ]


def _oi_change_document(chain: Chain) -> dict[str, Any]:
    at = chain.value("closing_oi_at")
    if not at:
        return {"since": None, "reason": "no minute of the last session is recorded"}
    unknown = int(np.count_nonzero(chain.rows["closing_oi"] == UNKNOWN_OI))
    reason = f"{unknown} options were not recorded then" if unknown else None
    return {"since": datetime.fromtimestamp(at, UTC).isoformat(), "reason": reason}


def _forward_document(chain: Chain, now: datetime) -> dict[str, Any]:
    return {
        "value": number(chain.value("forward"), 4),
        "source": ForwardSource(int(chain.header["forward_source"])).name.lower(),
        "age_seconds": _age(chain.value("forward_at"), now),
        "flags": reasons(int(chain.header["forward_flags"])),
        "parity_strikes": int(chain.header["parity_strikes"]),
        "parity_dispersion": number(chain.value("parity_dispersion"), 4),
    }


def numbers(values: npt.NDArray[Any], decimals: int) -> list[float | None]:
    """Return rounded numbers, null where there is none."""
    exact = np.round(np.asarray(values, np.float64), decimals)
    return [value if known else None for value, known in zip(exact.tolist(), np.isfinite(exact).tolist(), strict=True)]


def number(value: float, decimals: int) -> float | None:
    """Return a rounded number, null where there is none."""
    return round(value, decimals) if np.isfinite(value) else None


def _age(stamp: float, now: datetime) -> float | None:
    return round(max(now.timestamp() - stamp, 0.0), 3) if np.isfinite(stamp) else None

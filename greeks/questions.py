"""Shapes of questions about single options and about the chains of one underlying, and of their answers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
from rest_framework import serializers

from accounts.strict import StrictSerializer
from greeks.conventions import EXPIRY_TIMES, IST, Profile
from greeks.errors import NotEnoughQuotes
from greeks.serializers import DECIMALS, UNITS, columns_document, head_document, number, numbers, reasons
from greeks.smile import Fit, Skew, calendar_gap
from greeks.store import Chain
from greeks.summary import Summary, fitted, summarise
from greeks.whatif import Answers, Case

NAN: Final = float("nan")
SIGNS: Final[Mapping[str, float]] = {"CE": 1.0, "PE": -1.0}
MOST_CASES: Final = 1_000


class CaseSerializer(StrictSerializer):
    """One option as it might be: a price asks for its volatility, a volatility for its price."""

    profile = serializers.ChoiceField(choices=[each.value for each in Profile], default=Profile.FWD_CAL.value)
    side = serializers.ChoiceField(choices=sorted(SIGNS))
    strike = serializers.FloatField(min_value=0.0)
    spot = serializers.FloatField(min_value=0.0, required=False)
    forward = serializers.FloatField(min_value=0.0, required=False)
    price = serializers.FloatField(min_value=0.0, required=False)
    iv = serializers.FloatField(min_value=0.0, max_value=50.0, required=False, help_text="A fraction: 0.12 is 12 %")
    expiry = serializers.DateField(required=False)
    exchange = serializers.ChoiceField(choices=sorted(EXPIRY_TIMES), default="NFO")
    at = serializers.DateTimeField(required=False, help_text="The moment of the value, now by default")
    years = serializers.FloatField(min_value=0.0, max_value=50.0, required=False)
    rate = serializers.FloatField(min_value=-0.05, max_value=0.5, required=False)
    dividend = serializers.FloatField(min_value=0.0, max_value=0.5, default=0.0)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a case that has two answers or none."""
        if ("price" in attrs) == ("iv" in attrs):
            raise serializers.ValidationError({"price": "give a price or a volatility, one of the two"})
        if ("expiry" in attrs) == ("years" in attrs):
            raise serializers.ValidationError({"expiry": "give an expiry or years, one of the two"})
        if "spot" not in attrs and (Profile(attrs["profile"]).on_spot or "forward" not in attrs):
            raise serializers.ValidationError({"spot": "is needed where the profile is on spot or no forward is given"})
        return attrs


class CasesSerializer(StrictSerializer):
    """Many cases, answered in their order."""

    cases = serializers.ListField(child=CaseSerializer(), min_length=1, max_length=MOST_CASES)


def case_of(*, asked: Mapping[str, Any], years: float, rate: float) -> Case:
    """Return the checked case."""
    return Case(
        profile=Profile(asked["profile"]),
        strike=asked["strike"],
        sign=SIGNS[asked["side"]],
        years=years,
        rate=rate,
        dividend=asked["dividend"],
        **{name: asked.get(name, NAN) for name in ("spot", "forward", "price", "iv")},
    )


def answers_document(*, cases: Sequence[Case], answers: Answers) -> dict[str, Any]:
    """Return the answers in the cases' order."""
    found = answers.result
    names = [name for name in DECIMALS if hasattr(found, name)]
    columns = {name: numbers(getattr(found, name), DECIMALS[name]) for name in names}
    columns |= {"price": numbers(answers.price, 4), "forward": numbers(answers.forward, 4)}
    annual = {name: numbers(getattr(answers, f"annual_{name}"), 6) for name in ("theta", "vega", "rho")}
    return {
        "units": dict(UNITS),
        "results": [
            {
                "profile": case.profile.value,
                "delta_basis": "spot" if case.profile.on_spot else "forward",
                "years": case.years,
                "rate": float(answers.rate[row]),
                "forward_source": answers.forward_source[row].name.lower(),
                **{name: column[row] for name, column in columns.items()},
                "annual": {name: column[row] for name, column in annual.items()},
                "flags": reasons(int(found.flags[row])),
            }
            for row, case in enumerate(cases)
        ],
    }


def legs_document(*, chains: Sequence[Chain], names: Mapping[int, str], now: datetime) -> dict[str, dict[str, Any]]:
    """Return the live values of the named options by name, each with what its chain was valued with."""
    found: dict[str, dict[str, Any]] = {}
    wanted = np.fromiter(names, np.uint32, len(names))
    for chain in chains:
        rows = np.flatnonzero(np.isin(chain.rows["instrument_token"], wanted))
        columns = columns_document(rows=chain.rows[rows])
        head = head_document(chain=chain, now=now)
        shared = {name: head[name] for name in ("chain", "profile", "as_of", "age_seconds", "delta_basis", "forward")}
        for place, row in enumerate(rows):
            values = {name: column[place] for name, column in columns.items()}
            found[names[values["instrument_token"]]] = {**values, "tradingsymbol": chain.symbols[row], **shared}
    return found


def term_document(*, chains: Sequence[Chain], now: datetime) -> list[dict[str, Any]]:
    """Return one entry an expiry, soonest first; `calendar_gap` below zero is calendar arbitrage."""
    rows: list[dict[str, Any]] = []
    before: Fit | None = None
    for chain in sorted(chains, key=lambda each: each.key):
        summary, slice_fit, skew = summarise(chain=chain), *_smile(chain)
        row = _term_row(chain, summary, slice_fit, skew, now)
        if slice_fit is not None:
            row["calendar_gap"] = number(calendar_gap(near=before, far=slice_fit), 8) if before else None
            before = slice_fit
        rows.append(row)
    return rows


def whole_ratios(*, chains: Sequence[Chain]) -> dict[str, float | None]:
    """Return put over call of all expiries together, in units."""
    sums = {name: dict.fromkeys((1, -1), 0) for name in ("oi", "volume")}
    for chain in chains:
        for name, by_sign in sums.items():
            for sign in by_sign:
                by_sign[sign] += int(chain.rows[name][chain.rows["sign"] == sign].sum(dtype=np.int64))
    return {
        "open_interest" if name == "oi" else name: round(by_sign[-1] / by_sign[1], 4) if by_sign[1] else None
        for name, by_sign in sums.items()
    }


def _smile(chain: Chain) -> tuple[Fit | None, Skew | None]:
    try:
        _, slice_fit, skew = fitted(chain=chain)
    except NotEnoughQuotes:
        return None, None
    return slice_fit, skew


def _term_row(
    chain: Chain, summary: Summary, slice_fit: Fit | None, skew: Skew | None, now: datetime
) -> dict[str, Any]:
    head = head_document(chain=chain, now=now)
    years, level = chain.value("years"), summary.atm_iv
    return {
        **{name: head[name] for name in ("chain", "expiry", "profile", "as_of", "age_seconds", "years", "forward")},
        "days": round((chain.expires_at.astimezone(IST) - chain.as_of.astimezone(IST)).total_seconds() / 86_400, 4),
        "atm_iv": number(level, 6),
        "total_variance": number(level * level * years, 8),
        "risk_reversal": number(skew.risk_reversal, 6) if skew else None,
        "butterfly": number(skew.butterfly, 6) if skew else None,
        "slope": number(skew.slope, 6) if skew else None,
        "butterfly_free": slice_fit.butterfly_free if slice_fit else None,
        "rmse_points": number(slice_fit.rmse_points, 4) if slice_fit else None,
        "expected_move": number(summary.straddle.expected_move, 2),
        "max_pain": number(summary.max_pain, 2),
        "gamma_exposure": number(summary.exposure.rupees_per_percent, 2),
        "calendar_gap": None,
    }

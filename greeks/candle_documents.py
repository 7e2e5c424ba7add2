"""Candles of options with their values as documents."""

from typing import Any

from rest_framework import serializers

from greeks.conventions import ForwardSource, Profile
from greeks.kernel import Floats
from greeks.option_candles import Valued
from greeks.option_rows import GREEKS
from greeks.serializers import DECIMALS, UNITS, numbers, reasons
from market_data.intervals import MINUTE, NAMES


class CandleQuestionSerializer(serializers.Serializer[Any]):
    """An option's candles that start in a span, valued under a profile."""

    instrument = serializers.CharField(max_length=100, help_text="NFO:NIFTY26NOV24000CE")
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    interval = serializers.ChoiceField(choices=NAMES, default=MINUTE)
    profile = serializers.ChoiceField(choices=[profile.value for profile in Profile], default=Profile.FWD_CAL.value)


def valued_document(*, key: str, interval: str, profile: Profile, valued: Valued) -> dict[str, Any]:
    """Return candles with the values at their closes, one object a candle."""
    found = valued.enriched
    names = ("spot", "underlying_age", "forward")
    columns: dict[str, list[Any]] = {name: list(numbers(getattr(found, name), 4)) for name in names}
    columns |= {name: numbers(getattr(found.result, name), DECIMALS[name]) for name in GREEKS}
    columns |= {name: numbers(getattr(found.result, name), 4) for name in ("intrinsic", "time_value")}
    columns["forward_source"] = [ForwardSource(code).name.lower() for code in found.forward_source.tolist()]
    columns["years"], columns["rate"] = _plain(found.years), _plain(found.rate)
    columns["flags"] = [reasons(bits) for bits in found.flags.tolist()]
    bars = ("start_at", "open", "high", "low", "close", "volume", "oi", "source")
    return {
        "instrument": key,
        "interval": interval,
        "profile": profile.value,
        "units": dict(UNITS),
        "complete": not valued.answer.missing and not valued.unread,
        "missing": [{"start": part.start, "end": part.end} for part in valued.answer.missing],
        "reason": "; ".join([*([valued.answer.reason] if valued.answer.reason else []), *valued.unread]),
        "results": [
            {name: getattr(bar, name) for name in bars} | {name: column[row] for name, column in columns.items()}
            for row, bar in enumerate(valued.bars)
        ],
    }


def _plain(values: Floats) -> list[float | None]:
    return numbers(values, 8)

"""Values the past of a chain from its candles and keeps it as option minutes; what is kept already stays."""

import argparse
import sys
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from django.core.management.base import CommandError
from django.utils import timezone

from accounts.errors import PlatformError
from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.management.progress import Bar
from accounts.sessions import Sessions
from greeks import option_store, queries
from greeks.conventions import IST, Profile
from greeks.option_candles import Base, CandleReader, days_of, minutes_of
from kite.errors import KiteError
from market_data.history import Broker
from market_data.intervals import MINUTE, Stretch
from market_data.models import Instrument


class Command(OperatorCommand):
    """manage.py backfill_greeks NIFTY 2026-11-26 --from 2026-11-20 --to 2026-11-24."""

    help = __doc__
    trial = Trial.SAID
    examples = """examples:
  manage.py backfill_greeks NIFTY 2026-11-26                                        today so far
  manage.py backfill_greeks NIFTY 2026-11-26 --from 2026-11-20 --to 2026-11-24      five days"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take the chain, the days and how much of it."""
        parser.add_argument("underlying", help="NIFTY")
        parser.add_argument("expiry", type=date.fromisoformat, help="2026-11-26")
        parser.add_argument("--from", dest="first", type=date.fromisoformat, help="first day (default: today)")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, help="last day (default: the first)")
        parser.add_argument("--strikes", type=int, default=10, help="each side of the underlying, 0 for all")
        profiles = [each.value for each in Profile]
        parser.add_argument(
            "--profile", choices=profiles, default=Profile.FWD_CAL.value, help="conventions (%(default)s)"
        )

    def answer(
        self, *, underlying: str, expiry: date, strikes: int, profile: str, preview: bool, **options: Any
    ) -> Answer:
        """Go day by day, option by option."""
        now = timezone.now()
        first: date = options["first"] or now.astimezone(IST).date()
        stretch = Stretch(_midnight(first), _midnight((options["last"] or first) + timedelta(days=1)))
        listed = queries.options_of(underlying=underlying.upper(), expiry=expiry)
        if not listed:
            raise CommandError(f"no options of {underlying} with expiry {expiry} are known")
        days = days_of(stretch=stretch)
        if preview:
            most = f"{len(days)} days of {len(listed)} options at most asked for and valued"
            return Answer(document={"days": len(days), "options": len(listed)}, lines=[most])
        broker = Broker(sessions=Sessions(), now=now)
        bar = Bar(stream=sys.stderr, title=f"{underlying} {expiry}")
        written, failures = 0, []
        for number, day in enumerate(days):
            reader = CandleReader(broker=broker, interval=MINUTE, stretch=day, now=now)
            base = reader.base(option=listed[0])
            chosen = _near(listed, base, strikes)
            for place, option in enumerate(chosen):
                bar.show(f"{day.start:%d %b} {option.tradingsymbol}", (number + place / len(chosen)) / len(days))
                kept, failure = _keep(reader, option, base, Profile(profile))
                written += kept
                failures += [failure] if failure else []
        bar.close()
        for failure in failures[:10]:
            self.stderr.write(failure)
        return Answer(
            document={"minutes": written, "days": len(days), "failures": failures},
            lines=[f"{written} minutes kept, {len(days)} days, {len(failures)} options could not be read"],
            error=f"{len(failures)} options could not be read" if failures else "",
        )


def _keep(reader: CandleReader, option: Instrument, base: Base, profile: Profile) -> tuple[int, str]:
    try:
        valued = reader.valued(option=option, base=base, profile=profile)
    except (KiteError, PlatformError) as error:
        return 0, f"{option}: {error}"
    rows = minutes_of(option=option, valued=valued, profile=profile)
    return option_store.write(underlying=option.name, rows=rows), ""


def _near(options: list[Instrument], base: Base, each_side: int) -> list[Instrument]:
    """Choose around the whole span the underlying went through in the day."""
    if not each_side or not len(base.spot.close):
        return options
    strikes = np.unique([float(row.strike) for row in options])
    low, high = (int(np.argmin(np.abs(strikes - end))) for end in (base.spot.close.min(), base.spot.close.max()))
    least, most = strikes[max(low - each_side, 0)], strikes[min(high + each_side, len(strikes) - 1)]
    return [row for row in options if least <= float(row.strike) <= most]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=IST)

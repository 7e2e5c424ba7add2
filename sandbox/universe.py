"""The instrument universe: indices, equities, futures and whole option chains, generated for a date."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from sandbox.instruments import SEGMENT_CODES, Instrument, make_token
from sandbox.sessions import Sessions, monthly_expiries, weekly_expiries

DATA = Path(__file__).parent / "data"
TUESDAY, THURSDAY = 1, 3
MONTH_CODES = "123456789OND"
MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class Spot:
    """What drives prices: a level, a yearly volatility, and how closely it follows the market."""

    symbol: str
    price: float
    volatility: float
    beta: float
    carry: float = 0.065


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """One index and, when `lot` is set, the derivatives on it."""

    symbol: str
    name: str
    exchange_token: int
    price: float
    volatility: float
    beta: float
    exchange: str = "NSE"
    option_name: str = ""
    lot: int = 0
    strike_step: float = 0.0
    strikes_each_side: int = 40
    weeklies: int = 0
    monthlies: int = 3
    weekday: int = TUESDAY
    freeze: int = 0

    @property
    def derivative_exchange(self) -> str:
        return "NFO" if self.exchange == "NSE" else "BFO"


INDICES = (
    IndexSpec("NIFTY 50", "NIFTY 50", 1001, 25960.0, 0.12, 1.0, option_name="NIFTY", lot=65, strike_step=50,
              weeklies=5, monthlies=4, freeze=1800),
    IndexSpec("NIFTY BANK", "NIFTY BANK", 1016, 58920.0, 0.14, 1.1, option_name="BANKNIFTY", lot=30, strike_step=100,
              monthlies=4, freeze=600),
    IndexSpec("NIFTY FIN SERVICE", "NIFTY FIN SERVICE", 1007, 27640.0, 0.14, 1.1, option_name="FINNIFTY", lot=60,
              strike_step=50, freeze=1200),
    IndexSpec("NIFTY MID SELECT", "NIFTY MIDCAP SELECT", 1125, 13840.0, 0.16, 1.05, option_name="MIDCPNIFTY", lot=120,
              strike_step=25, strikes_each_side=25, freeze=2800),
    IndexSpec("NIFTY NEXT 50", "NIFTY NEXT 50", 1058, 69240.0, 0.15, 1.05, option_name="NIFTYNXT50", lot=25,
              strike_step=100, strikes_each_side=15, monthlies=1, freeze=600),
    IndexSpec("SENSEX", "BSE SENSEX", 1, 84960.0, 0.12, 1.0, exchange="BSE", option_name="SENSEX", lot=20,
              strike_step=100, weeklies=4, monthlies=3, weekday=THURSDAY, freeze=1000),
    IndexSpec("BANKEX", "BSE BANKEX", 3, 66120.0, 0.14, 1.1, exchange="BSE", option_name="BANKEX", lot=30,
              strike_step=100, strikes_each_side=15, monthlies=1, weekday=THURSDAY, freeze=900),
    IndexSpec("INDIA VIX", "INDIA VIX", 1035, 12.4, 0.9, -3.0),
    IndexSpec("NIFTY IT", "NIFTY IT", 1015, 37120.0, 0.2, 0.9),
    IndexSpec("NIFTY 100", "NIFTY 100", 1009, 26480.0, 0.12, 1.0),
    IndexSpec("NIFTY 500", "NIFTY 500", 1012, 23810.0, 0.13, 1.0),
    IndexSpec("NIFTY MIDCAP 100", "NIFTY MIDCAP 100", 1031, 60840.0, 0.16, 1.05),
    IndexSpec("NIFTY AUTO", "NIFTY AUTO", 1029, 27240.0, 0.17, 1.0),
    IndexSpec("NIFTY PHARMA", "NIFTY PHARMA", 1026, 22460.0, 0.16, 0.7),
    IndexSpec("NIFTY METAL", "NIFTY METAL", 1051, 10420.0, 0.22, 1.2),
    IndexSpec("NIFTY FMCG", "NIFTY FMCG", 1027, 55680.0, 0.12, 0.6),
    IndexSpec("NIFTY ENERGY", "NIFTY ENERGY", 1025, 35420.0, 0.18, 1.0),
    IndexSpec("NIFTY PSU BANK", "NIFTY PSU BANK", 1028, 8460.0, 0.22, 1.2),
    IndexSpec("NIFTY REALTY", "NIFTY REALTY", 1024, 918.0, 0.24, 1.2),
)  # fmt: skip

STOCK_OPTIONS = {"RELIANCE": 10.0, "HDFCBANK": 5.0, "INFY": 20.0, "TCS": 20.0, "SBIN": 5.0, "ICICIBANK": 10.0}
BSE_LISTED = 60

CURRENCIES = (
    Spot("USDINR", 88.9250, 0.03, 0.0, 0.02), Spot("EURINR", 102.6400, 0.06, 0.0, 0.03),
    Spot("GBPINR", 116.4200, 0.07, 0.0, 0.02), Spot("JPYINR", 57.1200, 0.09, 0.0, 0.04),
)  # fmt: skip

COMMODITIES = (
    (Spot("CRUDEOIL", 5240.0, 0.3, 0.0, 0.04), 1.0, 100), (Spot("NATURALGAS", 402.6, 0.5, 0.0, 0.04), 0.1, 1250),
    (Spot("GOLDPETAL", 12420.0, 0.14, 0.0, 0.06), 1.0, 1), (Spot("SILVERMIC", 156200.0, 0.25, 0.0, 0.06), 1.0, 1),
    (Spot("COPPER", 1006.4, 0.2, 0.0, 0.05), 0.05, 2500),
)  # fmt: skip


@dataclass(slots=True)
class Universe:
    """Every instrument in dump order, and the spots that drive them."""

    instruments: list[Instrument]
    spots: dict[str, Spot]
    by_key: dict[str, int] = field(init=False)
    by_token: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.by_key = {instrument.key: row for row, instrument in enumerate(self.instruments)}
        self.by_token = {instrument.token: row for row, instrument in enumerate(self.instruments)}

    def __len__(self) -> int:
        return len(self.instruments)

    def list_new(self, fresh: Iterable[Instrument]) -> int:
        """Append what is not listed yet, with a token of its own, and return how many that were."""
        tokens = TokenBook()
        for token in self.by_token:
            tokens.take(token)
        before = len(self.instruments)
        for one in fresh:
            if one.key in self.by_key:
                continue
            token = tokens.hashed(symbol=one.tradingsymbol, segment=one.exchange)
            self.by_key[one.key] = self.by_token[token] = len(self.instruments)
            self.instruments.append(replace(one, token=token))
        return len(self.instruments) - before

    def find(self, name: str) -> int | None:
        """Return the row of an `EXCHANGE:SYMBOL` or of a token written in digits."""
        if name.isascii() and name.isdigit() and len(name) < 12:
            return self.by_token.get(int(name))
        return self.by_key.get(name)


class TokenBook:
    """Hands out exchange tokens: published ones as given, others by a hash of the symbol."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def take(self, token: int) -> None:
        self._taken.add(token)

    def fixed(self, *, exchange_token: int, segment: str) -> int:
        token = make_token(exchange_token=exchange_token, code=SEGMENT_CODES[segment])
        self._taken.add(token)
        return token

    def hashed(self, *, symbol: str, segment: str) -> int:
        code = SEGMENT_CODES[segment]
        number = 30_000 + zlib.crc32(f"{segment}:{symbol}".encode()) % 900_000
        while make_token(exchange_token=number, code=code) in self._taken:
            number += 1
        return self.fixed(exchange_token=number, segment=segment)


def build_universe(*, today: date, sessions: Sessions) -> Universe:
    tokens = TokenBook()
    spots: dict[str, Spot] = {}
    instruments: list[Instrument] = []
    for part in (
        _indices(tokens, spots),
        _equities(tokens, spots),
        _index_derivatives(tokens, today, sessions),
        _stock_derivatives(tokens, spots, today, sessions),
        _currencies(tokens, spots, today, sessions),
        _commodities(tokens, spots, today, sessions),
    ):
        instruments.extend(part)
    return Universe(instruments=instruments, spots=spots)


def equity_tick(price: float) -> float:
    """Return NSE's tick for a price band."""
    bands = ((250, 0.01), (1_000, 0.05), (5_000, 0.1), (10_000, 0.5), (20_000, 1.0))
    return next((tick for limit, tick in bands if price < limit), 5.0)


def option_symbol(*, name: str, expiry: date, strike: float, kind: str, monthly: bool) -> str:
    strike_text = f"{strike:g}" if strike < 1e6 else str(int(strike))
    if monthly:
        return f"{name}{expiry:%y}{MONTH_NAMES[expiry.month - 1]}{strike_text}{kind}"
    return f"{name}{expiry:%y}{MONTH_CODES[expiry.month - 1]}{expiry:%d}{strike_text}{kind}"


def future_symbol(*, name: str, expiry: date) -> str:
    return f"{name}{expiry:%y}{MONTH_NAMES[expiry.month - 1]}FUT"


def _indices(tokens: TokenBook, spots: dict[str, Spot]) -> Iterator[Instrument]:
    for spec in INDICES:
        spots[spec.symbol] = Spot(spec.symbol, spec.price, spec.volatility, spec.beta)
        token = tokens.fixed(exchange_token=spec.exchange_token, segment="INDICES")
        yield Instrument(token, spec.symbol, spec.name, spec.exchange, "INDICES", "EQ", 0.0, 0, spec.price, spec.symbol)


def equity_rows() -> list[dict[str, str]]:
    with (DATA / "equities.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def _equities(tokens: TokenBook, spots: dict[str, Spot]) -> Iterator[Instrument]:
    for position, row in enumerate(equity_rows()):
        symbol, price = row["symbol"], float(row["price"])
        spots[symbol] = Spot(symbol, price, 0.16 + zlib.crc32(symbol.encode()) % 20 / 100, 1.0)
        token = tokens.fixed(exchange_token=int(row["token"]), segment="NSE")
        yield Instrument(token, symbol, row["name"], "NSE", "NSE", "EQ", equity_tick(price), 1, price, symbol)
        if position < BSE_LISTED:
            bse = tokens.fixed(exchange_token=500_000 + int(row["token"]), segment="BSE")
            yield Instrument(bse, symbol, row["name"], "BSE", "BSE", "EQ", 0.05, 1, price, symbol)


def _index_derivatives(tokens: TokenBook, today: date, sessions: Sessions) -> Iterator[Instrument]:
    for spec in INDICES:
        if not spec.lot:
            continue
        exchange = spec.derivative_exchange
        months = monthly_expiries(
            today=today, weekday=spec.weekday, count=spec.monthlies, sessions=sessions, exchange=exchange
        )
        for expiry in months[:3]:
            yield _future(tokens, spec, expiry)
        weeks = weekly_expiries(
            today=today, weekday=spec.weekday, count=spec.weeklies, sessions=sessions, exchange=exchange
        )
        for expiry in sorted({*months, *weeks}):
            monthly = expiry in months or is_last_of_month(expiry, spec.weekday, sessions)
            yield from _chain(tokens, spec, expiry, monthly=monthly)


def is_last_of_month(expiry: date, weekday: int, sessions: Sessions) -> bool:
    first = expiry.replace(day=1)
    return monthly_expiries(today=first, weekday=weekday, count=1, sessions=sessions)[0] == expiry


def _future(tokens: TokenBook, spec: IndexSpec, expiry: date) -> Instrument:
    exchange = spec.derivative_exchange
    symbol = future_symbol(name=spec.option_name, expiry=expiry)
    token = tokens.hashed(symbol=symbol, segment=exchange)
    return Instrument(
        token, symbol, spec.option_name, exchange, f"{exchange}-FUT", "FUT", 0.1 if exchange == "NFO" else 0.05,
        spec.lot, spec.price, spec.symbol, expiry, freeze_quantity=spec.freeze,
    )  # fmt: skip


def strikes_around(*, price: float, step: float, each_side: int) -> list[float]:
    middle = round(price / step)
    return [(middle + offset) * step for offset in range(-each_side, each_side + 1) if middle + offset > 0]


def _chain(tokens: TokenBook, spec: IndexSpec, expiry: date, *, monthly: bool) -> Iterator[Instrument]:
    exchange = spec.derivative_exchange
    strikes = strikes_around(price=spec.price, step=spec.strike_step, each_side=spec.strikes_each_side)
    for strike in strikes:
        for kind in ("CE", "PE"):
            symbol = option_symbol(name=spec.option_name, expiry=expiry, strike=strike, kind=kind, monthly=monthly)
            yield Instrument(
                tokens.hashed(symbol=symbol, segment=exchange), symbol, spec.option_name, exchange,
                f"{exchange}-OPT", kind, 0.05, spec.lot, 0.0, spec.symbol, expiry, strike,
                freeze_quantity=spec.freeze,
            )  # fmt: skip


def _stock_derivatives(
    tokens: TokenBook, spots: dict[str, Spot], today: date, sessions: Sessions
) -> Iterator[Instrument]:
    months = monthly_expiries(today=today, weekday=TUESDAY, count=3, sessions=sessions)
    for row in equity_rows():
        lot = int(row["lot"])
        if not lot:
            continue
        name, price = row["symbol"], float(row["price"])
        for expiry in months:
            symbol = future_symbol(name=name, expiry=expiry)
            token = tokens.hashed(symbol=symbol, segment="NFO")
            yield Instrument(
                token, symbol, name, "NFO", "NFO-FUT", "FUT", equity_tick(price), lot, price, name, expiry,
                freeze_quantity=lot * 40,
            )  # fmt: skip
        if name in STOCK_OPTIONS:
            spec = IndexSpec(
                name, name, 0, price, 0.0, 0.0, option_name=name, lot=lot, strike_step=STOCK_OPTIONS[name],
                strikes_each_side=15, freeze=lot * 40,
            )  # fmt: skip
            for expiry in months[:2]:
                yield from _chain(tokens, spec, expiry, monthly=True)


def _currencies(tokens: TokenBook, spots: dict[str, Spot], today: date, sessions: Sessions) -> Iterator[Instrument]:
    months = monthly_expiries(today=today, weekday=TUESDAY, count=3, sessions=sessions, exchange="CDS")
    for spot in CURRENCIES:
        spots[spot.symbol] = spot
        for exchange in ("CDS", "BCD"):
            for expiry in months:
                symbol = future_symbol(name=spot.symbol, expiry=expiry)
                yield Instrument(
                    tokens.hashed(symbol=symbol, segment=exchange), symbol, spot.symbol, exchange, f"{exchange}-FUT",
                    "FUT", 0.0025, 1, spot.price, spot.symbol, expiry, multiplier=1000, freeze_quantity=10_000,
                )  # fmt: skip


def _commodities(tokens: TokenBook, spots: dict[str, Spot], today: date, sessions: Sessions) -> Iterator[Instrument]:
    months = monthly_expiries(today=today, weekday=THURSDAY, count=3, sessions=sessions, exchange="MCX")
    for spot, tick, multiplier in COMMODITIES:
        spots[spot.symbol] = spot
        exchanges: Iterable[str] = ("MCX", "NCO") if spot.symbol == "CRUDEOIL" else ("MCX",)
        for exchange in exchanges:
            for expiry in months:
                symbol = future_symbol(name=spot.symbol, expiry=expiry)
                yield Instrument(
                    tokens.hashed(symbol=symbol, segment=exchange), symbol, spot.symbol, exchange, f"{exchange}-FUT",
                    "FUT", tick, 1, spot.price, spot.symbol, expiry, multiplier=multiplier, freeze_quantity=10_000,
                )  # fmt: skip

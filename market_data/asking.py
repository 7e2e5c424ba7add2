"""What a caller names - tokens, keys, saved lists, chains - as instruments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from market_data.errors import ChainUnknown, InstrumentUnknown, ListUnknown, MarketDataError
from market_data.models import Instrument, InstrumentList, InstrumentListEntry
from market_data.queries import chain_instruments, instruments_by_keys, instruments_by_tokens, listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Names of instruments: tokens, EXCHANGE:SYMBOL keys or aliases, lists, and chains as UNDERLYING:YYYY-MM-DD."""

    tokens: Sequence[int] = ()
    keys: Sequence[str] = ()
    lists: Sequence[str] = ()
    chains: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name nothing goes by: the field it stood in, and the error that says so."""

    name: int | str
    field: str
    error: MarketDataError


@dataclass(frozen=True, slots=True)
class Answer:
    """The instruments of all names, each once, by primary key, and the names that mean none."""

    instruments: dict[int, Instrument]
    unknown: list[Unknown]


def resolve(asked: Asked) -> Answer:
    """Return what is listed of what was named."""
    found: dict[int, Instrument] = {}
    unknown: list[Unknown] = []
    for part in (_by_tokens(asked), _by_keys(asked), _by_lists(asked), _by_chains(asked)):
        for one in part:
            if isinstance(one, Unknown):
                unknown.append(one)
            else:
                found[one.pk] = one
    return Answer(found, unknown)


def resolve_all(asked: Asked) -> list[Instrument]:
    """Return what was named, or raise the error of the first name that means nothing: nothing is half done."""
    answer = resolve(asked)
    if answer.unknown:
        raise answer.unknown[0].error
    return list(answer.instruments.values())


def _by_tokens(asked: Asked) -> Iterator[Instrument | Unknown]:
    rows = instruments_by_tokens(asked.tokens) if asked.tokens else {}
    yield from rows.values()
    for token in asked.tokens:
        if token not in rows:
            yield Unknown(token, "tokens", InstrumentUnknown(f"no listed instrument {token}", field="tokens"))


def _by_keys(asked: Asked) -> Iterator[Instrument | Unknown]:
    rows = instruments_by_keys(asked.keys) if asked.keys else {}
    yield from rows.values()
    for key in asked.keys:
        if key not in rows:
            yield Unknown(key, "symbols", InstrumentUnknown(f"no listed instrument {key[:92]}", field="instruments"))


def _by_lists(asked: Asked) -> Iterator[Instrument | Unknown]:
    known = set(InstrumentList.objects.filter(name__in=asked.lists).values_list("name", flat=True))
    if known:
        entries = InstrumentListEntry.objects.filter(instrument_list__name__in=known)
        yield from listed().filter(pk__in=entries.values("instrument"))
    for name in asked.lists:
        if name not in known:
            yield Unknown(name, "lists", ListUnknown(f"no list {name[:60]}", field="lists"))


def _by_chains(asked: Asked) -> Iterator[Instrument | Unknown]:
    for text in asked.chains:
        name, _, day = text.partition(":")
        rows = chain_instruments(name=name, expiry=date.fromisoformat(day)) if _is_day(day) else []
        yield from rows
        if not rows:
            yield Unknown(text, "chains", ChainUnknown(f"no listed options of {text[:60]}", field="chains"))


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True

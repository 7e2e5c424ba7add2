"""Commands of the tick socket: parsed and judged before anything happens. Pure."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from kite.types import Mode
from market_data.errors import BadCommand

OPERATIONS: Final = ("sub", "unsub", "resume", "ack", "replay", "refresh", "ping")
POSITION_WIDTH: Final = 3
TOKEN_MAX: Final = 2**32
FASTEST_HERTZ: Final = 50.0
LONGEST_NAME: Final = 92


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may do."""

    instruments: int = 500
    message_bytes: int = 64 * 1024
    commands_per_second: float = 20.0
    burst: float = 40.0
    largest_window: int = 1024
    check_seconds: float = 4.0

    def public(self) -> dict[str, object]:
        """Return what a client should know."""
        return {
            "instruments": self.instruments,
            "message_bytes": self.message_bytes,
            "commands_per_second": self.commands_per_second,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One operation of a client."""

    op: str
    id: object = None
    mode: Mode = Mode.QUOTE
    tokens: tuple[int, ...] = ()
    symbols: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    since: tuple[tuple[int, int, int], ...] = ()
    max_hz: float | None = None
    window: int | None = None
    frames: int = 1
    on: bool = True
    ticket: str | None = None


@dataclass(slots=True)
class Allowance:
    """A token bucket for commands."""

    limits: Limits
    left: float = field(init=False)
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.left = self.limits.burst

    def take(self, *, now: float) -> bool:
        """Say whether one more command is allowed now."""
        self.left = min(self.left + (now - self.at) * self.limits.commands_per_second, self.limits.burst)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


def parse(message: Mapping[str, Any], *, limits: Limits) -> Command:
    """Return the command in an ASGI receive event; raises BadCommand."""
    text = message.get("text")
    if text is None:
        raise BadCommand("commands are JSON text, binary came", code="bad_message")
    if len(text) > limits.message_bytes:
        raise BadCommand(f"a message has at most {limits.message_bytes} bytes", code="message_too_large")
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadCommand(f"not JSON: {error}", code="bad_json") from error
    if not isinstance(body, dict):
        raise BadCommand("a command is a JSON object", code="bad_json")
    return _command(body, limits)


def id_of(message: Mapping[str, Any]) -> object:
    """Return the id of a command that could not be parsed, if it has one that can be echoed."""
    try:
        body = orjson.loads(message.get("text") or "null")
    except orjson.JSONDecodeError:
        return None
    found = body.get("id") if isinstance(body, dict) else None
    return found if isinstance(found, int | str) else None


def _command(body: Mapping[str, Any], limits: Limits) -> Command:
    op = body.get("op")
    if op not in OPERATIONS:
        raise BadCommand(f"op was {op!r}, known are {', '.join(OPERATIONS)}", code="unknown_op", field="op")
    command = Command(
        op=op,
        id=body.get("id"),
        mode=_mode(body.get("mode")),
        tokens=_tokens(body.get("tokens", [])),
        symbols=_names(body, "symbols", example="NSE:INFY"),
        lists=_names(body, "lists", example="my-list"),
        chains=_names(body, "chains", example="NIFTY:2026-11-24"),
        since=_since(body),
        max_hz=_number(body, "max_hz", high=FASTEST_HERTZ),
        window=_window(body, limits),
        on=_flag(body, "on"),
        frames=int(_number(body, "n", high=1_000_000) or 1),
        ticket=_ticket(body.get("ticket")),
    )
    if op in {"sub", "unsub"} and not (command.tokens or command.symbols or command.lists or command.chains):
        raise BadCommand("tokens, symbols, lists or chains must name an instrument", code="bad_field", field="tokens")
    return command


def _mode(value: object) -> Mode:
    try:
        return Mode(value if value is not None else Mode.QUOTE)  # type: ignore[arg-type]
    except ValueError as error:
        raise BadCommand(f"mode was {value!r}, known are ltp, quote, full", code="bad_field", field="mode") from error


def _tokens(values: object) -> tuple[int, ...]:
    if not isinstance(values, list):
        raise BadCommand("tokens is a list of numbers", code="bad_field", field="tokens")
    for number, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < TOKEN_MAX:
            raise BadCommand(f"no instrument token: {value!r}", code="bad_field", field=f"tokens[{number}]")
    return tuple(dict.fromkeys(values))


def _names(body: Mapping[str, Any], field: str, *, example: str) -> tuple[str, ...]:
    values = body.get(field, [])
    if not isinstance(values, list):
        raise BadCommand(f'{field} is a list such as ["{example}"]', code="bad_field", field=field)
    for number, value in enumerate(values):
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
            raise BadCommand(f"no name such as {example}: {value!r}", code="bad_field", field=f"{field}[{number}]")
    return tuple(dict.fromkeys(values))


def _since(body: Mapping[str, Any]) -> tuple[tuple[int, int, int], ...]:
    values = body.get("since", body.get("s", []))
    if not isinstance(values, list) or not all(map(_is_position, values)):
        raise BadCommand("since is a list of [shard, epoch, sequence]", code="bad_field", field="since")
    return tuple((shard, epoch, sequence) for shard, epoch, sequence in values)


def _is_position(value: object) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) == POSITION_WIDTH
        and all(isinstance(part, int) and part >= 0 for part in value)
    )


def _number(body: Mapping[str, Any], name: str, *, high: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= high:
        raise BadCommand(f"{name} is above 0 and at most {high:g}", code="bad_field", field=name)
    return float(value)


def _ticket(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BadCommand("ticket is the text of a ticket", code="bad_field", field="ticket")
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, True)
    if not isinstance(value, bool):
        raise BadCommand(f"{name} is true or false", code="bad_field", field=name)
    return value


def _window(body: Mapping[str, Any], limits: Limits) -> int | None:
    value = _number(body, "window", high=limits.largest_window)
    return None if value is None else max(int(value), 1)

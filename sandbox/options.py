"""The command line of the exchange."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

from sandbox.calendar import DATA, parse_holiday, parse_special
from sandbox.clock import IST
from sandbox.fault_command import FORM, describe_faults, parse_fault

EPILOG = """
examples:
  python -m sandbox                                     an open market on 127.0.0.1:8100, three users
  python -m sandbox --credentials-file creds.json       keep the users' keys across restarts (mode 0600)
  python -m sandbox --clock 2026-11-24T15:25:00 --sessions real --speed 5
  python -m sandbox --instruments instruments.csv       start from a real Kite instruments dump
  python -m sandbox --chain nse-chain.json.gz           NIFTY options from a real NSE option chain

  python -m sandbox --fault kind=lost_answer,route=order.place,probability=0.5,from=60,until=180
  python -m sandbox fault --credentials-file creds.json kind=socket_drop,account=SBX001      in one that runs

The exchange speaks Kite Connect v3 (REST and WebSocket) on one port. Its control API is under /_control, its page
at /. sandbox/README.md describes both.

faults:
"""


@dataclass(frozen=True, slots=True)
class Options:
    """How the exchange is started."""

    host: str = "127.0.0.1"
    port: int = 8100
    seed: int = 7
    users: int = 3
    instruments: Path | None = None
    roll_expiries: bool = False
    chain: Path | None = None
    clock: str = "open"
    sessions: str = "always"
    calendar: Path = DATA
    holiday: tuple[dict[str, object], ...] = ()
    special: tuple[dict[str, object], ...] = ()
    speed: float = 1.0
    interval: float = 0.5
    redirect: str = ""
    postback: str = ""
    credentials_file: Path | None = None
    journal: Path | None = None
    state: Path | None = None
    scenario: Path | None = None
    replay: Path | None = None
    fault: tuple[dict[str, object], ...] = ()
    totp: bool = False
    tied: bool = False
    limits: bool = True
    order_ids: int = 19
    cash: float = 10_000_000.0


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="A Kite-compatible exchange: log in, trade and stream against it with any Kite Connect client.",
        epilog=EPILOG + describe_faults(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=int, default=8100, help="port for REST, WebSocket, control and page; 0 picks a free one")
    add("--seed", type=int, default=7, help="prices and faults are reproducible from it (default %(default)s)")
    add("--users", type=int, default=3, help="how many users, each with his own app (default %(default)s)")
    add("--instruments", type=Path, metavar="CSV", help="start from a real Kite instruments dump")
    add(
        "--roll-expiries",
        action="store_true",
        help="move an old dump's expiries by whole weeks, the first to today or after",
    )
    add("--chain", type=Path, metavar="JSON", help="NIFTY options from a real NSE option chain (.json or .json.gz)")
    add("--clock", default="open", help="'open' (09:30 today, default), 'live' (real time) or 2026-11-24T09:30:00, IST")
    add("--sessions", choices=("always", "real"), default="always", help="always open (default), or real hours")
    add("--calendar", type=Path, default=DATA, metavar="JSON", help="holidays and special sessions, in place of ours")
    add(
        "--holiday", type=parse_holiday, action="append", default=[], metavar="[EXCHANGES:]DATE",
        help="a day with no session, e.g. 2026-12-01 or MCX,NCO:2026-12-01; may be repeated",
    )  # fmt: skip
    add(
        "--special", type=parse_special, action="append", default=[], metavar="[EXCHANGES:]DATETHH:MM-HH:MM",
        help="a session out of the ordinary, e.g. NSE,BSE:2026-11-08T18:00-19:00; may be repeated",
    )  # fmt: skip
    add("--speed", type=float, default=1.0, help="how fast the clock runs (default %(default)s)")
    add("--interval", type=float, default=0.5, help="seconds between ticks (default %(default)s)")
    add(
        "--redirect",
        default="",
        metavar="URL",
        help="registered redirect URL of every app; default: a page that shows the token",
    )
    add("--postback", default="", metavar="URL", help="registered postback URL of every app")
    add("--credentials-file", type=Path, metavar="PATH", help="JSON with keys and passwords; reused when it exists")
    add("--journal", type=Path, metavar="PATH", help="also append the journal to this file, a JSON object a line")
    add("--state", type=Path, metavar="PATH", help="keep sessions, orders, positions and GTTs across restarts")
    add("--scenario", type=Path, metavar="JSON", help="run a file of timed control steps after the start")
    add(
        "--replay", type=Path, metavar="FILE",
        help="stream a recording (python -m sandbox record) in place of the market, from the first subscription on",
    )  # fmt: skip
    add(
        "--fault", type=parse_fault, action="append", default=[], metavar="FAULT",
        help=f"start with a fault: {FORM}, seconds from the start; may be repeated",
    )  # fmt: skip
    add("--totp", action="store_true", help="the login page asks for a TOTP code as well")
    add("--tied", action="store_true", help="end when standard input closes, so as not to outlive the starter")
    add("--no-limits", dest="limits", action="store_false", help="do not count rate limits")
    add("--order-ids", type=int, choices=(15, 19), default=19, help="digits of order ids (default %(default)s)")
    add("--cash", type=float, default=10_000_000.0, help="opening cash of every user in rupees (default %(default)s)")
    return result


def parse_options(arguments: list[str] | None = None) -> Options:
    chosen = parser().parse_args(arguments)
    return Options(**vars(chosen))


def start_moment(*, clock: str, now: datetime) -> datetime:
    """Return where the exchange's clock starts; `now` is the real time in IST."""
    if clock == "live":
        return now
    if clock == "open":
        return datetime.combine(now.date(), time(9, 30), tzinfo=IST)
    moment = datetime.fromisoformat(clock)
    return moment.replace(tzinfo=IST) if moment.tzinfo is None else moment.astimezone(IST)

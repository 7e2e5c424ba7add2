"""The whole exchange in one object: built top to bottom, ticked by one loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from sandbox.accounts import Logins, User, load_users, read_control_key
from sandbox.alerts import AlertBook
from sandbox.calendar import change_calendar, read_calendar
from sandbox.chain import NAME as CHAIN_NAME
from sandbox.chain import calibrate, chain_universe, read_chain
from sandbox.clock import Clock, ist_from_epoch
from sandbox.day import TradingDay, place_quietly, seed_holdings
from sandbox.door import Door
from sandbox.dump import read_dump
from sandbox.exchange import Exchange, Holds
from sandbox.faults import Faults
from sandbox.gtt import GttBook, Leg
from sandbox.instruments import Instrument, dump_csv
from sandbox.journal import Journal
from sandbox.ledger import Account
from sandbox.limits import Limits
from sandbox.market import Market
from sandbox.mutual_funds import FundBook
from sandbox.options import Options, start_moment
from sandbox.orders import Ids, Order, Status, update_row
from sandbox.postbacks import Postbacks
from sandbox.prices import Model
from sandbox.quotes import quote_row
from sandbox.sessions import Sessions, turns_between
from sandbox.settings import Settings
from sandbox.stream import Streamer
from sandbox.universe import Universe, build_universe

SQUARE_OFF_STEPS = 900


class Site:
    """Owns every part; handlers reach the exchange through it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.settings = Settings(limits=options.limits)
        self.sessions = Sessions(always=options.sessions == "always", calendar=read_calendar(options.calendar))
        for row in (*options.holiday, *options.special):
            change_calendar(self.sessions.calendar, row)
        start = start_moment(clock=options.clock, now=ist_from_epoch(time.time()))
        self.clock = Clock(start=start, speed=options.speed)
        self.universe = self._universe(start.date())
        self.model = Model(universe=self.universe, seed=options.seed)
        if options.chain is not None:
            calibrate(self.model, epoch=start.timestamp())
        self.market = Market(universe=self.universe, model=self.model, seed=options.seed, epoch=start.timestamp())
        self.faults = Faults(seed=options.seed)
        self.journal = Journal(path=options.journal)
        self.limits = Limits(settings=self.settings, seed=options.seed)
        users = load_users(path=options.credentials_file, count=options.users, totp=options.totp)
        self.logins = Logins(users=users)
        self.control_key = read_control_key(options.credentials_file)
        self.streamer = Streamer(market=self.market, faults=self.faults, settings=self.settings)
        self.postbacks = Postbacks(url=options.postback, settings=self.settings, seed=options.seed)
        self.exchange = self._exchange(users)
        self.trading_day = TradingDay(exchange=self.exchange)
        self.gtts = GttBook(place_leg=self._place_leg)
        self.alerts = self._alert_book()
        self.funds = FundBook()
        self.http_root = ""
        self.door: Door | None = None
        self.day = start.date()
        self._hurrying = False
        self._shown_open: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._csv: dict[tuple[str, date], bytes] = {}
        self.dump_changes: dict[str, Instrument | None] = {}

    def _universe(self, today: date) -> Universe:
        path, chain = self.options.instruments, self.options.chain
        if path is None:
            base = build_universe(today=today, sessions=self.sessions)
        else:
            base = read_dump(path, first_expiry=today if self.options.roll_expiries else None)
        return base if chain is None else chain_universe(base, read_chain(chain, today=today))

    def _exchange(self, users: list[User]) -> Exchange:
        exchange = Exchange(
            clock=self.clock, sessions=self.sessions, market=self.market, settings=self.settings,
            later=self._later,
            ids=Ids(digits=self.options.order_ids),
        )  # fmt: skip
        exchange.accounts = {user.user_id: Account(user) for user in users}
        for position, account in enumerate(exchange.accounts.values()):
            account.cash["equity"] = self.options.cash
            seed_holdings(account=account, instruments=self.universe.instruments, position=position)
        exchange.holds = Holds(
            is_stuck=lambda order: self.faults.holds("stuck_validation", user=order.user_id) is not None,
            refuses_cancel=lambda order: self.faults.take("cancel_refused", user=order.user_id) is not None,
        )
        exchange.listeners.append(self._tell)
        return exchange

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        """Act after a while; at once while time is being jumped over."""
        if self._hurrying:
            action()
        else:
            asyncio.get_running_loop().call_later(delay, action)

    def jump(self, moment: datetime) -> None:
        """Set the clock, passing through everything that falls due on the way."""
        self._hurrying = True
        for turn in turns_between(self.sessions, start=self.clock.now(), end=moment):
            self.clock.jump(turn)
            self.tick()
            self._finish_squaring(until=moment)
        self._hurrying = False
        self.clock.jump(moment)
        self.tick()

    def _finish_squaring(self, *, until: datetime) -> None:
        """Let the market run, a second a step, until no intraday position is left."""
        for _ in range(SQUARE_OFF_STEPS):
            if not self.trading_day.is_squaring() or self.clock.now() >= until:
                return
            self.clock.advance(1.0)
            self.tick()

    def _place_leg(self, user_id: str, leg: Leg) -> str:
        form = {name: str(value) for name, value in leg.row().items() if name != "result"}
        return place_quietly(exchange=self.exchange, account=self.exchange.accounts[user_id], form=form)

    def _place_item(self, user_id: str, item: dict[str, object]) -> str:
        given = item.get("params")
        form = {name: str(value) for name, value in given.items() if value} if isinstance(given, dict) else {}
        form |= {name: str(item.get(name, "")) for name in ("exchange", "tradingsymbol")}
        return place_quietly(exchange=self.exchange, account=self.exchange.accounts[user_id], form=form)

    def _alert_book(self) -> AlertBook:
        return AlertBook(
            find_row=self._alert_row, last_price=self.market.last_price,
            token_of=lambda row: self.universe.instruments[row].token,
            quote_of=lambda row: quote_row(self.market, row), place_item=self._place_item,
        )  # fmt: skip

    def _alert_row(self, exchange: str, tradingsymbol: str) -> int | None:
        """Return the row of an alert's instrument; INDICES stands for the exchange of any index."""
        for name in ("NSE", "BSE") if exchange == "INDICES" else (exchange,):
            row = self.universe.by_key.get(f"{name}:{tradingsymbol}")
            if row is not None:
                return row
        return None

    def _tell(self, order: Order, status: Status | None) -> None:
        user = self.exchange.accounts[order.user_id].user
        row = update_row(order, app_id=user.app_id, status=status, checksum="")
        self.streamer.tell_order(user_id=order.user_id, row=row)
        self.postbacks.tell(order=order, status=status, user=user)

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run something beside the requests; it ends with the exchange."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        """Tick until cancelled."""
        interval = self.options.interval
        due = time.monotonic()
        while True:
            due = max(due + interval, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            self.reap_sessions()
            if not self.clock.paused:
                self.tick()

    def tick(self) -> None:
        """Advance the market by one interval and let everything that depends on it follow."""
        now = self.clock.now()
        if now.date() != self.day:
            self.roll_day(now)
        self.trading_day.watch(now)
        if self.trading_day.open_exchanges != self._shown_open:
            self._shown_open = set(self.trading_day.open_exchanges)
            self.market.open_only(self._shown_open)
        rows = self.market.step(epoch=now.timestamp(), seconds=self.options.interval * self.clock.speed)
        self.settle(rows)

    def settle(self, rows: NDArray[np.int64]) -> None:
        """Match, then publish what ticked and what the users' trades touched."""
        self.exchange.on_tick(set(rows.tolist()))
        now = self.clock.now()
        self.exchange.expire(now)
        self.gtts.watch(last_price=self.market.last_price, now=now, trades=lambda row: bool(self.market.trading[row]))
        self.alerts.watch(now=now)
        touched = np.array(sorted(self.exchange.touched), dtype=np.int64)
        self.exchange.touched.clear()
        self.streamer.broadcast(np.union1d(rows, touched))

    def roll_day(self, now: datetime) -> None:
        """Start a new trading day."""
        self.day = now.date()
        self.market.epoch = now.timestamp()
        self.trading_day.roll()
        self._list_contracts()
        self.market.roll_day(opens=self.sessions.always)

    def _list_contracts(self) -> None:
        """List the contracts that the new date brings; a real dump stays as it is."""
        if self.options.instruments is not None:
            return
        fresh = build_universe(today=self.day, sessions=self.sessions).instruments
        if self.options.chain is not None:
            fresh = [one for one in fresh if one.name != CHAIN_NAME]
        if self.universe.list_new(fresh):
            self.model.extend()
            self.market.extend()
            self.streamer.extend()
            self._shown_open = set()

    def reap_sessions(self) -> None:
        """Close sockets whose session has died, at 06:00 or by a newer login."""
        if not self.settings.sockets_die_with_session:
            return
        now = self.clock.now()
        for connection in list(self.streamer.connections):
            user_id = connection.user.user_id
            if not self.logins.alive(user_id=user_id, access_token=connection.access_token, now=now):
                self.streamer.end(connection, code=1000, reason=b"session ended")

    def instruments_csv(self, exchange: str) -> bytes:
        """Return the day's dump: expired contracts are gone, changes made by hand are in."""
        key = (exchange, self.day)
        if key not in self._csv:
            rows = [self.dump_changes.get(row.key, row) for row in self.universe.instruments]
            alive = [row for row in rows if row is not None and (row.expiry is None or row.expiry >= self.day)]
            self._csv[key] = dump_csv(row for row in alive if exchange in {"", row.exchange})
        return self._csv[key]

    def change_dump(self, changes: dict[str, dict[str, object]]) -> int:
        """Publish other fields for some instruments from now on; `{"removed": true}` leaves one out."""
        for key, fields in changes.items():
            row = self.universe.instruments[self.universe.by_key[key]]
            changed = replace(
                row, **{name: type(getattr(row, name))(value) for name, value in fields.items() if name != "removed"}
            )
            self.dump_changes[key] = None if fields.get("removed") else changed
        self._csv.clear()
        return len(self.dump_changes)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        self.streamer.drop(user_id=None, code=1001)
        await self.postbacks.stop()
        self.journal.stop()

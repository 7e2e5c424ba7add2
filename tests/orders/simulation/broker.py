"""A model of the broker: it accepts or not, answers or not, shows late, fills in parts, and forgets nothing."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from kite.answers import Positions
from kite.errors import Evidence, KiteError, OutcomeUnknown, Refused, Throttled, Unavailable
from kite.types import Login, OrderRequest, OrderRow, TradeRow
from tests.orders.factories import order_row, trade_row
from tests.orders.simulation.clock import Killed, VirtualClock

BEFORE_THE_WRITE = "before the write"
NOWHERE = Evidence(method="POST", path="/orders/regular")
# What becomes of a request to place: its weight, whether the order is accepted, and what comes back.
Answer = type[KiteError] | type[Killed] | None
FATES: tuple[tuple[int, str, bool, Answer], ...] = (
    (42, "accepted", True, None),
    (10, "answer lost", True, OutcomeUnknown),
    (6, "5xx although accepted", True, OutcomeUnknown),
    (8, "5xx and not accepted", False, OutcomeUnknown),
    (5, "refused", False, Refused),
    (7, "429", False, Throttled),
    (4, "429 although accepted", True, Throttled),
    (6, "connection refused", False, Unavailable),
    (6, "killed before the write", False, Killed),
    (6, "killed after the write", True, Killed),
)
LAGS: tuple[tuple[int, float, float], ...] = ((60, 0, 0), (18, 0, 5), (10, 5, 40), (10, 40, 83), (2, 185, 600))
# A broker that loses answers is the one whose book lags.
LAGS_IN_TROUBLE = ((20, 0, 0), (15, 0, 5), (20, 5, 40), (40, 40, 83), (5, 185, 600))
Pause = Callable[[str], None]


@dataclass(slots=True)
class Held:
    """An order that the broker accepted."""

    order_id: str
    account_id: str
    tag: str
    quantity: int
    price: Decimal
    accepted_at: float
    visible_at: float
    status: str = "OPEN"
    filled: int = 0
    trades: list[TradeRow] = field(default_factory=list)

    @property
    def lag(self) -> float:
        return self.visible_at - self.accepted_at


@dataclass(slots=True)
class Broker:
    """The exchange of one seed; `calm` takes every fault away."""

    dice: random.Random
    clock: VirtualClock
    pause: Pause
    sent: Callable[[str], None]
    held: dict[str, Held] = field(default_factory=dict)
    news: list[tuple[str, OrderRow]] = field(default_factory=list)
    calm: bool = False

    def place(self, login: Login, request: OrderRequest) -> str:
        """Accept or not, answer or not."""
        self.pause(BEFORE_THE_WRITE)
        self.sent(request.tag)
        name, accepted, answer = self._fate()
        order_id = self._accept(login, request, at_once="429" in name, trouble=answer is not None) if accepted else ""
        self.pause("after the write")
        if answer is Killed:
            raise Killed
        if answer is not None:
            raise answer(name, evidence=NOWHERE)  # type: ignore[call-arg]
        return order_id

    def cancel(self, order_id: str) -> None:
        """Cancel what is open; say no to the rest."""
        held = self.held[order_id]
        if held.status != "OPEN":
            raise Refused("it is not open", evidence=NOWHERE)
        lost = not self.calm and self.dice.random() < 0.2
        if not lost or self.dice.random() < 0.5:
            held.status = "CANCELLED"
            self._tell(held)
        if lost:
            raise OutcomeUnknown("no answer", evidence=NOWHERE)

    def book(self, login: Login) -> list[OrderRow]:
        """Return what is visible by now."""
        self._may_fail()
        return [row_of(held, self.clock) for held in self._visible(login)]

    def executions(self, login: Login) -> list[TradeRow]:
        """Return the trades of what is visible by now."""
        self._may_fail()
        return [trade for held in self._visible(login) for trade in held.trades]

    def trade(self) -> None:
        """Fill a part of an open order, or end it."""
        live = [held for held in self.held.values() if held.status == "OPEN"]
        if not live:
            return
        held = self.dice.choice(live)
        if self.dice.random() < 0.2:
            held.status = "CANCELLED"
        else:
            self._fill(held, self.dice.randint(1, held.quantity - held.filled))
        self._tell(held)

    def _fill(self, held: Held, quantity: int) -> None:
        held.filled += quantity
        number = f"{held.order_id}-{len(held.trades) + 1}"
        held.trades.append(
            trade_row(held.order_id, number, quantity=quantity, average_price=held.price, filled_at=self.clock.at())
        )
        if held.filled == held.quantity:
            held.status = "COMPLETE"

    def _fate(self) -> tuple[str, bool, Answer]:
        if self.calm:
            return "accepted", True, None
        weights = [weight for weight, *_ in FATES]
        _, name, accepted, answer = self.dice.choices(FATES, weights)[0]
        return name, accepted, answer

    def _accept(self, login: Login, request: OrderRequest, *, at_once: bool, trouble: bool) -> str:
        order_id = f"B{len(self.held) + 1:06}"
        lags = LAGS_IN_TROUBLE if trouble else LAGS
        _, low, high = self.dice.choices(lags, [weight for weight, *_ in lags])[0]
        lag = 0.0 if at_once or self.calm else self.dice.uniform(low, high)
        held = Held(
            order_id=order_id,
            account_id=login.account_id,
            tag=request.tag,
            quantity=request.quantity,
            price=request.price or Decimal(0),
            accepted_at=self.clock.seconds,
            visible_at=self.clock.seconds + lag,
        )
        self.held[order_id] = held
        if lag == 0:
            self._tell(held)
        return order_id

    def _tell(self, held: Held) -> None:
        """Send the news over the socket: half is lost, some comes twice, all in any order."""
        if held.visible_at > self.clock.seconds:
            return
        copies = self.dice.choice((0, 0, 1, 2))
        self.news += [(held.account_id, row_of(held, self.clock))] * copies

    def _visible(self, login: Login) -> list[Held]:
        mine = (held for held in self.held.values() if held.account_id == login.account_id)
        return [held for held in mine if held.visible_at <= self.clock.seconds]

    def _may_fail(self) -> None:
        self.pause("before the book")
        if not self.calm and self.dice.random() < 0.1:
            raise Unavailable("no answer to a read", evidence=NOWHERE)


@dataclass(frozen=True, slots=True)
class Client:
    """One account's way to the broker."""

    broker: Broker
    login: Login

    def place_order(self, request: OrderRequest) -> str:
        return self.broker.place(self.login, request)

    def cancel_order(self, _variety: str, order_id: str, *, parent_order_id: str | None = None) -> None:
        self.broker.cancel(order_id)

    def orders(self) -> list[OrderRow]:
        return self.broker.book(self.login)

    def trades(self) -> list[TradeRow]:
        return self.broker.executions(self.login)

    def positions(self) -> Positions:
        return Positions(net=(), day=())


@dataclass(frozen=True, slots=True)
class ModelSessions:
    """The sessions of a worker of the simulation."""

    broker: Broker

    def client(self, login: Login) -> Client:
        return Client(self.broker, login)

    def seconds_until_orders(self, _login: Login) -> float | None:
        """The model's accounts never rest."""
        return None


def row_of(held: Held, clock: VirtualClock) -> OrderRow:
    """Return the order as the book shows it now; Kite's times have whole seconds."""
    at = clock.at().replace(microsecond=0)
    ended = held.status in {"CANCELLED", "COMPLETE"}
    return order_row(
        held.order_id,
        status=held.status,
        tag=held.tag,
        quantity=held.quantity,
        price=held.price,
        filled_quantity=held.filled,
        pending_quantity=0 if ended else held.quantity - held.filled,
        cancelled_quantity=held.quantity - held.filled if held.status == "CANCELLED" else 0,
        average_price=held.price if held.filled else Decimal(0),
        order_at=at,
        exchange_update_at=at,
    )

"""What an account has at stake: positions, exposure, bands, hours, orphans, on both sides of each bound."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as django_settings
from redis import Redis

from accounts.models import Credential
from market_data.batches import Batch, BatchKind
from market_data.bus import sync_bus
from market_data.models import Instrument
from orders import claims, hours, letters, pricing, reconciliation, risk, tasks
from orders.clock import trading_day
from orders.errors import MarginUnavailable, OrderUnknown
from orders.models import Order, OrderBudget, RiskLimit
from orders.objections import Margin, Market
from orders.queries import Exposure, Stake, stake_of
from orders.states import State
from orders.tags import Tag, encode, installation_code
from tests.factories import BrokerAccountFactory
from tests.market_data.factories import InstrumentFactory, ticks
from tests.orders.conftest import Desk
from tests.orders.factories import OrderFactory, order_row
from tests.orders.test_risk import code_of
from tests.orders.threads import at_once

BAND = (Decimal(900), Decimal(1100))
MARKET_ORDER = {"order_type": "MARKET", "price": None, "market_protection": Decimal(-1)}


def stake(net: int = 0, same_side: int = 0, value: int = 0) -> Stake:
    return Stake(net_quantity=net, same_side=same_side, underlying="INFY", underlying_value=Decimal(value))


def orphans(count: int) -> Exposure:
    return Exposure(open_orders=0, day_notional=Decimal(0), orphans=count)


POSITION = risk.Bounds(max_position=100)
EXPOSURE = risk.Bounds(max_exposure=Decimal(100_000))
MARGIN = risk.Bounds(max_margin_percent=Decimal(25))
BOUNDARIES: list[tuple[str, tuple[dict[str, Any], dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]] = [
    ("ORPHANS_UNEXPLAINED", ({}, {"exposure": orphans(0)}), ({}, {"exposure": orphans(1)})),
    ("MARKET_CLOSED", ({}, {"market": Market.OPEN}), ({}, {"market": Market.CLOSED})),
    (
        "MARKET_CLOSED",
        ({}, {"market": Market.COLLECTING}),
        ({"variety": "iceberg", "iceberg_quantity": 5}, {"market": Market.COLLECTING}),
    ),
    ("AMO_IN_SESSION", ({"variety": "amo"}, {"market": Market.CLOSED}), ({"variety": "amo"}, {"market": Market.OPEN})),
    ("PRICE_BAND", ({"price": Decimal(900)}, {"band": BAND}), ({"price": Decimal("899.95")}, {"band": BAND})),
    (
        "PRICE_BAND",
        ({"price": Decimal(1100)}, {"band": BAND, "last_price": Decimal(1090)}),
        ({"price": Decimal("1100.05")}, {"band": BAND, "last_price": Decimal(1090)}),
    ),
    (
        "POSITION_LIMIT",
        ({"quantity": 40}, {"bounds": POSITION, "stake": stake(50, 10)}),
        ({"quantity": 41}, {"bounds": POSITION, "stake": stake(50, 10)}),
    ),
    (
        "POSITION_LIMIT",
        ({"quantity": 150, "transaction_type": "SELL"}, {"bounds": POSITION, "stake": stake(50)}),
        ({"quantity": 151, "transaction_type": "SELL"}, {"bounds": POSITION, "stake": stake(50)}),
    ),
    (
        "EXPOSURE_LIMIT",
        ({"notional": Decimal(10_000)}, {"bounds": EXPOSURE, "stake": stake(value=90_000)}),
        ({"notional": Decimal(10_000)}, {"bounds": EXPOSURE, "stake": stake(value=90_001)}),
    ),
    (
        "MARGIN_LIMIT",
        ({}, {"bounds": MARGIN, "margin": Margin(Decimal(50), Decimal(200))}),
        ({}, {"bounds": MARGIN, "margin": Margin(Decimal("50.01"), Decimal(200))}),
    ),
]


@pytest.mark.proof(id="R16")
@pytest.mark.parametrize(("code", "inside", "outside"), BOUNDARIES)
def test_a_check_denies_only_beyond_its_bound(
    code: str, inside: tuple[dict[str, Any], dict[str, Any]], outside: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    assert code_of(*inside) is None
    assert code_of(*outside) == code


def test_an_unbounded_account_is_not_asked_for_its_stake(desk: Desk) -> None:
    order = OrderFactory(account=desk.account)

    assert claims.standing_of(order, now=datetime.now(UTC)).stake is None


def test_the_stake_counts_fills_and_what_may_still_fill(desk: Desk) -> None:
    fields = {"account": desk.account, "price": Decimal(100)}
    OrderFactory(**fields, at_broker=True, state=State.COMPLETE, filled_quantity=10, average_price=100)
    OrderFactory(
        **fields, at_broker=True, state=State.COMPLETE, filled_quantity=4, average_price=110, transaction_type="SELL"
    )
    OrderFactory(**fields, at_broker=True, state=State.PARTIAL, filled_quantity=3, average_price=100)
    OrderFactory(**fields, state=State.UNKNOWN, unknown_since=datetime.now(UTC), next_look_at=datetime.now(UTC))
    OrderFactory(**fields, state=State.DENIED)
    order = OrderFactory(account=desk.account)

    found = stake_of(order=order, day=trading_day(datetime.now(UTC)))

    assert (found.net_quantity, found.same_side) == (10 - 4 + 3, 7 + 10)
    assert found.underlying_value == 1000 - 440 + 300 + 700 + 1000


def test_derivatives_count_for_their_underlying(desk: Desk) -> None:
    future = InstrumentFactory(
        exchange="NFO", tradingsymbol="INFY26NOVFUT", name="INFY", instrument_type="FUT", segment="NFO-FUT"
    )
    OrderFactory(
        account=desk.account,
        exchange="NFO",
        tradingsymbol=future.tradingsymbol,
        at_broker=True,
        state=State.OPEN,
        quantity=5,
        price=Decimal(100),
    )
    order = OrderFactory(account=desk.account)

    found = stake_of(order=order, day=trading_day(datetime.now(UTC)))

    assert (found.underlying, found.underlying_value) == ("INFY", 500)
    assert found.net_quantity == 0


@pytest.mark.parametrize("scope", ["account", "strategy", "symbol"])
def test_a_bound_holds_for_its_scope(desk: Desk, scope: str) -> None:
    named: dict[str, dict[str, Any]] = {
        "account": {"account": desk.account},
        "strategy": {"strategy": "carry"},
        "symbol": {"exchange": "NSE", "tradingsymbol": "INFY"},
    }
    RiskLimit.objects.create(max_position=2, **named[scope])

    inside = desk.place(quantity=2, strategy="carry")
    desk.submit(inside)
    outside = desk.place(quantity=1, strategy="carry")

    assert inside.state == State.ACKED
    assert (outside.state, outside.reason_code) == (State.DENIED, "POSITION_LIMIT")


@pytest.mark.proof(id="R16")
def test_sixty_four_claims_at_once_against_a_position_of_ten_admit_ten(desk: Desk) -> None:
    RiskLimit.objects.create(account=desk.account, max_position=10, max_open_orders=1000)
    OrderBudget.objects.create(account=desk.account, per_second=10, burst=10)
    later = datetime.now(UTC) + timedelta(hours=1)
    orders = [OrderFactory(account=desk.account, number=number, quantity=1, deadline_at=later) for number in range(64)]

    def carry(number: int) -> None:
        while isinstance(claims.claim(order_id=orders[number].pk, clock=desk.clock), claims.Later):
            pass

    at_once(carry, count=64, threads=16)

    states = list(Order.objects.filter(account=desk.account).values_list("state", flat=True))
    assert (states.count(State.CLAIMED), states.count(State.DENIED)) == (10, 54)
    assert set(Order.objects.filter(state=State.DENIED).values_list("reason_code", flat=True)) == {"POSITION_LIMIT"}


def test_the_days_limits_come_with_the_quote(desk: Desk) -> None:
    price = pricing.last_price(
        instrument=desk.instrument, account_id=desk.account.pk, sessions=desk.sessions, now=datetime.now(UTC)
    )
    again = pricing.known_price(instrument=desk.instrument, now=datetime.now(UTC))

    assert price.band is not None
    assert price.band[0] < price.rupees < price.band[1]
    assert again is not None
    assert again.band == price.band


def test_a_price_beyond_the_days_limits_stays_at_home(desk: Desk) -> None:
    low = desk.sandbox.book("NSE:INFY")["lower_circuit_limit"]

    order = desk.place(order_type="LIMIT", price=Decimal(str(low)) - Decimal("0.1"))

    assert (order.state, order.reason_code) == (State.DENIED, "PRICE_BAND")
    assert desk.placed == []


TUESDAY = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("exchange", "utc", "market"),
    [
        ("NSE", "03:29", Market.CLOSED),
        ("NSE", "03:30", Market.COLLECTING),
        ("NSE", "03:45", Market.OPEN),
        ("NSE", "09:59", Market.OPEN),
        ("NSE", "10:00", Market.CLOSED),
        ("NFO", "03:30", Market.CLOSED),
        ("MCX", "16:00", Market.OPEN),
    ],
)
@pytest.mark.django_db
def test_the_calendar_says_what_an_exchange_does(settings: Any, exchange: str, utc: str, market: Market) -> None:
    settings.CHECK_MARKET_HOURS = True
    hour, minute = map(int, utc.split(":"))

    assert hours.market_at(exchange=exchange, at=TUESDAY.replace(hour=hour, minute=minute)) is market


@pytest.mark.django_db
def test_a_sunday_is_closed(settings: Any) -> None:
    settings.CHECK_MARKET_HOURS = True

    assert hours.market_at(exchange="NSE", at=datetime(2026, 11, 22, 5, 0, tzinfo=UTC)) is Market.CLOSED


def test_an_exchange_with_hours_of_its_own_is_not_checked(settings: Any) -> None:
    settings.CHECK_MARKET_HOURS = False

    assert hours.market_at(exchange="NSE", at=TUESDAY) is Market.UNCHECKED


def orphan(desk: Desk, settings: Any) -> Order:
    tag = encode(Tag(installation=installation_code(settings.INSTALLATION_ID), number=7, attempt=1))
    row = order_row("2611240099", tag=tag)
    return reconciliation.hear(account_id=desk.account.pk, row=row, now=datetime.now(UTC), source="book")


def test_an_orphan_blocks_its_account_until_somebody_acknowledges_it(desk: Desk, settings: Any) -> None:
    found = orphan(desk, settings)
    blocked = desk.place()

    letters.acknowledge(principal=desk.principal, order_id=found.pk, reason="restored", now=datetime.now(UTC))
    free = desk.place()

    assert (blocked.state, blocked.reason_code) == (State.DENIED, "ORPHANS_UNEXPLAINED")
    assert free.state == State.READY


def test_only_an_orphan_is_acknowledged(desk: Desk) -> None:
    order = desk.place()

    with pytest.raises(OrderUnknown):
        letters.acknowledge(principal=desk.principal, order_id=order.pk, reason="x", now=datetime.now(UTC))


def test_a_waiting_order_is_stopped_by_an_orphan_too(desk: Desk, settings: Any) -> None:
    order = desk.place()
    orphan(desk, settings)

    desk.submit(order)

    assert (order.state, order.reason_code) == (State.DENIED, "ORPHANS_UNEXPLAINED")


def test_a_frozen_quantity_says_how_to_be_cut(desk: Desk) -> None:
    Instrument.objects.filter(pk=desk.instrument.pk).update(freeze_quantity=4)

    order = desk.place(quantity=5)

    assert order.reason_code == "FREEZE_QUANTITY"
    assert "autoslice" in order.reason


def stream(desk: Desk) -> None:
    """Publish the instrument's last price as the feed does, to a process that has not looked for it before."""
    sync_bus.cache_clear()
    rows = ticks({desk.instrument.instrument_token: desk.last_price}, received_at=time.time())
    snapshot = Batch(
        kind=BatchKind.SNAPSHOT, shard=0, epoch=1, from_sequence=0, to_sequence=1, published_us=1, rows=rows
    )
    Redis.from_url(django_settings.REDIS_URL, socket_timeout=5).set("lvc:0", snapshot.pack())


def test_the_limits_of_a_streamed_instrument_are_learned_beside_the_order(desk: Desk) -> None:
    stream(desk)
    low = Decimal(str(desk.sandbox.book("NSE:INFY")["lower_circuit_limit"]))
    first = desk.place(order_type="LIMIT", price=low - Decimal("0.1"))
    calls = len(desk.sandbox.journal(since=desk.since, route="quote.full"))

    tasks.learn_limits(str(desk.account.pk), desk.instrument.pk)
    stream(desk)
    second = desk.place(order_type="LIMIT", price=low - Decimal("0.1"))

    assert (first.state, calls) == (State.READY, 0)
    assert (second.state, second.reason_code) == (State.DENIED, "PRICE_BAND")


def test_an_order_that_would_take_too_much_margin_stays_at_home(desk: Desk) -> None:
    RiskLimit.objects.create(account=desk.account, max_margin_percent=Decimal("0.01"))

    order = desk.place(quantity=100)

    assert (order.state, order.reason_code) == (State.DENIED, "MARGIN_LIMIT")
    assert desk.placed == []


def test_an_order_within_the_margin_goes_and_asks_what_is_available_once(desk: Desk) -> None:
    RiskLimit.objects.create(account=desk.account, max_margin_percent=100)

    orders = [desk.place(), desk.place()]

    asked = [entry["route"] for entry in desk.sandbox.journal(since=desk.since)]
    assert [order.state for order in orders] == [State.READY, State.READY]
    assert (asked.count("margins.orders"), asked.count("user.margins")) == (2, 1)


def test_a_margin_nobody_can_tell_lets_no_limited_order_in(desk: Desk) -> None:
    RiskLimit.objects.create(account=desk.account, max_margin_percent=100)
    Credential.objects.filter(account=desk.account).update(access_token=None, token_expires_at=None)

    with pytest.raises(MarginUnavailable):
        desk.place(order_type="LIMIT", price=Decimal(1500))

    assert not Order.objects.exists()


def test_an_order_without_a_limit_on_margin_asks_for_none(desk: Desk) -> None:
    RiskLimit.objects.create(account=BrokerAccountFactory(), max_margin_percent=1)

    desk.place()

    assert "margins.orders" not in {entry["route"] for entry in desk.sandbox.journal(since=desk.since)}

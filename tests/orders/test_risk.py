"""Every check before the wire, on both sides of its bound."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import BrokerAccount, TradingHalt
from market_data.models import Instrument
from orders import claims, risk
from orders.models import Order, OrderBudget, RiskLimit
from orders.queries import Exposure, risk_limits
from orders.states import State
from tests.factories import BrokerAccountFactory
from tests.orders.conftest import Desk
from tests.orders.factories import OrderFactory
from tests.orders.threads import at_once
from tests.proving import Numbers

DAY = date(2026, 11, 24)
CREATED = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
SHARE = {"exchange": "NSE", "tradingsymbol": "INFY", "instrument_type": "EQ", "segment": "NSE"}
OPTION = {"exchange": "NFO", "tradingsymbol": "NIFTY26DEC24000CE", "instrument_type": "CE", "segment": "NFO-OPT"}


def order_of(**values: Any) -> Order:
    fields: dict[str, Any] = {
        "account": BrokerAccount(label="main"),
        "created_at": CREATED,
        "quantity": 10,
        "price": Decimal(1000),
        "notional": Decimal(10_000),
    }
    order: Order = OrderFactory.build(**{**fields, **values})
    return order


def facts_of(**values: Any) -> risk.Facts:
    instrument = {"lot_size": 1, "tick_size": Decimal("0.05"), "listed": True, **SHARE, **values.pop("instrument", {})}
    fields: dict[str, Any] = {
        "account": BrokerAccount(label="main"),
        "halts": (),
        "bounds": risk.Bounds(),
        "exposure": Exposure(open_orders=0, day_notional=Decimal(0)),
        "last_price": Decimal(1000),
    }
    return risk.Facts(instrument=Instrument(**instrument), **{**fields, **values})


def code_of(order: dict[str, Any], facts: dict[str, Any]) -> str | None:
    denial = risk.denial_at_intake(order=order_of(**order), facts=facts_of(**facts))
    return denial.code if denial else None


def halted(level: str = "halted", scope: str = "platform", target: str = "") -> TradingHalt:
    return TradingHalt(scope=scope, target=target, level=level, reason="drill", engaged_by="ops")


def exposed(open_orders: int = 0, day_notional: int = 0, rejections: int = 0) -> Exposure:
    return Exposure(open_orders=open_orders, day_notional=Decimal(day_notional), rejections=rejections)


BOUNDARIES: list[tuple[str, tuple[dict[str, Any], dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]] = [
    ("TRADING_HALTED", ({}, {"halts": (halted("reducing"),)}), ({}, {"halts": (halted(),)})),
    ("ACCOUNT_PLACES_NO_ORDERS", ({}, {}), ({}, {"account": BrokerAccount(label="main", places_orders=False)})),
    (
        "ACCOUNT_CLOSED",
        ({}, {"account": BrokerAccount(label="main", state="degraded")}),
        ({}, {"account": BrokerAccount(label="main", state="cordoned")}),
    ),
    ("REPEATED_REJECTIONS", ({}, {"exposure": exposed(rejections=4)}), ({}, {"exposure": exposed(rejections=5)})),
    ("INSTRUMENT_NOT_TRADABLE", ({}, {}), ({}, {"instrument": {"segment": "INDICES"}})),
    ("INSTRUMENT_NOT_LISTED", ({}, {}), ({}, {"instrument": {"listed": False}})),
    (
        "INSTRUMENT_EXPIRED",
        ({}, {"instrument": {"expiry": DAY}}),
        ({}, {"instrument": {"expiry": DAY - timedelta(days=1)}}),
    ),
    (
        "PRODUCT_NOT_ALLOWED",
        ({"exchange": "NFO", "product": "NRML"}, {"instrument": OPTION}),
        ({"exchange": "NFO", "product": "CNC"}, {"instrument": OPTION}),
    ),
    ("PRODUCT_NOT_ALLOWED", ({"product": "MIS"}, {}), ({"product": "NRML"}, {})),
    (
        "LOT_MULTIPLE",
        ({"quantity": 130}, {"instrument": {"lot_size": 65}}),
        ({"quantity": 131}, {"instrument": {"lot_size": 65}}),
    ),
    (
        "QUANTITY_LIMIT",
        ({"quantity": 100}, {"bounds": risk.Bounds(max_quantity=100)}),
        ({"quantity": 101}, {"bounds": risk.Bounds(max_quantity=100)}),
    ),
    (
        "FREEZE_QUANTITY",
        ({"quantity": 1800}, {"instrument": {"freeze_quantity": 1800}}),
        ({"quantity": 1801}, {"instrument": {"freeze_quantity": 1800}}),
    ),
    ("DISCLOSED_QUANTITY", ({"disclosed_quantity": 10}, {}), ({"disclosed_quantity": 11}, {})),
    ("TICK_MULTIPLE", ({"price": Decimal("1000.05")}, {}), ({"price": Decimal("1000.03")}, {})),
    (
        "TICK_MULTIPLE",
        ({"order_type": "SL", "price": Decimal(1000), "trigger_price": Decimal("999.95")}, {}),
        ({"order_type": "SL", "price": Decimal(1000), "trigger_price": Decimal("999.97")}, {}),
    ),
    (
        "TRIGGER_SIDE",
        ({"order_type": "SL", "price": Decimal(1000), "trigger_price": Decimal(1000)}, {}),
        ({"order_type": "SL", "price": Decimal(1000), "trigger_price": Decimal("1000.05")}, {}),
    ),
    (
        "TRIGGER_SIDE",
        ({"order_type": "SL", "transaction_type": "SELL", "price": Decimal(990), "trigger_price": Decimal(990)}, {}),
        ({"order_type": "SL", "transaction_type": "SELL", "price": Decimal(991), "trigger_price": Decimal(990)}, {}),
    ),
    (
        "MARKET_PROTECTION_REQUIRED",
        ({"order_type": "MARKET", "price": None, "market_protection": Decimal(-1)}, {}),
        ({"order_type": "MARKET", "price": None, "market_protection": Decimal(0)}, {}),
    ),
    (
        "MCX_IOC",
        ({"exchange": "MCX", "product": "NRML", "validity": "DAY"}, {}),
        ({"exchange": "MCX", "product": "NRML", "validity": "IOC"}, {}),
    ),
    (
        "PRICE_UNKNOWN",
        ({"order_type": "MARKET", "price": None, "market_protection": Decimal(-1)}, {}),
        ({"order_type": "MARKET", "price": None, "market_protection": Decimal(-1)}, {"last_price": None}),
    ),
    ("STALE_PRICE", ({}, {"price_age_seconds": 5.0}), ({}, {"price_age_seconds": 5.01})),
    ("PRICE_COLLAR", ({"price": Decimal(1030)}, {}), ({"price": Decimal("1030.05")}, {})),
    (
        "PRICE_COLLAR",
        ({"transaction_type": "SELL", "price": Decimal(970)}, {}),
        ({"transaction_type": "SELL", "price": Decimal("969.95")}, {}),
    ),
    (
        "PRICE_COLLAR",
        (
            {"exchange": "NFO", "product": "NRML", "price": Decimal(110)},
            {"instrument": OPTION, "last_price": Decimal(100)},
        ),
        (
            {"exchange": "NFO", "product": "NRML", "price": Decimal("110.05")},
            {"instrument": OPTION, "last_price": Decimal(100)},
        ),
    ),
    (
        "PRICE_COLLAR",
        (
            {"exchange": "NFO", "product": "NRML", "price": Decimal("0.35")},
            {"instrument": OPTION, "last_price": Decimal("0.1")},
        ),
        (
            {"exchange": "NFO", "product": "NRML", "price": Decimal("0.40")},
            {"instrument": OPTION, "last_price": Decimal("0.1")},
        ),
    ),
    ("ORDER_NOTIONAL", ({"notional": Decimal(1_000_000)}, {}), ({"notional": Decimal("1000000.01")}, {})),
    (
        "DAY_NOTIONAL",
        ({}, {"exposure": exposed(day_notional=9_990_000)}),
        ({}, {"exposure": exposed(day_notional=9_990_001)}),
    ),
    ("OPEN_ORDERS", ({}, {"exposure": exposed(open_orders=49)}), ({}, {"exposure": exposed(open_orders=50)})),
    ("DUPLICATE_SUSPECT", ({}, {"similar": False}), ({}, {"similar": True})),
]


@pytest.mark.proof(id="R16")
@pytest.mark.proof(id="R18")
@pytest.mark.parametrize(("code", "inside", "outside"), BOUNDARIES)
def test_a_check_denies_only_beyond_its_bound(
    code: str, inside: tuple[dict[str, Any], dict[str, Any]], outside: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    assert code_of(*inside) is None
    assert code_of(*outside) == code


def test_a_patient_price_is_never_collared() -> None:
    assert code_of({"price": Decimal(500)}, {}) is None
    assert code_of({"transaction_type": "SELL", "price": Decimal(2000)}, {}) is None


@pytest.mark.parametrize(
    ("net", "side", "quantity", "on_the_way", "passes"),
    [
        (100, "SELL", 100, 0, True),
        (100, "SELL", 101, 0, False),
        (100, "SELL", 50, 50, True),
        (100, "SELL", 50, 51, False),
        (100, "BUY", 1, 0, False),
        (-100, "BUY", 100, 0, True),
        (-100, "BUY", 101, 0, False),
        (0, "SELL", 1, 0, False),
    ],
)
def test_only_what_makes_a_position_smaller_reduces(
    net: int, side: str, quantity: int, on_the_way: int, passes: bool
) -> None:
    order = order_of(transaction_type=side, quantity=quantity)

    assert risk.reduces(order=order, net_quantity=net, on_the_way=on_the_way) is passes


@pytest.mark.django_db
def test_the_tightest_row_bounds_and_the_default_holds_where_none_speaks() -> None:
    account = BrokerAccountFactory()
    RiskLimit.objects.create(max_order_notional=5_000_000, collar_percent=5)
    RiskLimit.objects.create(account=account, max_order_notional=2_000_000)
    RiskLimit.objects.create(account=BrokerAccountFactory(), max_order_notional=1)
    RiskLimit.objects.create(strategy="other", max_order_notional=1)
    RiskLimit.objects.create(exchange="NSE", tradingsymbol="INFY", max_quantity=7)

    bounds = risk.bounds_from(risk_limits(order=order_of(account=account)))

    assert bounds.max_order_notional == 2_000_000
    assert bounds.max_quantity == 7
    assert bounds.collar_percent == 5
    assert bounds.max_open_orders == 50


@pytest.mark.proof(id="R16")
def test_sixty_four_claims_at_once_against_a_limit_of_ten_admit_ten(desk: Desk, numbers: Numbers) -> None:
    RiskLimit.objects.create(account=desk.account, max_open_orders=10)
    OrderBudget.objects.create(account=desk.account, per_second=10, burst=10)
    orders = [
        OrderFactory(account=desk.account, number=number, deadline_at=datetime.now(UTC) + timedelta(hours=1))
        for number in range(64)
    ]

    def carry(number: int) -> None:
        while True:
            result = claims.claim(order_id=orders[number].pk, clock=desk.clock)
            if not isinstance(result, claims.Later):
                return

    at_once(carry, count=64, threads=16)

    states = sorted(Order.objects.filter(account=desk.account).values_list("state", flat=True))
    numbers.most("admitted of 64 at a limit of 10", states.count(State.CLAIMED))
    assert states == [State.CLAIMED] * 10 + [State.DENIED] * 54
    assert set(Order.objects.filter(state=State.DENIED).values_list("reason_code", flat=True)) == {"OPEN_ORDERS"}


def test_the_check_at_the_claim_asks_three_questions(desk: Desk, django_assert_num_queries: Any) -> None:
    OrderFactory.create_batch(20, account=desk.account, at_broker=True)
    order = OrderFactory(account=desk.account)

    with django_assert_num_queries(3):
        standing = claims.standing_of(order, now=CREATED)

    assert risk.denial_at_claim(order=order, standing=standing) is None


def test_five_rejections_in_a_minute_stop_the_account(desk: Desk) -> None:
    now = datetime.now(UTC)
    for age in (1, 5, 10, 20):
        OrderFactory(account=desk.account, state=State.REJECTED, finished_at=now - timedelta(seconds=age))
    OrderFactory(account=desk.account, state=State.REJECTED, finished_at=now - timedelta(seconds=61))

    fifth = desk.place()
    OrderFactory(account=desk.account, state=State.REJECTED_RMS, broker_order_id="9", finished_at=now)
    sixth = desk.place()

    assert fifth.state == State.READY
    assert sixth.reason_code == "REPEATED_REJECTIONS"

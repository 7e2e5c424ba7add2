"""What each objection says and of which field, and which objections are asked when: without any server."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import BrokerAccount, TradingHalt
from orders import risk
from orders.models import RiskLimit
from orders.objections import Denial
from tests.orders.test_risk import BOUNDARIES, exposed, facts_of, halted, order_of
from tests.orders.test_stakes import BOUNDARIES as STAKES
from tests.orders.test_stakes import EXPOSURE, POSITION, orphans, stake

SAID: dict[str, list[tuple[str, str | None]]] = {
    "TRADING_HALTED": [("trading is halted for platform by ops: drill", None)],
    "ACCOUNT_PLACES_NO_ORDERS": [("account main is for data only", "account")],
    "ACCOUNT_CLOSED": [("account main is cordoned: ", "account")],
    "REPEATED_REJECTIONS": [("the broker rejected 5 orders of account main within 60 s", None)],
    "INSTRUMENT_NOT_TRADABLE": [("NSE:INFY cannot be traded", "tradingsymbol")],
    "INSTRUMENT_NOT_LISTED": [("NSE:INFY is not listed any more", "tradingsymbol")],
    "INSTRUMENT_EXPIRED": [("NSE:INFY expired on 2026-11-23", "tradingsymbol")],
    "PRODUCT_NOT_ALLOWED": [
        ("product CNC is not traded on NFO", "product"),
        ("product NRML is not traded on NSE", "product"),
    ],
    "LOT_MULTIPLE": [("quantity was 131, the lot is 65", "quantity")],
    "QUANTITY_LIMIT": [("quantity was 101, the bound is 100", "quantity")],
    "FREEZE_QUANTITY": [
        ("quantity was 1801, the exchange freezes above 1800; say autoslice to have it cut", "quantity")
    ],
    "DISCLOSED_QUANTITY": [("more would be disclosed than ordered", "disclosed_quantity")],
    "TICK_MULTIPLE": [
        ("price was 1000.03, the tick is 0.05", "price"),
        ("trigger_price was 999.97, the tick is 0.05", "trigger_price"),
    ],
    "TRIGGER_SIDE": [("a stop's price must lie beyond its trigger, or it cannot fill when triggered", "trigger_price")],
    "MARKET_PROTECTION_REQUIRED": [
        ("a MARKET order needs market protection: -1 for the broker's own band, or a percentage", "market_protection")
    ],
    "MCX_IOC": [("MCX takes no IOC orders from programs", "validity")],
    "PRICE_UNKNOWN": [("no last price of NSE:INFY is known, so the order's value is not", None)],
    "STALE_PRICE": [("the last price of NSE:INFY is 5.0 s old, 5 s is the bound", None)],
    "PRICE_COLLAR": [
        ("price was 1030.05, more than 30 beyond 1000", "price"),
        ("price was 969.95, more than 30 beyond 1000", "price"),
        ("price was 110.05, more than 10 beyond 100", "price"),
        ("price was 0.40, more than 0.25 beyond 0.1", "price"),
    ],
    "ORDER_NOTIONAL": [("the order is worth 1000000.01, the bound is 1000000", "quantity")],
    "DAY_NOTIONAL": [("the day's orders would be worth 10000001, the bound is 10000000", None)],
    "OPEN_ORDERS": [("50 orders of account main are open, the bound is 50", None)],
    "DUPLICATE_SUSPECT": [
        ("the same order was made within 2 s; say allow_duplicate if both are meant", "allow_duplicate")
    ],
    "ORPHANS_UNEXPLAINED": [
        ("1 orders of account main at the broker bear our tag and are in no record: acknowledge them first", "account")
    ],
    "MARKET_CLOSED": [("NSE is closed: variety amo waits for the next session", "variety")],
    "AMO_IN_SESSION": [("NSE takes after-market orders only while it is closed", "variety")],
    "PRICE_BAND": [
        ("price was 899.95, today's limits are 900 and 1100", "price"),
        ("price was 1100.05, today's limits are 900 and 1100", "price"),
    ],
    "POSITION_LIMIT": [("the position would be 101, the bound is 100", "quantity")],
    "MARGIN_LIMIT": [("the order needs a margin of 50.01, 25 % of 200.00 may be taken", "quantity")],
    "EXPOSURE_LIMIT": [("100001.00 would be at stake in INFY, the bound is 100000", "quantity")],
}


@pytest.mark.parametrize(("code", "outside"), [(code, outside) for code, _, outside in (*BOUNDARIES, *STAKES)])
def test_a_denial_says_value_bound_and_field(code: str, outside: tuple[dict[str, Any], dict[str, Any]]) -> None:
    order, facts = outside

    found = risk.denial_at_intake(order=order_of(**order), facts=facts_of(**facts))

    assert found in [Denial(code, text, field) for text, field in SAID[code]]


@pytest.mark.parametrize("code", sorted(SAID))
def test_every_way_to_say_it_is_said(code: str) -> None:
    found = [
        risk.denial_at_intake(order=order_of(**order), facts=facts_of(**facts))
        for said, _, (order, facts) in (*BOUNDARIES, *STAKES)
        if said == code
    ]

    assert {(denial.text, denial.field) for denial in found if denial is not None} == set(SAID[code])


AT_CLAIM: list[tuple[str, dict[str, Any]]] = [
    ("TRADING_HALTED", {"halts": (halted(),)}),
    ("EGRESS_MISMATCH", {"account": BrokerAccount(label="main", egress_fault="seen from elsewhere")}),
    ("ACCOUNT_PLACES_NO_ORDERS", {"account": BrokerAccount(label="main", places_orders=False)}),
    ("ACCOUNT_CLOSED", {"account": BrokerAccount(label="main", state="retired")}),
    ("ORPHANS_UNEXPLAINED", {"exposure": orphans(1)}),
    ("REPEATED_REJECTIONS", {"exposure": exposed(rejections=5)}),
    ("OPEN_ORDERS", {"exposure": exposed(open_orders=50)}),
    ("DAY_NOTIONAL", {"exposure": exposed(day_notional=9_990_001)}),
    ("POSITION_LIMIT", {"bounds": POSITION, "stake": stake(91)}),
    ("EXPOSURE_LIMIT", {"bounds": EXPOSURE, "stake": stake(value=90_001)}),
]


def code_of(denial: Denial | None) -> str | None:
    return denial.code if denial else None


@pytest.mark.parametrize(("code", "facts"), AT_CLAIM)
def test_what_can_change_while_an_order_waits_is_asked_at_the_claim(code: str, facts: dict[str, Any]) -> None:
    assert code_of(risk.denial_at_claim(order=order_of(), standing=facts_of(**facts))) == code


def test_nothing_is_objected_to_an_order_within_all_bounds() -> None:
    assert risk.denial_at_claim(order=order_of(), standing=facts_of()) is None


def test_an_account_seen_from_elsewhere_says_so() -> None:
    account = BrokerAccount(label="main", egress_fault="seen from 192.0.2.1")
    seen = Denial("EGRESS_MISMATCH", "seen from 192.0.2.1", "account")

    assert risk.denial_at_intake(order=order_of(), facts=facts_of(account=account)) == seen
    assert risk.denial_at_change(order=order_of(), standing=facts_of(account=account)) == seen


def test_a_change_is_halted_like_an_order_and_by_nothing_else() -> None:
    crowded = facts_of(exposure=exposed(open_orders=50), account=BrokerAccount(label="main", places_orders=False))

    assert risk.denial_at_change(order=order_of(), standing=crowded) is None
    assert code_of(risk.denial_at_change(order=order_of(), standing=facts_of(halts=(halted(),)))) == "TRADING_HALTED"


VALUES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("LOT_MULTIPLE", {"quantity": 131}, {"lot_size": 65}, {}),
    ("QUANTITY_LIMIT", {"quantity": 101}, {}, {"bounds": risk.Bounds(max_quantity=100)}),
    ("FREEZE_QUANTITY", {"quantity": 1801}, {"freeze_quantity": 1800}, {}),
    ("TICK_MULTIPLE", {"price": Decimal("1000.03")}, {}, {}),
    ("ORDER_NOTIONAL", {"notional": Decimal("1000000.01")}, {}, {}),
    ("TRADING_HALTED", {}, {}, {"halts": (halted(),)}),
]


@pytest.mark.parametrize(("code", "order", "instrument", "standing"), VALUES)
@pytest.mark.parametrize("judge", [risk.denial_of_values, risk.denial_of_trigger])
def test_new_values_and_triggers_are_held_to_the_bounds(
    judge: Any, code: str, order: dict[str, Any], instrument: dict[str, Any], standing: dict[str, Any]
) -> None:
    facts = facts_of(instrument=instrument, **standing)

    assert code_of(judge(order=order_of(**order), instrument=facts.instrument, standing=facts)) == code


@pytest.mark.parametrize(
    ("code", "order", "instrument", "standing"),
    [
        ("REDUCING_ONLY", {}, {}, {"halts": (halted("reducing"),)}),
        ("ACCOUNT_PLACES_NO_ORDERS", {}, {}, {"account": BrokerAccount(label="main", places_orders=False)}),
        ("ORPHANS_UNEXPLAINED", {}, {}, {"exposure": orphans(1)}),
        ("INSTRUMENT_NOT_LISTED", {}, {"listed": False}, {}),
        ("PRODUCT_NOT_ALLOWED", {"product": "NRML"}, {}, {}),
    ],
)
def test_an_order_that_waits_at_the_broker_is_held_to_more(
    code: str, order: dict[str, Any], instrument: dict[str, Any], standing: dict[str, Any]
) -> None:
    facts = facts_of(instrument=instrument, **standing)

    assert code_of(risk.denial_of_trigger(order=order_of(**order), instrument=facts.instrument, standing=facts)) == code
    assert risk.denial_of_values(order=order_of(**order), instrument=facts.instrument, standing=facts) is None


def test_a_trigger_under_reduction_says_why() -> None:
    facts = facts_of(halts=(halted("reducing"),))

    found = risk.denial_of_trigger(order=order_of(), instrument=facts.instrument, standing=facts)

    text = "only orders that reduce a position pass, and what a trigger does is not known"
    assert found == Denial("REDUCING_ONLY", text)


@pytest.mark.parametrize(
    ("scope", "target", "covered"),
    [
        ("platform", "", True),
        ("account", "main", True),
        ("account", "other", False),
        ("account", "", False),
        ("strategy", "carry", True),
        ("strategy", "other", False),
        ("symbol", "NSE:INFY", True),
        ("symbol", "BSE:INFY", False),
        ("symbol", "NSE:TCS", False),
    ],
)
@pytest.mark.parametrize("level", TradingHalt.Level.values)
def test_a_halt_covers_its_scope_alone(scope: str, target: str, covered: bool, level: str) -> None:
    order, facts = order_of(strategy="carry"), facts_of(halts=(halted(level, scope, target),))

    stopped = code_of(risk.denial_at_claim(order=order, standing=facts)) == "TRADING_HALTED"

    assert stopped is (covered and level == TradingHalt.Level.HALTED)
    assert risk.must_reduce(order=order, standing=facts) is (covered and level == TradingHalt.Level.REDUCING)


def test_an_account_is_halted_by_its_id_too() -> None:
    account = BrokerAccount(label="main")
    facts = facts_of(account=account, halts=(halted(scope="account", target=str(account.pk)),))

    found = risk.denial_at_claim(order=order_of(), standing=facts)

    assert found == Denial("TRADING_HALTED", f"trading is halted for account {account.pk} by ops: drill")


@pytest.mark.parametrize(
    ("price", "trigger", "last", "reference"),
    [(5, 4, 3, 5), (None, 4, 3, 4), (None, None, 3, 3), (None, None, None, None)],
)
def test_an_order_is_worth_its_price_else_its_trigger_else_the_last_price(
    price: int | None, trigger: int | None, last: Any, reference: int | None
) -> None:
    assert risk.reference_price(order=order_of(price=price, trigger_price=trigger), last_price=last) == reference


def test_the_tightest_of_each_column_bounds_and_zero_is_a_bound() -> None:
    rows = [
        RiskLimit(max_position=5, max_exposure=Decimal(9)),
        RiskLimit(max_position=0),
        RiskLimit(max_open_orders=70),
    ]

    found = risk.bounds_from(iter(rows))

    assert found == replace(risk.Bounds(), max_position=0, max_exposure=Decimal(9), max_open_orders=70)


def test_without_a_row_the_defaults_bound() -> None:
    found = risk.bounds_from([])

    assert (found.max_order_notional, found.max_day_notional, found.max_open_orders) == (1_000_000, 10_000_000, 50)
    assert (found.max_quantity, found.max_position, found.max_exposure, found.collar_percent) == (None,) * 4


WITHIN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"quantity": 31, "exchange": "MCX", "product": "NRML"}, {"instrument": {"lot_size": 10}}),
    ({"quantity": 31, "exchange": "CDS", "product": "NRML"}, {"instrument": {"lot_size": 10}}),
    ({"variety": "co", "order_type": "MARKET", "price": None}, {}),
    (
        {"variety": "iceberg", "quantity": 3000, "iceberg_quantity": 1500, "notional": 1},
        {"instrument": {"freeze_quantity": 1800}},
    ),
    ({}, {"last_price": None}),
    ({"order_type": "SL", "price": Decimal(1030), "trigger_price": Decimal(1000)}, {"last_price": Decimal(500)}),
    ({"price": Decimal(1050)}, {"bounds": risk.Bounds(collar_percent=Decimal(5))}),
    (
        {"quantity": 500, "notional": Decimal(10**9)},
        {"bounds": risk.Bounds(max_order_notional=None, max_day_notional=None)},
    ),
    ({}, {"bounds": risk.Bounds(max_open_orders=None), "exposure": exposed(open_orders=10**6)}),
    ({}, {"bounds": POSITION, "stake": None}),
    ({}, {"bounds": EXPOSURE, "stake": None}),
    ({"product": "MTF"}, {}),
]


@pytest.mark.parametrize(("order", "facts"), WITHIN)
def test_what_no_bound_forbids_passes(order: dict[str, Any], facts: dict[str, Any]) -> None:
    assert risk.denial_at_intake(order=order_of(**order), facts=facts_of(**facts)) is None


BEYOND: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("INSTRUMENT_NOT_TRADABLE", {}, {"instrument": {"lot_size": 0}}),
    ("INSTRUMENT_NOT_TRADABLE", {}, {"instrument": {"tick_size": Decimal(0)}}),
    ("PRODUCT_NOT_ALLOWED", {"exchange": "NFO", "product": "MTF"}, {}),
    ("LOT_MULTIPLE", {"exchange": "NFO", "product": "NRML", "quantity": 31}, {"instrument": {"lot_size": 10}}),
    ("MARKET_PROTECTION_REQUIRED", {"order_type": "SL-M", "price": None, "trigger_price": Decimal(990)}, {}),
    (
        "FREEZE_QUANTITY",
        {"variety": "iceberg", "quantity": 4000, "iceberg_quantity": 1801},
        {"instrument": {"freeze_quantity": 1800}},
    ),
    ("PRICE_COLLAR", {"order_type": "SL", "price": Decimal("1030.05"), "trigger_price": Decimal(1000)}, {}),
    ("PRICE_COLLAR", {"price": Decimal("1050.05")}, {"bounds": risk.Bounds(collar_percent=Decimal(5))}),
    (
        "STALE_PRICE",
        {"order_type": "MARKET", "price": None, "market_protection": Decimal(-1)},
        {"price_age_seconds": 6.0},
    ),
    (
        "PRICE_BAND",
        {"order_type": "SL", "price": Decimal(1000), "trigger_price": Decimal(899)},
        {"band": (Decimal(900), Decimal(1100))},
    ),
]


@pytest.mark.parametrize(("code", "order", "facts"), BEYOND)
def test_what_a_bound_forbids_is_denied(code: str, order: dict[str, Any], facts: dict[str, Any]) -> None:
    assert code_of(risk.denial_at_intake(order=order_of(**order), facts=facts_of(**facts))) == code


@pytest.mark.parametrize(("quantity", "code"), [(18_000, None), (18_001, "TOO_MANY_SLICES")])
def test_a_sliced_order_may_have_ten_slices(quantity: int, code: str | None) -> None:
    facts = facts_of(instrument={"freeze_quantity": 1800})

    found = risk.denial_at_intake(order=order_of(quantity=quantity), facts=facts, sliced=True)

    assert code_of(found) == code
    assert found is None or found.field == "quantity"

"""What the typed official clients (Go, Java, .NET) declare of every answer: which field is of which type.

Their decoders are strict where Python and JavaScript are not: Go refuses `5.0` for an `int` and a time in another
layout, .NET fails on a missing field and on null for a number, Java on an integer beyond 31 bits. Each row is what the
strictest of the three asks for; a name with `?` may be absent, as in clients that know the field as optional.
"""

from typing import Any

ANY = "any"
WHOLE = "whole"
"""An integer literal of 31 bits: Go's int, Java's int, .NET's int."""
TOKEN = "token"
"""An unsigned integer literal of 32 bits."""
NUMBER = "number"
TEXT = "text"
TIME = "time"
"""Text in a layout that all three parse, or null."""
DAY = "day"
FLAG = "flag"


def record(*, more: dict[str, Any] | None = None, **names: str) -> dict[str, Any]:
    """Return a struct: `record(text="a b", number="c")`."""
    return {name: kind for kind, listed in names.items() for name in listed.split()} | (more or {})


def rows(spec: Any) -> list[Any]:
    return [spec]


def keyed(spec: Any) -> dict[str, Any]:
    """Return a map from any text to `spec`."""
    return {"*": spec}


OHLC = record(number="open high low close")
DEPTH = rows(record(number="price", token="quantity orders"))
QUOTE = record(
    token="instrument_token last_quantity volume buy_quantity sell_quantity oi oi_day_high oi_day_low",
    time="timestamp last_trade_time",
    number="last_price average_price net_change lower_circuit_limit upper_circuit_limit",
    more={"ohlc": OHLC, "depth": {"buy": DEPTH, "sell": DEPTH}},
)
INDEX_QUOTE = record(token="instrument_token", time="timestamp", number="last_price net_change", more={"ohlc": OHLC})
BRIEF = record(token="instrument_token", number="last_price", more={"ohlc": OHLC})

ORDER = record(
    text="account_id placed_by order_id exchange_order_id parent_order_id status status_message status_message_raw "
    "variety exchange tradingsymbol order_type transaction_type validity product tag guid auction_number?",
    time="order_timestamp exchange_update_timestamp exchange_timestamp",
    token="instrument_token",
    whole="validity_ttl quantity disclosed_quantity filled_quantity pending_quantity cancelled_quantity",
    number="price trigger_price average_price market_protection",
    more={"meta": keyed(ANY), "tags?": rows(TEXT), "modified?": FLAG},
)
TRADE = record(
    text="trade_id product exchange_order_id order_id transaction_type tradingsymbol exchange",
    number="average_price",
    whole="quantity",
    token="instrument_token",
    time="fill_timestamp exchange_timestamp",
)
PLACED = record(text="order_id")
SLICES = record(
    text="order_id",
    more={"children": rows({"order_id?": TEXT, "error?": record(whole="code", text="error_type message", any="data")})},
)

HOLDING = record(
    text="tradingsymbol exchange isin product collateral_type",
    token="instrument_token",
    whole="quantity used_quantity t1_quantity realised_quantity authorised_quantity opening_quantity "
    "collateral_quantity",
    number="price average_price last_price close_price pnl day_change day_change_percentage",
    time="authorised_date",
    flag="discrepancy",
)
POSITION = record(
    text="tradingsymbol exchange product",
    token="instrument_token",
    whole="quantity overnight_quantity buy_quantity sell_quantity day_buy_quantity day_sell_quantity",
    number="multiplier average_price close_price last_price value pnl m2m unrealised realised buy_price buy_value "
    "buy_m2m sell_price sell_value sell_m2m day_buy_price day_buy_value day_sell_price day_sell_value",
)
COMPACT = record(text="exchange tradingsymbol", token="instrument_token", whole="quantity t1_quantity")
SUMMARY = record(number="total_pnl total_pnl_percent today_pnl today_pnl_percent invested_amount current_value")
AUCTION = {**HOLDING, "auction_number": TEXT}
del AUCTION["used_quantity"]

CHARGES = record(
    text="transaction_tax_type",
    number="transaction_tax exchange_turnover_charge sebi_turnover_charge brokerage stamp_duty total",
    more={"gst": record(number="igst cgst sgst total")},
)
MARGIN = record(
    text="type tradingsymbol exchange",
    number="span exposure option_premium additional bo cash var leverage total",
    more={"pnl": record(number="realised unrealised"), "charges": CHARGES},
)
BASKET = {"initial": MARGIN, "final": MARGIN, "orders": rows(MARGIN)}
NOTE = record(
    text="transaction_type tradingsymbol exchange variety product order_type",
    whole="quantity",
    number="price",
    more={"charges": CHARGES},
)
FUNDS = record(
    flag="enabled",
    number="net",
    more={
        "available": record(number="adhoc_margin cash collateral intraday_payin live_balance opening_balance"),
        "utilised": record(
            number="debits exposure m2m_realised m2m_unrealised option_premium payout span holding_sales turnover "
            "liquid_collateral stock_collateral delivery"
        ),
    },
)

LISTS = {"products": rows(TEXT), "order_types": rows(TEXT), "exchanges": rows(TEXT)}
NAMES = "user_id user_name user_shortname avatar_url user_type email broker"
PROFILE = record(text=NAMES, more={**LISTS, "meta": record(text="demat_consent")})
FULL_PROFILE = record(
    text=f"{NAMES} phone pan twofa_type",
    time="password_timestamp twofa_timestamp",
    more={
        **LISTS,
        "dp_ids": rows(TEXT),
        "tags": rows(TEXT),
        "bank_accounts": rows(record(text="name branch account")),
        "meta": record(text="poa silo", more={"account_blocks": rows(TEXT)}),
    },
)
SESSION = record(
    text=f"{NAMES} api_key access_token public_token refresh_token",
    time="login_time",
    more={**LISTS, "meta": record(text="demat_consent")},
)

RESULT = record(
    text="timestamp",
    number="triggered_at",
    more={"order_result": record(text="status order_id rejection_reason")},
)
GTT = record(
    text="user_id type status",
    whole="id",
    time="created_at updated_at expires_at",
    any="parent_trigger",
    more={
        "condition": record(text="exchange tradingsymbol", number="last_price", more={"trigger_values": rows(NUMBER)}),
        "orders": rows(
            record(
                text="exchange tradingsymbol product order_type transaction_type",
                whole="quantity",
                number="price",
                more={"result": RESULT},
            )
        ),
        "meta": record(text="rejection_reason?"),
    },
)
TRIGGER = record(whole="trigger_id")

ALERT_ORDER = record(
    text="transaction_type product order_type validity variety",
    whole="validity_ttl? quantity disclosed_quantity? iceberg_legs?",
    number="price trigger_price? last_price? squareoff? stoploss? trailing_stoploss? market_protection?",
    more={"tags?": rows(TEXT), "gtt?": record(number="target stoploss")},
)
ITEM = record(text="type? tradingsymbol exchange", whole="weight? id? instrument_token?", more={"params": ALERT_ORDER})
ALERT = record(
    text="type user_id uuid name status disabled_reason lhs_attribute lhs_exchange lhs_tradingsymbol operator rhs_type "
    "rhs_attribute rhs_exchange rhs_tradingsymbol",
    number="rhs_constant",
    whole="alert_count",
    time="created_at updated_at",
    more={"basket?": record(text="name? type?", more={"tags?": rows(TEXT), "items": rows(ITEM)})},
)
MOMENT = record(
    text="tradingsymbol timestamp exchange last_trade_time",
    whole="instrument_token last_quantity buy_quantity sell_quantity volume volume_tick oi oi_day_high oi_day_low",
    number="last_price net_change average_price lower_circuit_limit upper_circuit_limit",
    more={"ohlc": OHLC},
)
FIRED = record(text="uuid type condition", time="created_at", any="order_meta", more={"meta": rows(MOMENT)})

FUND_ORDER = record(
    text="order_id exchange_order_id tradingsymbol status status_message folio fund settlement_id transaction_type "
    "variety purchase_type placed_by tag",
    time="order_timestamp exchange_timestamp",
    number="quantity amount last_price average_price",
)
SIP = record(
    text="sip_id tradingsymbol fund dividend_type transaction_type status sip_type frequency tag",
    time="created last_instalment",
    day="next_instalment",
    number="instalment_amount trigger_price",
    whole="instalments pending_instalments instalment_day completed_instalments",
    any="step_up",
)
FUND_HOLDING = record(text="folio fund tradingsymbol last_price_date", number="average_price last_price pnl quantity")
FUND_TRADE = record(
    text="fund tradingsymbol variety folio", number="average_price amount quantity", time="exchange_timestamp"
)

# By the mock file whose request asks for the answer (mock_table.py).
ANSWERS: dict[str, Any] = {
    "alerts_create.json": ALERT,
    "alerts_create_ato.json": ALERT,
    "alerts_get.json": rows(ALERT),
    "alerts_get_one.json": ALERT,
    "alerts_history.json": rows(FIRED),
    "alerts_modify.json": ALERT,
    "auctions_list.json": rows(AUCTION),
    "autoslice_response.json": SLICES,
    "basket_margins.json": BASKET,
    "convert_position.json": FLAG,
    "full_profile.json": FULL_PROFILE,
    "generate_session.json": SESSION,
    "gtt_delete_order.json": TRIGGER,
    "gtt_get_order.json": GTT,
    "gtt_get_orders.json": rows(GTT),
    "gtt_modify_order.json": TRIGGER,
    "gtt_place_order.json": TRIGGER,
    "holdings.json": rows(HOLDING),
    "holdings_auth.json": record(text="request_id"),
    "holdings_compact.json": rows(COMPACT),
    "holdings_summary.json": SUMMARY,
    "ltp.json": keyed(record(token="instrument_token", number="last_price")),
    "margin_commodity.json": FUNDS,
    "margins.json": {"equity": FUNDS, "commodity": FUNDS},
    "margins_equity.json": FUNDS,
    "mf_holdings.json": rows(FUND_HOLDING),
    "mf_order_cancel.json": PLACED,
    "mf_order_response.json": PLACED,
    "mf_orders.json": rows(FUND_ORDER),
    "mf_orders_info.json": FUND_ORDER,
    "mf_sip_cancel.json": record(text="sip_id"),
    "mf_sip_info.json": SIP,
    "mf_sip_modify.json": record(text="sip_id"),
    "mf_sip_place.json": record(text="sip_id order_id?"),
    "mf_sips.json": rows(SIP),
    "ohlc.json": keyed(BRIEF),
    "order_cancel.json": PLACED,
    "order_info.json": rows(ORDER),
    "order_margins.json": rows(MARGIN),
    "order_modify.json": PLACED,
    "order_response.json": PLACED,
    "order_trades.json": rows(TRADE),
    "orders.json": rows(ORDER),
    "positions.json": {"net": rows(POSITION), "day": rows(POSITION)},
    "profile.json": PROFILE,
    "quote.json": keyed(QUOTE),
    "session_logout.json": FLAG,
    "trades.json": rows(TRADE),
    "trigger_range.json": keyed(record(token="instrument_token", number="lower upper")),
    "virtual_contract_note.json": rows(NOTE),
}

# Answered with rows of columns or CSV, or with nothing: looked at by tests of their own.
ELSEWHERE = {
    "alerts_delete.json", "historical_minute.json", "historical_oi.json", "instruments_all.csv", "instruments_nse.csv",
    "mf_instruments.csv",
}  # fmt: skip

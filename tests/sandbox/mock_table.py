"""Which request answers each of the broker's published mock files, and where our answer differs from it, and why.

`$name` stands for something that `Story` has made before. A deviation that no longer occurs fails the test.
"""

from dataclasses import dataclass, field
from typing import Any

OLD = "the mock's rows are of before 2022; today's rows in orders.json have the field"
OWN_DATE = "the mock's key is a date of its owner's step-up; ours has no step-up"
NO_PICTURE = "our user has no picture; profile.json has null there"
NEWER_FIELDS = (
    "account_id", "exchange_update_timestamp", "guid", "market_protection", "meta", "status_message_raw", "tags",
    "validity_ttl",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """`text` is METHOD and path; `form` or `json` its body; `user` who asks, by position."""

    text: str
    form: dict[str, str] = field(default_factory=dict)
    json: Any = None
    user: int = 0
    deviations: dict[str, str] = field(default_factory=dict)


ORDER = {
    "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "order_type": "LIMIT", "product": "CNC",
    "quantity": "1", "price": "$low",
}  # fmt: skip
COSTED = [
    {
        "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "variety": "regular", "product": "CNC",
        "order_type": "MARKET", "quantity": 1, "price": 0, "trigger_price": 0, "average_price": 1500,
    }
]  # fmt: skip
GTT = {"type": "single", "condition": "$gtt_condition", "orders": "$gtt_orders"}
ALERT = {
    "name": "NIFTY 50", "type": "simple", "lhs_exchange": "INDICES", "lhs_tradingsymbol": "NIFTY 50",
    "lhs_attribute": "LastTradedPrice", "operator": ">=", "rhs_type": "constant", "rhs_constant": "99999",
}  # fmt: skip
SLICED = {
    "exchange": "NFO", "tradingsymbol": "$option", "transaction_type": "BUY", "autoslice": "true",
    "order_type": "LIMIT", "product": "NRML", "quantity": "$slices", "price": "5",
}  # fmt: skip
CONVERSION = {
    "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "position_type": "day", "quantity": "1",
    "old_product": "MIS", "new_product": "CNC",
}  # fmt: skip
SESSION = {"api_key": "$new_key", "request_token": "$request_token", "checksum": "$checksum"}
SIP = {"tradingsymbol": "$fund", "amount": "1", "instalments": "9", "frequency": "weekly", "tag": "story"}
CANDLES = "/instruments/historical/408065/minute?from=2026-11-20&to=2026-11-23"

TABLE: dict[str, Request] = {
    "alerts_create.json": Request("POST /alerts", ALERT),
    "alerts_create_ato.json": Request("POST /alerts", {**ALERT, "type": "ato", "basket": "$basket"}),
    "alerts_delete.json": Request("DELETE /alerts?uuid=$doomed_alert"),
    "alerts_get.json": Request("GET /alerts"),
    "alerts_get_one.json": Request("GET /alerts/$alert"),
    "alerts_history.json": Request("GET /alerts/$fired/history"),
    "alerts_modify.json": Request("PUT /alerts/$alert", {**ALERT, "rhs_constant": "88888"}),
    "auctions_list.json": Request("GET /portfolio/holdings/auctions"),
    "autoslice_response.json": Request("POST /orders/regular", SLICED),
    "basket_margins.json": Request("POST /margins/basket", json=COSTED),
    "convert_position.json": Request("PUT /portfolio/positions", CONVERSION),
    "full_profile.json": Request("GET /user/profile/full"),
    "generate_session.json": Request(
        "POST /session/token", SESSION, user=-1, deviations={".data.avatar_url: null, published text": NO_PICTURE}
    ),
    "gtt_delete_order.json": Request("DELETE /gtt/triggers/$doomed_gtt"),
    "gtt_get_order.json": Request("GET /gtt/triggers/$gtt"),
    "gtt_get_orders.json": Request("GET /gtt/triggers"),
    "gtt_modify_order.json": Request("PUT /gtt/triggers/$gtt", GTT),
    "gtt_place_order.json": Request("POST /gtt/triggers", GTT),
    "historical_minute.json": Request(f"GET {CANDLES}"),
    "historical_oi.json": Request(f"GET {CANDLES}&oi=1"),
    "holdings.json": Request("GET /portfolio/holdings"),
    "holdings_auth.json": Request("POST /portfolio/holdings/authorise"),
    "holdings_compact.json": Request("GET /portfolio/holdings/compact"),
    "holdings_summary.json": Request("GET /portfolio/holdings/summary"),
    "instruments_all.csv": Request("GET /instruments"),
    "instruments_nse.csv": Request("GET /instruments/NSE"),
    "ltp.json": Request("GET /quote/ltp?i=NSE:INFY"),
    "margin_commodity.json": Request("GET /user/margins/commodity"),
    "margins.json": Request("GET /user/margins"),
    "margins_equity.json": Request("GET /user/margins/equity"),
    "mf_holdings.json": Request("GET /mf/holdings"),
    "mf_instruments.csv": Request("GET /mf/instruments"),
    "mf_order_cancel.json": Request("DELETE /mf/orders/$doomed_fund_order"),
    "mf_order_response.json": Request(
        "POST /mf/orders", {"tradingsymbol": "$fund", "transaction_type": "BUY", "amount": "5000"}
    ),
    "mf_orders.json": Request("GET /mf/orders"),
    "mf_orders_info.json": Request("GET /mf/orders/$fund_order"),
    "mf_sip_cancel.json": Request("DELETE /mf/sips/$doomed_sip"),
    "mf_sip_info.json": Request("GET /mf/sips/$sip", deviations={".data.step_up.15-02: missing": OWN_DATE}),
    "mf_sip_modify.json": Request("PUT /mf/sips/$sip", {"amount": "2000"}),
    "mf_sip_place.json": Request("POST /mf/sips", SIP),
    "mf_sips.json": Request("GET /mf/sips"),
    "ohlc.json": Request("GET /quote/ohlc?i=NSE:INFY"),
    "order_cancel.json": Request("DELETE /orders/regular/$doomed"),
    "order_info.json": Request(
        "GET /orders/$filled", deviations={f".data[].{name}: extra": OLD for name in NEWER_FIELDS}
    ),
    "order_margins.json": Request("POST /margins/orders", json=COSTED),
    "order_modify.json": Request("PUT /orders/regular/$resting", {"quantity": "2"}),
    "order_response.json": Request("POST /orders/regular", ORDER),
    "order_trades.json": Request("GET /orders/$filled/trades"),
    "orders.json": Request("GET /orders"),
    "positions.json": Request("GET /portfolio/positions"),
    "profile.json": Request("GET /user/profile"),
    "quote.json": Request("GET /quote?i=NSE:INFY"),
    "session_logout.json": Request("DELETE /session/token?api_key=$leaving_key&access_token=$leaving_token", user=1),
    "trades.json": Request("GET /trades"),
    "trigger_range.json": Request("GET /instruments/trigger_range/buy?i=NSE:INFY&i=NSE:RELIANCE"),
    "virtual_contract_note.json": Request("POST /charges/orders", json=COSTED),
}

POSTBACK_DEVIATIONS = {f".{name}: extra": OLD for name in ("account_id", "tags", "validity_ttl")}

# Pushed, not asked for: what the exchange posts to the app's URL, and packets by the socket's mode.
PUSHED = {
    "postback.json": "postback",
    "ticker_ltp.json": "ltp",
    "ticker_quote.json": "quote",
    "ticker_full.json": "full",
    "ticker_quote.packet": "quote",
    "ticker_full.packet": "full",
    "js-frames/ltpMode_binary.packet": "ltp",
    "js-frames/quoteMode_binary.packet": "quote",
    "js-frames/fullMode_binary.packet": "full",
}

# The mocks' ticks are what the JavaScript client makes of a packet; the Python client names the same bytes otherwise.
TICK_NAMES = {
    "last_quantity": "last_traded_quantity", "average_price": "average_traded_price", "volume": "volume_traded",
    "buy_quantity": "total_buy_quantity", "sell_quantity": "total_sell_quantity", "timestamp": "exchange_timestamp",
}  # fmt: skip

"""Portfolio, margin calculation and charges endpoints."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from sandbox.call import Call, Route
from sandbox.charges import charges, no_charges
from sandbox.errors import holding_error, input_error
from sandbox.ledger import spot_of
from sandbox.margins import Margin, requirement, segment_of
from sandbox.orders import number
from sandbox.params import PRODUCTS, TRANSACTION_TYPES, choice, required, whole
from sandbox.portfolio import Position, day_row, holding_row, net_row


async def positions(call: Call) -> object:
    market, lines = call.site.market, call.account.portfolio.positions.values()
    net, day = [], []
    for position in lines:
        instrument = market.universe.instruments[position.row]
        close = market.rupees(row=position.row, units=int(market.close[position.row]))
        last = market.last_price(position.row)
        net.append(net_row(position, instrument=instrument, last=last, close=close))
        if position.is_day:
            day.append(day_row(position, instrument=instrument, last=last, close=close))
    return {"net": net, "day": day}


async def convert_position(call: Call) -> object:
    form = {name: str(value) for name, value in call.form.items()}
    key = f"{required(form, 'exchange')}:{required(form, 'tradingsymbol')}"
    row = call.site.universe.by_key.get(key)
    if row is None:
        raise input_error("Invalid `tradingsymbol`.")
    choice(form, "position_type", ("day", "overnight"))
    is_buy = choice(form, "transaction_type", TRANSACTION_TYPES) == "BUY"
    old, new = choice(form, "old_product", PRODUCTS), choice(form, "new_product", PRODUCTS)
    quantity = whole(form, "quantity")
    source = call.account.portfolio.positions.get((row, old))
    held = source.quantity if source else 0
    if source is None or quantity < 1 or quantity > (held if is_buy else -held):
        raise input_error("Quantity to convert is higher than the open quantity.")
    _move(source, call.account.portfolio.position(row=row, product=new), is_buy=is_buy, quantity=quantity)
    return True


def _move(source: Position, target: Position, *, is_buy: bool, quantity: int) -> None:
    """Carry `quantity` with its average price from one product to the other."""
    if is_buy:
        price = source.day_buy_value / source.day_buy_quantity if source.day_buy_quantity else source.overnight_price
        source.trade(is_buy=True, quantity=-quantity, value=-quantity * price)
    else:
        price = source.day_sell_value / source.day_sell_quantity if source.day_sell_quantity else source.overnight_price
        source.trade(is_buy=False, quantity=-quantity, value=-quantity * price)
    target.trade(is_buy=is_buy, quantity=quantity, value=quantity * price)


def holding_rows(call: Call) -> list[dict[str, object]]:
    market, today = call.site.market, call.site.clock.today().isoformat()
    return [
        holding_row(
            holding, instrument=market.universe.instruments[holding.row], last=market.last_price(holding.row),
            close=market.rupees(row=holding.row, units=int(market.close[holding.row])), today=today,
        )
        for holding in call.account.portfolio.holdings.values()
    ]  # fmt: skip


async def holdings(call: Call) -> object:
    return holding_rows(call)


async def compact_holdings(call: Call) -> object:
    names = ("exchange", "tradingsymbol", "instrument_token", "t1_quantity", "quantity")
    return [{name: row[name] for name in names} for row in holding_rows(call)]


async def holdings_summary(call: Call) -> object:
    market = call.site.market
    invested = current = yesterday = 0.0
    for holding in call.account.portfolio.holdings.values():
        quantity = holding.quantity + holding.t1_quantity
        invested += quantity * holding.average_price
        current += quantity * market.last_price(holding.row)
        yesterday += quantity * market.rupees(row=holding.row, units=int(market.close[holding.row]))
    return {
        "total_pnl": current - invested,
        "total_pnl_percent": (current - invested) / invested * 100 if invested else 0,
        "today_pnl": current - yesterday,
        "today_pnl_percent": (current - yesterday) / yesterday * 100 if yesterday else 0,
        "invested_amount": invested,
        "current_value": current,
    }


async def auctions(call: Call) -> object:
    names = (
        "tradingsymbol", "exchange", "instrument_token", "isin", "product", "price", "quantity", "t1_quantity",
        "realised_quantity", "authorised_quantity", "authorised_date", "opening_quantity", "collateral_quantity",
        "collateral_type", "discrepancy", "average_price", "last_price", "close_price", "pnl", "day_change",
        "day_change_percentage",
    )  # fmt: skip
    rows = holding_rows(call)[:2]
    return [
        {**{name: row[name] for name in names}, "auction_number": str(20 + position)}
        for position, row in enumerate(rows)
    ]


async def authorise(call: Call) -> object:
    """Authorise what the form names, or everything when it names nothing."""
    isins = [str(value) for value in call.form.getall("isin", [])]
    quantities = [str(value) for value in call.form.getall("quantity", [])]
    holdings_by_isin = {holding.isin: holding for holding in call.account.portfolio.holdings.values()}
    for position, isin in enumerate(isins):
        if isin not in holdings_by_isin:
            raise holding_error("Invalid `isin`.")
        quantity = whole({"quantity": quantities[position]}, "quantity") if position < len(quantities) else 0
        holding = holdings_by_isin[isin]
        holding.authorised_quantity = min(quantity or holding.quantity, holding.quantity)
    if not isins:
        for holding in holdings_by_isin.values():
            holding.authorised_quantity = holding.quantity
    return {"request_id": secrets.token_urlsafe(24)[:32]}


def _estimate(call: Call, item: Mapping[str, object]) -> tuple[dict[str, object], Margin]:
    """Return one row of /margins/orders and its margin."""
    form = {name: str(value) for name, value in item.items() if value is not None}
    row = call.site.universe.by_key.get(f"{required(form, 'exchange')}:{required(form, 'tradingsymbol')}")
    if row is None:
        raise input_error("Invalid `tradingsymbol`.")
    market, instrument = call.site.market, call.site.universe.instruments[row]
    is_buy = choice(form, "transaction_type", TRANSACTION_TYPES) == "BUY"
    product, quantity = choice(form, "product", PRODUCTS), whole(form, "quantity")
    price = float(form.get("price") or 0) or market.last_price(row)
    margin = requirement(
        instrument=instrument, product=product, is_buy=is_buy, quantity=quantity, price=price, spot=spot_of(market, row)
    )
    cost = charges(
        instrument=instrument, product=product, is_buy=is_buy, quantity=quantity, price=price,
        day=call.site.clock.today(),
    )  # fmt: skip
    names = (segment_of(instrument), instrument.tradingsymbol, instrument.exchange)
    return margin_row(names=names, margin=margin, leverage=_leverage(product), cost=cost), margin


def _leverage(product: str) -> int:
    return {"MIS": 5, "CO": 5, "MTF": 2}.get(product, 1)


def margin_row(
    *, names: tuple[str, str, str], margin: Margin, leverage: int, cost: dict[str, object]
) -> dict[str, object]:
    return {
        "type": names[0],
        "tradingsymbol": names[1],
        "exchange": names[2],
        "span": margin.span,
        "exposure": margin.exposure,
        "option_premium": margin.option_premium,
        "additional": 0,
        "bo": 0,
        "cash": 0,
        "var": margin.delivery,
        "pnl": {"realised": 0, "unrealised": 0},
        "leverage": leverage,
        "charges": cost,
        "total": margin.total,
    }


async def order_margins(call: Call) -> object:
    rows = [_estimate(call, item)[0] for item in await call.json_list()]
    if call.query.get("mode") == "compact":
        names = ("type", "tradingsymbol", "exchange", "total")
        return [{name: row[name] for name in names} for row in rows]
    return rows


async def basket_margins(call: Call) -> object:
    estimates = [_estimate(call, item) for item in await call.json_list()]
    initial = sum((margin for _, margin in estimates), Margin())
    final = _after_benefit(initial)
    brokerage = sum(float(str(_part(row, "brokerage"))) for row, _ in estimates)
    sebi = sum(float(str(_part(row, "sebi_turnover_charge"))) for row, _ in estimates)
    total = {**no_charges(), "brokerage": number(brokerage), "sebi_turnover_charge": sebi}
    blank = ("", "", "")
    return {
        "initial": margin_row(names=blank, margin=initial, leverage=0, cost=no_charges()),
        "final": margin_row(names=blank, margin=final, leverage=0, cost=no_charges()),
        "orders": [] if call.query.get("mode") == "compact" else [row for row, _ in estimates],
        "charges": total,
    }


def _part(row: dict[str, object], name: str) -> object:
    cost = row["charges"]
    return cost[name] if isinstance(cost, dict) else 0


def _after_benefit(margin: Margin) -> Margin:
    """Return the basket's margin after the hedge benefit: long premium lowers the span it covers."""
    benefit = min(margin.span * 0.6, margin.span) if margin.option_premium and margin.span else 0.0
    return Margin(margin.span - benefit, margin.exposure, margin.option_premium, margin.delivery)


async def contract_note(call: Call) -> object:
    answer = []
    for item in await call.json_list():
        row, _ = _estimate(call, {**item, "price": item.get("average_price") or item.get("price")})
        price = float(str(item.get("average_price") or 0))
        if price <= 0:
            raise input_error("Invalid `average_price`.")
        names = ("transaction_type", "tradingsymbol", "exchange", "variety", "product", "order_type", "quantity")
        answer.append({**{name: item.get(name) for name in names}, "price": number(price), "charges": row["charges"]})
    return answer


ROUTES = (
    Route("GET", "/portfolio/positions", "portfolio.positions", positions),
    Route("PUT", "/portfolio/positions", "portfolio.convert", convert_position),
    Route("GET", "/portfolio/holdings", "portfolio.holdings", holdings),
    Route("GET", "/portfolio/holdings/auctions", "portfolio.auctions", auctions),
    Route("GET", "/portfolio/holdings/summary", "portfolio.summary", holdings_summary),
    Route("GET", "/portfolio/holdings/compact", "portfolio.compact", compact_holdings),
    Route("POST", "/portfolio/holdings/authorise", "portfolio.authorise", authorise),
    Route("POST", "/margins/orders", "margins.orders", order_margins),
    Route("POST", "/margins/basket", "margins.basket", basket_margins),
    Route("POST", "/charges/orders", "charges.orders", contract_note),
)

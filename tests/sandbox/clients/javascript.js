// The official JavaScript client, unmodified, against the exchange of which standard input tells; prints one JSON object.
"use strict";
const {KiteConnect, KiteTicker} = require("kiteconnect");
const {user, rest_root, ws_root, request_token, control_url, control_key} = JSON.parse(require("fs").readFileSync(0, "utf8"));

function drop() {
  const body = JSON.stringify({kind: "socket_drop", user: user.user_id});
  fetch(control_url + "/faults", {method: "POST", headers: {"X-Control-Key": control_key}, body});
}

async function refused(work) {
  try { await work; } catch (error) { return error.error_type || String(error); }
  return "accepted";
}

function listen(access_token, token, place) {
  return new Promise((resolve, reject) => {
    const ticker = new KiteTicker({api_key: user.api_key, access_token, root: ws_root + "/"});
    const seen = {};
    const timer = setTimeout(() => reject(new Error("the ticker heard only " + JSON.stringify(seen))), 15000);
    const done = () => {
      if (seen.tick && seen.order && seen.connects === 1 && !seen.dropped) { seen.dropped = true; drop(); }
      if (seen.tick && seen.order && seen.connects === 2) { clearTimeout(timer); ticker.autoReconnect(false, 0, 5); ticker.disconnect(); resolve(seen); }
    };
    ticker.autoReconnect(true, 5, 5);
    ticker.connect();
    ticker.on("connect", () => {
      seen.connects = (seen.connects || 0) + 1;
      seen.tick = undefined;
      ticker.subscribe([token]);
      ticker.setMode(ticker.modeFull, [token]);
      if (seen.connects === 1) place();
    });
    ticker.on("ticks", (ticks) => {
      if (ticks[0].mode !== "full") return;
      seen.tick = ticks[0];
      done();
    });
    ticker.on("order_update", (order) => { seen.order = order; done(); });
  });
}

async function main() {
  const kite = new KiteConnect({api_key: user.api_key, root: rest_root});
  const session = await kite.generateSession(request_token, user.api_secret);
  kite.setAccessToken(session.access_token);
  const out = {session: session.user_id, again: await refused(kite.generateSession(request_token, user.api_secret))};
  out.profile = (await kite.getProfile()).user_id;
  out.margins = Object.keys(await kite.getMargins()).sort();
  out.equity = (await kite.getMargins("equity")).enabled;
  const rows = await kite.getInstruments("NSE");
  const infy = rows.find((row) => row.tradingsymbol === "INFY");
  out.instruments = rows.length;
  out.lot = infy.lot_size;
  const key = "NSE:INFY";
  const quote = (await kite.getQuote([key]))[key];
  out.depth = quote.depth.buy.length;
  out.ohlc = (await kite.getOHLC([key]))[key].last_price > 0;
  out.ltp = (await kite.getLTP([key, "NSE:NIFTY 50"]))[key].last_price > 0;
  const candles = await kite.getHistoricalData(Number(infy.instrument_token), "day", "2026-11-02", "2026-11-20");
  out.candle = candles[0].date instanceof Date && candles[0].close > 0;
  const low = Math.round(quote.last_price * 0.95);
  const order = {
    exchange: "NSE", tradingsymbol: "INFY", transaction_type: "BUY", quantity: 1, product: "CNC", order_type: "LIMIT",
    price: low, validity: "DAY", tag: "js1",
  };
  let placed;
  const heard = await listen(session.access_token, Number(infy.instrument_token), () => {
    placed = kite.placeOrder("regular", order);
  });
  out.tick = {token: heard.tick.instrument_token, depth: heard.tick.depth.buy.length};
  out.connects = heard.connects;
  out.update = heard.order.tradingsymbol;
  const {order_id} = await placed;
  out.id = typeof order_id;
  out.modified = (await kite.modifyOrder("regular", order_id, {quantity: 2, price: low, order_type: "LIMIT"})).order_id === order_id;
  await new Promise((resolve) => setTimeout(resolve, 300));
  out.cancelled = (await kite.cancelOrder("regular", order_id)).order_id === order_id;
  const filled = await kite.placeOrder("regular", {...order, order_type: "MARKET", price: 0, market_protection: -1});
  await new Promise((resolve) => setTimeout(resolve, 500));
  out.history = (await kite.getOrderHistory(filled.order_id)).map((row) => row.status);
  out.trades = (await kite.getOrderTrades(filled.order_id)).length;
  out.allTrades = (await kite.getTrades()).length >= 1;
  out.orders = (await kite.getOrders()).length;
  out.position = (await kite.getPositions()).net[0].quantity;
  out.holdings = (await kite.getHoldings()).length;
  out.auctions = Array.isArray(await kite.getAuctionInstruments());
  const priced = {
    exchange: "NSE", tradingsymbol: "INFY", transaction_type: "BUY", variety: "regular", product: "CNC",
    order_type: "MARKET", quantity: 1, price: 0, trigger_price: 0,
  };
  out.orderMargin = (await kite.orderMargins([priced]))[0].total > 0;
  out.basket = (await kite.orderBasketMargins([priced], true, "compact")).final.total > 0;
  out.charges = (await kite.getvirtualContractNote([{...priced, order_id: "1", average_price: 1500}]))[0].charges.total > 0;
  const gtt = {
    trigger_type: kite.GTT_TYPE_SINGLE, exchange: "NSE", tradingsymbol: "INFY", trigger_values: [low],
    last_price: quote.last_price,
    orders: [{transaction_type: "BUY", quantity: 1, product: "CNC", order_type: "LIMIT", price: low}],
  };
  const {trigger_id} = await kite.placeGTT(gtt);
  out.gtt = (await kite.getGTT(trigger_id)).condition.tradingsymbol;
  out.gttModified = (await kite.modifyGTT(trigger_id, {...gtt, trigger_values: [low - 1]})).trigger_id === trigger_id;
  out.gttListed = (await kite.getGTTs()).length;
  out.gttDeleted = (await kite.deleteGTT(trigger_id)).trigger_id === trigger_id;
  out.converted = await kite.convertPosition({
    exchange: "NSE", tradingsymbol: "INFY", transaction_type: "BUY", position_type: "day", quantity: 1,
    old_product: "CNC", new_product: "MIS",
  });
  out.funds = (await kite.getMFInstruments()).length > 0;
  out.fundHoldings = (await kite.getMFHoldings()).length > 0;
  out.fundOrder = await refused(kite.placeMFOrder({tradingsymbol: "INF000", transaction_type: "BUY", amount: 1}));
  out.bad = await refused(kite.placeOrder("regular", {...order, quantity: 0}));
  out.unprotected = await refused(kite.placeOrder("regular", {...order, order_type: "MARKET", price: 0}));
  let hooked = false;
  kite.setSessionExpiryHook(() => { hooked = true; });
  out.logout = await kite.invalidateAccessToken(session.access_token);
  out.dead = await refused(kite.getProfile());
  out.hooked = hooked;
  return out;
}

main().then((out) => { console.log(JSON.stringify(out)); process.exit(0); }, (error) => { console.error(error); process.exit(1); });
